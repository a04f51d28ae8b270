"""A real `gantry serve` for black-box tests: the bundled model, simulated cameras, a free port, tokens of every role."""
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "gantry-traffic-n.onnx"
PACKAGES = ROOT / ".deps" / "python"  # what tools/setup puts there
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
    """with Server(gantry, cameras=…) as server: …"""

    def __init__(self, gantry, cameras="", server="", defaults="fps: 2, deadline_ms: 5000", tls=False, env=None):
        self.gantry, self.tls, self.env = gantry, tls, env
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        tls_keys = ""
        self._trust = None
        if tls:
            self.run("cert", "self-signed", "--name", "127.0.0.1", "--out", self.folder / "cert.pem", "--key",
                     self.folder / "key.pem")
            self._trust = ssl.create_default_context(cafile=str(self.folder / "cert.pem"))
            tls_keys = f", tls: {{certificate: {self.folder}/cert.pem, key: {self.folder}/key.pem}}"
        self.config = self.folder / "gantry.yaml"
        self.config.write_text(
            f"model: {{path: {MODEL}}}\nresults: {{jsonl: ''}}\nlog: {{status_interval_s: 0}}\n"
            f"defaults: {{{defaults}}}\nserver: {{enabled: true, port: 0, tokens: {self.folder}/tokens.json, "
            f"state_file: {self.folder}/cameras.json{tls_keys}{server}}}\ncameras: {{{cameras}}}\n")
        self.tokens = {}

    def run(self, *args):
        return subprocess.run([self.gantry, *map(str, args)], check=True, capture_output=True, text=True).stdout

    def token(self, role, *more):
        out = self.run("token", "create", "--file", self.folder / "tokens.json", "--name", role, "--role", role, *more)
        return re.search(r"gantry_\S+", out)[0]

    def __enter__(self):
        for role in ("viewer", "operator", "admin"):
            self.tokens[role] = self.token(role)
        self.process = subprocess.Popen([self.gantry, "serve", "-c", str(self.config)], stderr=subprocess.PIPE,
                                        text=True, env={**os.environ, **(self.env or {})})
        self.log = []
        listening = threading.Event()

        def read():
            for line in self.process.stderr:
                self.log.append(line)
                if found := re.search(r"listening on (\S+)", line):
                    self.url = found[1]
                    listening.set()
            listening.set()

        self.reader = threading.Thread(target=read)
        self.reader.start()
        listening.wait(120)
        assert hasattr(self, "url"), "".join(self.log)
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        status = self.process.wait(60)
        self.reader.join()
        if failure[0] is not None:
            print("".join(self.log[-40:]))
        self._folder.cleanup()
        assert failure[0] is not None or status == 0, f"gantry ended with {status}: " + "".join(self.log[-20:])

    def ask(self, method, path, role="viewer", body=None, headers=None):
        """-> (status, text)"""
        request = urllib.request.Request(self.url + path, body, method=method, headers=dict(headers or {}))
        if role:
            request.add_header("Authorization", "Bearer " + self.tokens.get(role, role))
        try:
            with urllib.request.urlopen(request, timeout=60, context=self._trust) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, path, role="viewer"):
        status, body = self.ask("GET", path, role)
        assert status == 200, (path, status, body)
        return json.loads(body)
