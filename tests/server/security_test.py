#!/usr/bin/env python3
"""Attacks on a real server, in plain text and with TLS: each is refused with the right status, the server lives, and
its camera loses no frame.

security_test.py GANTRY [IDLE CONNECTIONS]
"""
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import time

from live_server import MODEL, Server

CONFIG = MODEL + "cameras: {north: {source: 'scene://suburb?fps=4', deadline_ms: 20000}}\n"
ROLES = ("viewer", "operator", "admin")


def camera(server):
    frames = server.json("/api/v1/cameras/north")["status"]["frames"]
    return frames["published"], frames["dropped_total"], frames["published_late"]


class Watch:
    """The camera goes on while something else happens, and loses nothing."""

    def __init__(self, server, what):
        self.server, self.what = server, what

    def __enter__(self):
        self.before = camera(self.server)

    def __exit__(self, *failure):
        if failure[0] is not None:
            return
        end = time.monotonic() + 30
        while camera(self.server)[0] <= self.before[0]:
            assert time.monotonic() < end, f"{self.what}: the camera stands still"
            time.sleep(0.05)
        after = camera(self.server)
        assert after[1:] == self.before[1:], f"{self.what}: the camera lost frames: {self.before} -> {after}"
        print(f"{self.what}: refused, the camera goes on")


def connect(server):
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    if not server.tls:
        return plain
    return server.trust.wrap_socket(plain, server_hostname="127.0.0.1")


def raw(server, text):
    """-> status of the answer to exactly these bytes; 0 where the connection is closed without one"""
    with connect(server) as peer:
        peer.sendall(text.encode("latin-1"))
        got = b""
        while b"\r\n" not in got:
            try:
                piece = peer.recv(4096)
            except ConnectionError:
                break
            if not piece:
                break
            got += piece
        return int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else 0


def check_credentials(server):
    wrong = "gantry_00000000_" + "0" * 64
    paths = ("/metrics", "/api/v1/cameras", "/api/v1/cameras/north", "/api/v1/cameras/north/stats",
             "/api/v1/cameras/north/snapshot.jpg", "/api/v1/system", "/api/v1/session", "/v2", "/v2/models/x")
    for path in paths:
        assert server.ask("GET", path, check=False, token="")[0] == 401, path
    assert server.ask("GET", "/api/v1/system", check=False, token=wrong)[0] == 401
    for role, method, path in (("viewer", "PUT", "/api/v1/cameras/x"), ("viewer", "DELETE", "/api/v1/cameras/north"),
                               ("viewer", "PATCH", "/api/v1/cameras/north"),
                               ("viewer", "POST", "/api/v1/cameras/north/boost"),
                               ("viewer", "POST", "/api/v1/devices/cpu/drain"),
                               ("viewer", "POST", "/v2/models/gantry-traffic-n/infer")):
        assert server.ask(method, path, b"{}", check=False, token=role)[0] == 403, (method, path)
    short = server.make_token("viewer", "--expires", "1s")
    end = time.monotonic() + 20
    while True:  # the server looks at the file once a second
        status, answer = server.ask("GET", "/api/v1/system", check=False, token=short)
        if status == 401 and "expired" in answer["detail"]:
            return
        assert time.monotonic() < end, (status, answer)
        time.sleep(0.2)


def check_sizes(server):
    token = "Authorization: Bearer " + server.tokens["operator"]
    put = f"PUT /api/v1/cameras/x HTTP/1.1\r\nHost: h\r\n{token}\r\n"
    assert raw(server, put + "Content-Length: 70000\r\n\r\n") == 413
    assert raw(server, put + "Content-Length: 99999999999999999999\r\n\r\n") == 400
    chunks = ("ffff\r\n" + "x" * 0xFFFF + "\r\n") * 500  # so many that the answer comes while they are sent
    assert raw(server, put + "Transfer-Encoding: chunked\r\n\r\n" + chunks) == 413
    assert raw(server, f"GET / HTTP/1.1\r\nHost: h\r\nX: {'x' * 40000}\r\n\r\n") == 431
    infer = f"POST /v2/models/gantry-traffic-n/infer HTTP/1.1\r\nHost: h\r\n{token}\r\n"
    assert raw(server, infer + "Content-Length: 99000000\r\n\r\n") == 413


def check_smuggling(server):
    token = "Authorization: Bearer " + server.tokens["operator"]
    put = f"PUT /api/v1/cameras/x HTTP/1.1\r\nHost: h\r\n{token}\r\n"
    for request in (put + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    put + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
                    put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
                    put + "Content-Length: 3\r\nContent-Length : 4\r\n\r\nabcd",
                    put + "Content-Length: +3\r\n\r\nabc",
                    put + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: a\r\nX: a\nb: c\0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"):
        status = raw(server, request)
        assert status == 400, (status, request)


def check_paths(server):
    for path in ("/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2fetc/passwd", "/app.js/../../etc/passwd",
                 "/%5c..%5cetc", "/x%00.js", "/..\\..\\etc\\passwd", "//../etc/passwd"):
        status = raw(server, f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
        assert status == 400, (status, path)
    token = "Authorization: Bearer " + server.tokens["operator"]
    body = '{"source":"scene://suburb"}'
    for name in ("..", "%2e%2e", "a%2fb", ".hidden", "-x", "x" * 65, "%00", "a b"):
        status = raw(server, f"PUT /api/v1/cameras/{name} HTTP/1.1\r\nHost: h\r\n{token}\r\n"
                             f"Content-Length: {len(body)}\r\n\r\n{body}")
        assert status in (400, 422), (status, name)


def check_sources(server):
    for source in ("/etc/passwd", "file:///etc/passwd", "concat:/etc/passwd|/etc/group", "http://127.0.0.1/",
                   "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://[::ffff:169.254.169.254]/",
                   "http://169.254.169.254/latest/meta-data", "http://localhost:8080/", "rtsp://[fe80::1]/x",
                   "subfile,,start,0,end,9,,:/etc/passwd", "udp://127.0.0.1:1", "gopher://192.0.2.1/",
                   "http://192.0.2.1\\@127.0.0.1/", "data:text/plain,x"):
        status, answer = server.ask("PUT", "/api/v1/cameras/evil", {"source": source}, check=False, token="operator")
        assert status == 422 and "source: " in answer["detail"], (source, status, answer)
    assert "evil" not in server.cameras()


def check_slow(server):
    """Requests that dribble in. Every one is cut off, and others are served meanwhile."""
    crowd = [connect(server) for _ in range(30)]
    for i, peer in enumerate(crowd):
        peer.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nX: " if i % 2 else b"PUT /api/v1/cameras/x HTT")
    begin = time.monotonic()
    seen = {}
    while len(seen) < len(crowd):
        assert time.monotonic() - begin < 40, f"{len(crowd) - len(seen)} slow requests are still open"
        assert server.ask("GET", "/health/live", check=False, token="")[0] == 200
        for peer in crowd:
            if peer in seen:
                continue
            try:
                peer.sendall(b"a")
                peer.settimeout(0.01)
                got = peer.recv(100)
                seen[peer] = got[9:12]
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError:
                seen[peer] = b"cut"
        time.sleep(0.5)
    assert time.monotonic() - begin > 5, "they were cut off too soon to have been slow"
    assert set(seen.values()) <= {b"408", b"cut", b""}, set(seen.values())
    for peer in crowd:
        peer.close()


def check_idle(server, count):
    """A crowd that connects and says nothing locks nobody out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 100:
        wanted = count + 100 if hard == resource.RLIM_INFINITY else min(hard, count + 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if wanted < count + 100:
            print(f"idle crowd: only {wanted - 100} of {count}, because RLIMIT_NOFILE ends at {hard}")
            count = wanted - 100
    crowd = []
    slowest = 0.0
    for i in range(count):
        crowd.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        if i % 500 == 499:
            time.sleep(1.1)  # whoever idles for a second makes room
            begin = time.monotonic()
            assert server.ask("GET", "/health/live", check=False, token="")[0] == 200, i
            slowest = max(slowest, time.monotonic() - begin)
    http = server.json("/api/v1/system")["http"]
    assert http["connections"] <= 1100, http
    print(f"idle crowd: {count} connected, {http['connections']} kept, slowest answer {slowest * 1e3:.1f} ms")
    for peer in crowd:
        peer.close()


def check_tls(server):
    if not shutil.which("openssl"):
        print("TLS downgrade: skipped, there is no openssl program")
        return
    for flag, wanted in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        # @SECLEVEL=0 lets the client offer the old versions at all: it is the server that must refuse them.
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", flag, "-cipher",
                               "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True, timeout=60, check=False)
        agreed = "Cipher is (NONE)" not in done.stdout and "Cipher is" in done.stdout
        assert agreed == wanted, (flag, done.stdout[-2000:], done.stderr[-500:])
        if not wanted:
            assert "protocol version" in done.stderr or "unsupported protocol" in done.stderr, done.stderr
    assert raw_plain(server) == b"", "plain HTTP was answered on a TLS port"


def raw_plain(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        try:
            return b"HTTP" if peer.recv(100).startswith(b"HTTP") else b""
        except ConnectionError:
            return b""


def wait_for_camera(server):
    end = time.monotonic() + 60
    while camera(server)[0] < 2:
        assert time.monotonic() < end, "the camera never came"
        time.sleep(0.1)


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with Server(sys.argv[1], CONFIG, roles=ROLES) as server:
        wait_for_camera(server)
        for what, check in (("credentials", check_credentials), ("sizes", check_sizes),
                            ("smuggling", check_smuggling), ("paths", check_paths), ("sources", check_sources),
                            ("slow requests", check_slow), ("idle crowd", lambda s: check_idle(s, count))):
            with Watch(server, what):
                check(server)
    with Server(sys.argv[1], CONFIG, roles=ROLES, tls=True) as server:
        wait_for_camera(server)
        for what, check in (("TLS downgrade", check_tls), ("sizes over TLS", check_sizes),
                            ("smuggling over TLS", check_smuggling)):
            with Watch(server, what):
                check(server)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
