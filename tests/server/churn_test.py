#!/usr/bin/env python3
"""Cameras come, change and go, a thousand times if asked to, while eight others run: those lose no frame, memory,
descriptors and threads return to where they were. Then the same with the program killed in the middle of it: the file
on disk is whole at every kill, holds every change that was answered, and the next start goes on from it.

churn_test.py GANTRY [CYCLES=40] [KILLS=8]
"""
import http.client
import json
import random
import sys
import tempfile
import threading
import time

from live_server import MODEL, Server

# Small and slow, so that two cores carry nine of them and whatever else runs beside a test.
SCENE = "scene://junction?seed={}&camera={}&fps={}&size=320x192&pace=live"
STEADY = 8
WARM_UP = 20  # cycles before the baseline: allocators and shapes have settled
# A leak of one 320x192 picture a cycle would be 90 KiB. Short runs can only tell that nothing large is kept.
SLOPE_KIB_A_CYCLE = 8
SETTLED = 150
GROWTH_KIB = 16 * 1024
PROGRESS = 100  # cycles between two lines


def steady_cameras(fps):
    lines = "".join(f"  steady-{i}: {{source: '{SCENE.format(i, i % 4, fps)}', deadline_ms: 60000, priority: urgent}}\n" for i in range(STEADY))
    return MODEL + "cameras:\n" + lines


def slope(points):
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


class Follower(threading.Thread):
    """Reads the event stream and keeps the frame numbers of each steady camera."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.seen = {}
        self.missed = 0
        self.ended = False

    def run(self):
        connection = self.server.connect()
        connection.request("GET", "/api/v1/events?type=detections", headers={"Authorization": f"Bearer {self.server.token}"})
        response = connection.getresponse()
        try:
            while not self.ended and (line := response.readline()):
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                if event["type"] == "missed":
                    self.missed += event["count"]
                elif event["camera"].startswith("steady"):
                    self.seen.setdefault(event["camera"], []).append(event["seq"])
        except (OSError, http.client.HTTPException):
            pass  # the server has ended


def churn(gantry, folder, cycles):
    server = Server(gantry, steady_cameras(0.5), folder).start()
    server.until("steady cameras live", lambda: all(c["status"]["state"] == "live" for c in server.cameras().values()))
    server.until("results of all", lambda: all(c["status"]["frames"]["published"] > 0 for c in server.cameras().values()), 240)
    follower = Follower(server)
    follower.start()
    connection = server.connect()

    def ask(method, path, body=None):
        return server.ask(method, "/api/v1/cameras/" + path, body, connection=connection)[1]

    def use():
        """Resident KiB without the events that are kept to resume from (which fill up to their bound), descriptors,
        threads, and KiB of those events."""
        memory, descriptors, threads = server.use()
        events = server.ask("GET", "/api/v1/system", connection=connection)[1]["http"]["events_bytes"] / 1024
        return memory - events, descriptors, threads, events

    points = []
    slowest = {}
    for cycle in range(WARM_UP + cycles):
        name = f"guest-{cycle % 3}"
        good = {"source": SCENE.format(100 + cycle % 7, cycle % 4, 1), "deadline_ms": 5000, "priority": "background"}
        dead = {"source": "rtsp://192.0.2.1/stream", "connect_timeout_ms": 300}
        for method, path, body in (("PUT", name, dead if cycle % 5 == 4 else good),
                                   ("PATCH", name, {"fps": 1, "conf": 0.5}),  # applies at once
                                   ("PATCH", name, {"source": SCENE.format(200 + cycle % 7, 0, 1)}),  # connects anew
                                   ("PATCH", name, {"enabled": cycle % 2 == 0}),
                                   ("DELETE", name, None)):
            began = time.monotonic()
            ask(method, path, body)
            slowest[method] = max(slowest.get(method, 0), time.monotonic() - began)
        json.loads(server.state.read_text())
        if cycle >= WARM_UP:
            points.append((cycle, *use()))
            if (cycle - WARM_UP) % PROGRESS == 0 and cycle > WARM_UP:
                _, memory, descriptors, threads, events = points[-1]
                print(f"after {cycle - WARM_UP} cycles: {memory / 1024:.1f} MiB and {events / 1024:.1f} of events, "
                      f"{descriptors} descriptors, {threads} threads", flush=True)
    server.until("guests gone", lambda: not [c for c in server.cameras() if c.startswith("guest")])
    time.sleep(1)
    after = use()
    baseline = points[0][1:]
    follower.ended = True
    time.sleep(1.5)
    cameras = server.cameras()
    stats = {c: server.get(f"/api/v1/cameras/{c}/stats")[1] for c in cameras}
    assert server.stop() == 0, server.log()
    follower.join(10)

    assert sorted(cameras) == [f"steady-{i}" for i in range(STEADY)]
    for camera, reading in stats.items():
        lost = {why: count for why, count in reading["frames"]["dropped"].items() if count > 0}
        assert not lost, f"{camera} lost {lost}"
        assert reading["connections"] == 1, f"{camera} has connected {reading['connections']} times"
        numbers = sorted(follower.seen[camera])
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"{camera} has gaps: {numbers}"
    assert follower.missed == 0
    settled = points[SETTLED:] if cycles >= 2 * SETTLED else points
    growth = slope([(cycle, memory) for cycle, memory, *_ in settled])
    frames = sum(len(numbers) for numbers in follower.seen.values())
    print(f"{cycles} cycles: {frames} frames of {STEADY} cameras, none lost; memory {baseline[0] / 1024:.1f} MiB at first, "
          f"{after[0] / 1024:.1f} at the end (and {baseline[3] / 1024:.1f} and {after[3] / 1024:.1f} of events), slope {growth:.2f} KiB a cycle; descriptors {baseline[1]} and {after[1]}, "
          f"threads {baseline[2]} and {after[2]}; slowest change "
          + ", ".join(f"{method} {seconds * 1000:.0f} ms" for method, seconds in sorted(slowest.items())))
    if cycles >= 2 * SETTLED:
        assert growth < SLOPE_KIB_A_CYCLE, f"memory grows by {growth:.1f} KiB a cycle"
    assert after[0] - baseline[0] < GROWTH_KIB, f"memory grew by {(after[0] - baseline[0]) / 1024:.0f} MiB"
    # Connections of this test itself come and go: the event stream, and keep-alive.
    assert after[1] <= baseline[1] + 2, f"descriptors: {baseline[1]} before, {after[1]} after"
    assert after[2] <= baseline[2] + 1, f"threads: {baseline[2]} before, {after[2]} after"


def expected_after(state, known):
    """Where the file differs from all that was answered, but for the one change that was under way."""
    on_disk = {name: entry for name, entry in json.loads(state.read_text())["cameras"].items()}
    wrong = []
    for name, (answered, under_way) in known.items():
        have = on_disk.get(name)
        if have not in (answered, under_way):
            wrong.append((name, have, answered, under_way))
    return wrong


def kill(gantry, folder, kills):
    random.seed(9)
    server = Server(gantry, MODEL + "cameras: {}\n", folder)
    known = {}  # name: what the file must say as answered, and what it may say as under way
    changes = 0
    for _ in range(kills):
        server.start()
        stop = threading.Event()
        lock = threading.Lock()

        def work(part):
            nonlocal changes
            connection = server.connect()
            step = 0
            try:
                while not stop.is_set():
                    name = f"c{part}-{step % 20}"
                    # Switched off: this is about the file, not about video. The long list makes files of some size.
                    body = {"source": SCENE.format(step, part, 1), "enabled": False, "classes": ["car"] * random.randint(1, 40)}
                    drop = step % 4 == 3
                    after = None if drop else {"put": body}
                    before = known.get(name, (None, None))[0]
                    with lock:
                        known[name] = (before, after)
                    server.ask("DELETE" if drop else "PUT", f"/api/v1/cameras/{name}", None if drop else body, connection=connection)
                    with lock:
                        known[name] = (after, after)
                        changes += 1
                    step += 1
            except (OSError, http.client.HTTPException):
                pass  # killed

        workers = [threading.Thread(target=work, args=(part,)) for part in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(random.uniform(0.05, 0.5))
        server.kill()
        stop.set()
        for worker in workers:
            worker.join(60)
        if server.state.exists():
            wrong = expected_after(server.state, known)
            assert not wrong, f"after a kill the file is not what was answered: {wrong}"
            on_disk = json.loads(server.state.read_text())["cameras"]
            for name in known:
                known[name] = (on_disk.get(name), on_disk.get(name))
    server.start()
    kept = sorted(name for name, (answered, _) in known.items() if answered is not None)
    assert sorted(server.cameras()) == kept, (sorted(server.cameras()), kept)
    left = [path.name for path in server.folder.iterdir() if path.name.startswith(".cameras.json.")]
    assert not left, f"writers that were killed have left {left}"
    assert server.stop() == 0, server.log()
    print(f"{kills} kills in the middle of {changes} answered changes: the file was whole and complete each time")


def main():
    gantry = sys.argv[1]
    cycles = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    kills = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    with tempfile.TemporaryDirectory() as folder:
        churn(gantry, folder, cycles)
    with tempfile.TemporaryDirectory() as folder:
        kill(gantry, folder, kills)


if __name__ == "__main__":
    main()
