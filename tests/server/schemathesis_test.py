#!/usr/bin/env python3
"""The description that the server serves, held against the server by schemathesis: every status and schema that it
answers is described, and what the description forbids is refused.

schemathesis_test.py GANTRY [EXAMPLES]     exits with 77 where schemathesis is missing
"""
import os
import subprocess
import sys

from live_server import MODEL, PACKAGES, ROOT, Server, packages

packages("schemathesis")

# Endless by their nature; api_test.cpp has their tests.
STREAMS = ("/api/v1/events", "/api/v1/cameras/{id}/live.mjpg")


def main():
    examples = sys.argv[2] if len(sys.argv) > 2 else "8"
    # Names that the generator makes up are looked up in vain, quickly.
    quick = {"RES_OPTIONS": "timeout:1 attempts:1", "LOCALDOMAIN": "invalid"}
    config = MODEL + "defaults: {fps: 2, deadline_ms: 5000}\ncameras: {north: {source: 'scene://suburb'}}\n"
    with Server(sys.argv[1], config, roles=("operator",), env=quick) as server:
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()",
                   "--config-file", str(ROOT / "tests/server/schemathesis.toml"), "run",
                   server.url + "/api/v1/openapi.json", "--phases", "examples,coverage,fuzzing,stateful",
                   "--seed", "20261124", "--max-examples", examples, "--workers", "1", "--continue-on-failure",
                   "--no-color", "--header", "Authorization: Bearer " + server.token]
        for path in STREAMS:
            command += ["--exclude-path", path]
        status = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(PACKAGES)}, cwd=server.folder,
                                timeout=1500, check=False).returncode
        # A machine that is asked anything at all goes on watching its camera.
        assert server.json("/api/v1/system")["phase"] == "running"
    assert status == 0, f"schemathesis ended with {status}"
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
