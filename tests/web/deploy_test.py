#!/usr/bin/env python3
"""Every metric that deploy/ names is one that docs/metrics.md lists."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
known = set(re.findall(r"^\| `(\w+)`", (root / "docs/metrics.md").read_text(), re.M))
unknown = []
for file in ("prometheus-alerts.yml", "grafana-dashboard.json"):
    for name in re.findall(r"\b(?:gantry_|yolo11_|process_)\w+|\bgpu_utilization_percent\b", (root / "deploy" / file).read_text()):
        if re.sub(r"_(bucket|count|sum)$", "", name) not in known:
            unknown.append(f"{file}: {name}")
assert known, "docs/metrics.md lists nothing"
assert not unknown, unknown
