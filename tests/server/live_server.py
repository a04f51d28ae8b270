"""A running `gantry serve` on a free loopback port, for tests that drive the real program."""
import http.client
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".deps" / "python"  # what tools/setup puts there
MODEL = "model: {path: gantry-traffic-n}\n"  # the bundled one
SKIPPED = 77


def packages(*names):
    """Makes packages of tools/setup importable, or ends this test with a word why not."""
    sys.path.insert(0, str(PACKAGES))
    for name in names:
        try:
            __import__(name)
        except ImportError as error:
            print(f"skipped: {error}; `tools/setup test` installs it into {PACKAGES}")
            sys.exit(SKIPPED)


class Server:
    """with Server(gantry, config) as server: …, or start(), kill() and stop() by hand.

    config: the YAML without its server, results and log sections, which are written here.
    folder: where its files lie; without one it has a temporary one of its own.
    roles: tokens that are made before the first start, by the name of their role; without any the first start makes
    the first admin's. What is asked is asked with the last of them, the mightiest.
    """

    def __init__(self, gantry, config, folder=None, roles=(), allow_sources=(), tls=False, env=None):
        self._own = tempfile.TemporaryDirectory() if folder is None else None
        self.folder = pathlib.Path(folder or self._own.name)
        self.gantry, self.tls, self.env = gantry, tls, env
        self.file = self.folder / "gantry.yaml"
        self.state = self.folder / "cameras.json"
        tls_keys = ""
        self.trust = None
        if tls:
            self.run("cert", "self-signed", "--name", "127.0.0.1", "--out", self.folder / "cert.pem", "--key",
                     self.folder / "key.pem")
            self.trust = ssl.create_default_context(cafile=str(self.folder / "cert.pem"))
            tls_keys = f" tls: {{certificate: {self.folder}/cert.pem, key: {self.folder}/key.pem}},"
        self.head = (f"server: {{enabled: true, port: 0, tokens: {self.folder}/tokens.json, state_file: {self.state},"
                     f"{tls_keys} allow_sources: {json.dumps(list(allow_sources))}}}\n"
                     "results: {jsonl: ''}\nlog: {status_interval_s: 0}\n")
        self.write(config)
        self.tokens = {role: self.make_token(role) for role in roles}
        self.token = list(self.tokens.values())[-1] if roles else None
        self.process = None

    def run(self, *args):
        return subprocess.run([self.gantry, *map(str, args)], check=True, capture_output=True, text=True).stdout

    def make_token(self, role, *more):
        out = self.run("token", "create", "--file", self.folder / "tokens.json", "--name", role, "--role", role, *more)
        return re.search(r"gantry_\S+", out)[0]

    def write(self, config):
        """As editors and configuration tools do it: written beside and renamed over."""
        beside = self.folder / "gantry.yaml.new"
        beside.write_text(self.head + config)
        beside.rename(self.file)

    def start(self):
        self.lines = []
        self.process = subprocess.Popen([self.gantry, "serve", "-c", str(self.file)], stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(self.env or {})})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = self.wait_line(r"listening on (https?://\S+)")[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        if self.token is None:
            self.token = self.wait_line(r"^(gantry_\S+)$")[1]
        self.until("ready", lambda: self.get("/health/ready", check=False)[0] == 200, 120)
        return self

    __enter__ = start

    def __exit__(self, *failure):
        try:
            status = self.stop()
        finally:
            if self._own:
                self._own.cleanup()
        if failure[0] is not None:
            print("".join(self.lines[-40:]))
        else:
            assert status == 0, f"gantry ended with {status}: " + "".join(self.lines[-20:])

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def log(self):
        return "".join(self.lines)

    def wait_line(self, pattern, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            if self.process.poll() is not None:
                self.reader.join(5)
                if not any(re.search(pattern, line) for line in self.lines):
                    raise AssertionError(f"the program ended with {self.process.returncode}: {self.log()}")
            time.sleep(0.02)
        raise AssertionError(f"no line like {pattern} within {seconds} s: {self.log()}")

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {seconds} s; the log says:\n{self.log()}")
            time.sleep(0.05)
        return value

    def connect(self):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self.trust)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, check=True, connection=None, token=None):
        """@param body bytes as they are, anything else as JSON @param token one, a role of `tokens`, or "" for none
        @return status and body, JSON where it is some. With `check` anything but 2xx is an AssertionError."""
        own = connection is None
        connection = connection or self.connect()
        token = self.token if token is None else self.tokens.get(token, token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        if own:
            connection.close()
        answer = json.loads(text) if "json" in (response.getheader("Content-Type") or "") and text else text
        if check and not 200 <= response.status < 300:
            raise AssertionError(f"{method} {path}: {response.status} {answer}")
        return response.status, answer

    def get(self, path, check=True):
        return self.ask("GET", path, check=check)

    def json(self, path):
        return self.get(path)[1]

    def cameras(self):
        return {camera["id"]: camera for camera in self.json("/api/v1/cameras")["cameras"]}

    def metrics(self):
        """{'name{label="value"}': value} of a scrape."""
        out = {}
        for line in self.get("/metrics")[1].decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out

    def use(self):
        """Resident KiB, descriptors and threads of the process."""
        proc = pathlib.Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]), len(os.listdir(proc / "fd")), int(status["Threads"])

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join(10)

    def stop(self):
        """@return the exit status"""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(60)
        self.reader.join(10)
        return status
