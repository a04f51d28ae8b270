"""A running `gantry serve` on a free loopback port, for tests that drive the real program."""
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time


class Server:
    """config: the YAML without its server section, which is written here."""

    def __init__(self, gantry, folder, config, allow_sources=(), log_results=False):
        self.folder = pathlib.Path(folder)
        self.gantry = gantry
        self.file = self.folder / "gantry.yaml"
        self.state = self.folder / "cameras.json"
        self.head = (f"server: {{enabled: true, port: 0, tokens: {self.folder}/tokens.json, state_file: {self.state},"
                     f" allow_sources: {json.dumps(list(allow_sources))}}}\n"
                     + ("" if log_results else "results: {jsonl: ''}\n") + "log: {status_interval_s: 0}\n")
        self.write(config)
        self.token = None
        self.process = None

    def write(self, config):
        """As editors and configuration tools do it: written beside and renamed over."""
        beside = self.folder / "gantry.yaml.new"
        beside.write_text(self.head + config)
        beside.rename(self.file)

    def start(self):
        self.lines = []
        self.process = subprocess.Popen([self.gantry, "serve", "-c", str(self.file)], stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.url = self.wait_line(r"listening on (http://\S+)")[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        if self.token is None:
            self.token = self.wait_line(r"^(gantry_\S+)$")[1]
        self.until("ready", lambda: self.get("/health/ready", check=False)[0] == 200)
        return self

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def log(self):
        return "".join(self.lines)

    def wait_line(self, pattern, seconds=60):
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
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, check=True, connection=None, token=None):
        """@return status and body, JSON where it is some. With `check` anything but 2xx is an AssertionError."""
        own = connection is None
        connection = connection or self.connect()
        headers = {"Authorization": f"Bearer {token or self.token}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
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

    def cameras(self):
        return {camera["id"]: camera for camera in self.get("/api/v1/cameras")[1]["cameras"]}

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
