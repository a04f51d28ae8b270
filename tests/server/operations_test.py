#!/usr/bin/env python3
"""What operators do over HTTP that no camera has to run for: test a source, have the file read again, look at the load.

operations_test.py GANTRY
"""
import base64
import sys
import time

from live_server import MODEL, Server


def probe(server):
    def ask(body):
        return server.ask("POST", "/api/v1/probe", body, check=False)

    status, found = ask({"source": "scene://junction?size=320x192&fps=10&pace=live"})
    assert status == 200 and found["ok"], found
    assert (found["width"], found["height"]) == (320, 192), found
    assert 8 <= found["fps"] <= 12, found["fps"]
    assert base64.b64decode(found["picture_jpeg"]).startswith(b"\xff\xd8\xff")
    began = time.monotonic()
    status, found = ask({"source": "rtsp://192.0.2.1/stream", "timeout_ms": 700})
    assert status == 200 and not found["ok"] and found["error"], found
    assert time.monotonic() - began < 5, "the time limit holds"
    for body, word in (({"source": "/etc/passwd"}, "no files"), ({"source": "http://127.0.0.1/a"}, "server itself"),
                       ({"source": "file:///etc/passwd"}, "no files"), ({"source": "concat:/etc/passwd"}, "no files"),
                       ({"source": "scene://junction?truth=/tmp/x"}, "writes a file"), ({"source": ""}, "source"),
                       ({}, "source"), ({"source": 7}, "source"), ({"source": "scene://junction", "timeout_ms": 1}, "timeout_ms"),
                       ({"source": "scene://junction", "transport": "carrier pigeon"}, "transport"),
                       ({"source": "scene://junction", "colour": "red"}, "colour")):
        status, answer = ask(body)
        assert status == 422 and word in answer["detail"], (body, status, answer)
    assert ask(["scene://junction"])[0] == 400
    status, found = ask({"source": "scene://nowhere"})
    assert status == 200 and not found["ok"] and "nowhere" in found["error"], found
    assert "audit: first-admin" in server.log() and "tested the source" in server.log()


def reload(server):
    def ask():
        return server.ask("POST", "/api/v1/config/reload", check=False)

    head = "reload: {watch: false}\n" + MODEL + "cameras:\n"
    one = "  one: {source: 'scene://junction', enabled: false}\n"
    server.write(head + one + "  two: {source: 'scene://junction?fps=1&size=320x192&pace=live'}\n")
    status, changes = ask()
    assert status == 200 and changes["added"] == ["two"] and changes["removed"] == [], changes
    server.write(head + "  two: {source: 'scene://junction', fps: -1}\n")
    status, problem = ask()
    assert status == 422 and "cameras.two.fps" in problem["detail"], problem
    assert set(server.cameras()) == {"one", "two"}
    reading = server.get("/api/v1/system")[1]["config"]
    assert not reading["good"] and "cameras.two.fps" in reading["reason"], reading
    metrics = server.metrics()
    assert metrics["gantry_config_last_reload_successful"] == 0
    assert metrics['gantry_config_reloads_total{outcome="refused"}'] == 1
    server.write(head + one)
    status, changes = ask()
    assert status == 200 and changes["removed"] == ["two"], changes
    assert server.metrics()["gantry_config_last_reload_successful"] == 1


def load(server):
    answer = server.until("a sample of the load", lambda: (a := server.get("/api/v1/load")[1])["arrived_fps"] and a)
    for name in ("arrived_fps", "predicted_fps"):
        assert all(len(point) == 2 and point[1] >= 0 for point in answer[name]), answer
    assert answer["arrived_fps"][-1][0] <= 0 < answer["predicted_fps"][-1][0] <= 300, answer


def main():
    with Server(sys.argv[1], "reload: {watch: false}\n" + MODEL + "cameras: {}\n") as server:
        probe(server)
        reload(server)
        load(server)


if __name__ == "__main__":
    main()
