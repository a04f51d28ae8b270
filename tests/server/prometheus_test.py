#!/usr/bin/env python3
"""A real Prometheus scrapes a running server, evaluates the rules of deploy/ and answers the dashboard's queries; every
metric of docs/metrics.md has a value, or its reason not to.

prometheus_test.py GANTRY SOURCE_DIR VIDEO   exits with 77 where prometheus or the video is missing
"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from live_server import MODEL, SKIPPED, Server

ONLY_ON_GPUS = {
    "gantry_device_memory_used_bytes", "gantry_device_memory_total_bytes", "gantry_decoder_sessions",
    "gantry_decoder_cameras", "gantry_decoder_load_ratio", "gantry_decoder_choices_total",
    "gantry_decoder_pictures_total", "gantry_decoder_sessions_refused_total", "gantry_decoder_call_seconds_total",
    "gantry_memory_budget_bytes", "gantry_memory_budget_refused_total"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def check_text(text):
    """`promtool check metrics`, and that every family of the table is there."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    complaints = (checked.stdout + checked.stderr).decode()
    # The guide's name carries a unit that promtool does not know as a base unit.
    serious = [line for line in complaints.splitlines() if line and "gpu_utilization_percent" not in line]
    assert not serious, serious


class Prometheus:
    def __init__(self, folder, server, root):
        self.port = free_port()
        folder = pathlib.Path(folder)
        (folder / "token").write_text(server.token)
        shutil.copy(root / "deploy/prometheus-alerts.yml", folder)
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [prometheus-alerts.yml]\nscrape_configs:\n"
            f"  - job_name: gantry\n    authorization: {{credentials_file: {folder}/token}}\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]\n")
        self.log = open(folder / "prometheus.log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if value := condition():
                    return value
            except OSError:
                pass
            time.sleep(0.2)
        self.log.seek(0)
        raise AssertionError(f"{what}: not within {seconds} s\n{self.log.read()[-3000:]}")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def expressions(dashboard):
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5s").replace("$camera", ".*").replace("$instance", ".*")


def watch(prometheus, server, root):
    prometheus.until("scrape", lambda: prometheus.query('up{job="gantry"} == 1'))
    prometheus.until("a few scrapes", lambda: prometheus.query("count_over_time(gantry_headroom_ratio[1m]) > 5"))
    table = re.findall(r"^\| `(\w+)` \| (\w+) ", (root / "docs/metrics.md").read_text(), re.M)
    assert len(table) > 50
    without = [name for name, kind in table if not prometheus.query(name + ("_count" if kind == "histogram" else ""))]
    assert set(without) <= ONLY_ON_GPUS, without
    for name in ("yolo11_inference_latency_seconds_count", "gantry_frames_received_total", "gantry_device_busy_seconds_total"):
        prometheus.until(f"live values of {name}", lambda name=name: prometheus.query(f"sum(rate({name}[5s])) > 0"))
    bounds = {row["metric"]["le"] for row in prometheus.query("yolo11_inference_latency_seconds_bucket")}
    assert bounds == {"0.01", "0.025", "0.05", "0.1", "0.25", "+Inf"}, bounds
    prometheus.until("busy device", lambda: prometheus.query('gpu_utilization_percent{device_id="cpu"} > 0'))
    assert 0 < float(prometheus.query("batch_efficiency_ratio")[0]["value"][1]) <= 1
    # received = ended + in flight, in every scrape
    balance = prometheus.query("sum by (camera) (gantry_frames_received_total) - sum by (camera) (gantry_frames_total) - sum by (camera) (gantry_frames_in_flight)")
    assert len(balance) == 2 and all(float(row["value"][1]) == 0 for row in balance), balance

    for title, expression in expressions(root / "deploy/grafana-dashboard.json"):
        assert prometheus.until(f"data for the panel '{title}'", lambda e=expression: prometheus.query(e), 20), expression

    groups = prometheus.until("rules", lambda: prometheus.ask("rules")["groups"])
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 8
    prometheus.until("evaluated rules", lambda: all(rule["health"] == "ok" for group in prometheus.ask("rules")["groups"] for rule in group["rules"]))
    server.file.write_text(server.file.read_text() + "nonsense: 1\n")
    prometheus.until("an alert for the refused file", lambda: any(
        alert["labels"]["alertname"] == "GantryConfigRefused" for alert in prometheus.ask("alerts")["alerts"]))
    print(f"{len(table)} metrics, {len(rules)} rules; without a value here: {sorted(without)}")


def main():
    gantry, root, video = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        print("skipped: prometheus is not installed")
        return SKIPPED
    if not os.path.exists(video):
        print(f"skipped: there is no {video}; set GANTRY_TEST_DATA")
        return SKIPPED
    config = (MODEL + "defaults: {loop: true, fps: 2, deadline_ms: 5000}\ncameras:\n"
              f"  yard: {{source: '{video}'}}\n  junction: {{source: 'scene://junction?fps=2&size=320x192&pace=live', priority: urgent}}\n")
    with Server(gantry, config) as server:
        server.until("results", lambda: all(c["status"]["frames"]["published"] > 0 for c in server.cameras().values()))
        check_text(server.get("/metrics")[1])
        prometheus = Prometheus(server.folder, server, root)
        try:
            watch(prometheus, server, root)
        finally:
            prometheus.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
