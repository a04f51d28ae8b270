#!/usr/bin/env python3
"""The web page in headless Chromium: log in, test a source, add a camera, see boxes on its cars, look at it large and
at the system, compare its numbers with /metrics, break the configuration file, remove the camera, log out; no console
error on the way. Screenshots are left in the folder.

page_test.py GANTRY MODEL SOURCE [FOLDER for screenshots]   exits with 77 where Chromium is missing
"""
import json
import os
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parent.parent / "server"))
from chromium import Chromium, missing  # noqa: E402
from live_server import SKIPPED, Server  # noqa: E402

STREET = "document.querySelector('[data-camera=street]')"
DRAWN = ("(c => c && c.width > 300 && c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0))"
         "({}.querySelector('canvas'))")


def log_in(page, server):
    paints = []
    for _ in range(3):  # the first also pays for the browser's own start
        page.go("about:blank")
        page.go(server.url)
        page.until("log-in form", "document.getElementById('token') !== null")
        paints.append(page.until("first paint", "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"))
    print("first contentful paint " + ", ".join(f"{paint:.0f}" for paint in paints) + " ms")
    assert sorted(paints)[1] < 1000
    page.run("token.value = 'gantry_wrong'; document.querySelector('form').requestSubmit();")
    page.until("refusal", "document.querySelector('.error').textContent.includes('not known')")
    refused = page.errors()
    assert len(refused) == 1 and "401" in refused[0], refused  # what was asked for
    page.run(f"token.value = {json.dumps(server.token)}; document.querySelector('form').requestSubmit();")
    page.until("wall", "document.getElementById('add') !== null")


def add_camera(page, source):
    page.key("a")
    page.until("form", "document.querySelector('dialog form') !== null")
    page.run("const f = document.querySelector('dialog form'); f.elements.source.value = '/etc/passwd'; test.click();")
    page.until("refused source", "document.querySelector('.probe.bad') !== null && document.querySelector('.probe').innerText.includes('no files')")
    assert [e for e in page.errors() if "422" not in e] == []  # the refusal, as the browser logs it
    page.run(f"document.querySelector('dialog form').elements.source.value = {json.dumps(source)}; test.click();")
    page.until("tested source", "document.querySelector('.probe.good img')?.naturalWidth > 0")
    found = page.run("return document.querySelector('.probe').innerText")
    assert "h264" in found and "frames/s" in found, found
    page.run("const f = document.querySelector('dialog form'); f.elements.id.value = 'street';"
             "f.elements.deadline.value = 5000; f.elements.fps.value = 4;")


def watch_boxes(page):
    """@return seconds from the click to boxes on a car"""
    page.run("window.began = performance.now(); document.querySelector('dialog form').requestSubmit();")
    page.until("boxes drawn", f"{STREET} && {DRAWN.format(STREET)} && {STREET}.querySelector('.counts').innerText.includes('car')")
    return page.run("return (performance.now() - window.began) / 1000")


def same_numbers(page, server, least):
    """What the page shows is what scrapes of the same seconds say, for every number that it marks: between the first
    and the last for counters, among them, give or take the rounding, for what goes up and down."""
    scrapes = [server.metrics()]
    end = time.monotonic() + 2.6  # the page has asked anew by then
    while time.monotonic() < end:
        time.sleep(0.1)
        scrapes.append(server.metrics())
    shown = page.run("return [...document.querySelectorAll('[data-metric]')].map(n => [n.dataset.metric, n.textContent])")
    scrapes.append(server.metrics())
    assert len(shown) >= least, shown
    for name, text in shown:
        value = float(text.replace(",", ""))
        values = [scrape[name] for scrape in scrapes]
        slack = 0 if "_total" in name else 0.05 * max(1, abs(max(values)))
        assert min(values) - slack <= value <= max(values) + slack, f"{name}: the page says {text}, /metrics {values}"
    return len(shown)


def visit(page, server, source, shots):
    log_in(page, server)
    add_camera(page, source)
    page.screenshot(shots / "add.png")
    server.wait_line("input shape .* is ready")  # which a server without cameras sees to by itself at its start
    seconds = watch_boxes(page)
    print(f"boxes on a car {seconds:.2f} s after the camera was added")
    assert seconds < 3
    page.until("live state", f"{STREET}.querySelector('.state.live') !== null")
    page.screenshot(shots / "wall.png")

    page.key("ArrowRight")
    assert page.run("return document.activeElement.getAttribute('aria-label')") == "Open street"
    page.run("document.activeElement.click()")
    page.until("large picture", "document.querySelector('.picture.large img')?.naturalWidth > 0")
    page.until("boxes on it", DRAWN.format("document.querySelector('.picture.large')"))
    page.until("facts", "document.querySelectorAll('.facts tr').length > 5")
    page.until("charts", "[...document.querySelectorAll('.plot canvas')].every(c => c.height > 100)")
    print(f"{same_numbers(page, server, 6)} numbers of the camera are those of /metrics")
    page.run("const p = document.getElementById('priority'); p.value = 'urgent'; p.dispatchEvent(new Event('change'));")
    server.until("priority", lambda: server.cameras()["street"]["priority"] == "urgent")
    page.key("u")
    page.until("boost", "document.querySelector('.bar [role=status]').textContent.includes('minute')")
    page.screenshot(shots / "camera.png")
    page.key("Escape")
    page.until("badge", f"{STREET}?.querySelector('.badge.urgent:not([hidden])') != null")

    page.key("s")
    page.until("devices", "document.querySelectorAll('table').length >= 3")
    print(f"{same_numbers(page, server, 4)} numbers of the system are those of /metrics")
    page.until("forecast", "document.querySelectorAll('.plot canvas').length >= 4")
    page.screenshot(shots / "system.png")
    page.key("t")
    page.screenshot(shots / "system-other.png")

    good = server.file.read_text()
    server.file.write_text(good + "nonsense: 1\n")
    page.until("word of the refused file", "!notice.hidden && notice.textContent.includes('nonsense')")
    server.file.write_text(good)
    page.until("all clear", "notice.hidden")

    page.resize(400, 860)
    for view, wait in (("wall", f"{STREET}?.querySelector('img')?.naturalWidth > 0"), ("camera/street", "document.querySelector('.picture.large img')?.naturalWidth > 0"),
                       ("system", "document.querySelectorAll('table').length >= 3")):
        page.run(f"location.hash = '#{view}'")
        page.until(f"{view} on a phone", wait)
        wide = page.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{view} is {wide} px too wide for a phone"
        page.screenshot(shots / f"phone-{view.split('/')[0]}.png")

    page.run("window.confirm = () => true; location.hash = '#camera/street'")
    page.until("remove button", "document.getElementById('remove') !== null")
    page.run("document.getElementById('remove').click()")
    page.until("empty wall", "document.querySelector('.wall') !== null && !document.querySelector('[data-camera]')")
    page.run("logout.click()")
    page.until("log-in form again", "document.getElementById('token') !== null")

    page.go("about:blank")
    page.go(f"{server.url}/#token={server.token}")
    page.until("wall, by the link alone", "document.getElementById('add') !== null")
    assert "token" not in page.run("return location.href")
    assert not (errors := page.errors()), errors


def main():
    gantry, model, source = sys.argv[1:4]
    if missing():
        print("skipped: chromium and chromedriver are not installed")
        return SKIPPED
    if not os.path.exists(model):
        print(f"skipped: there is no {model}; set GANTRY_TEST_DATA")
        return SKIPPED
    with Server(gantry, f"model: {{path: {model}}}\ndefaults: {{loop: true}}\n", allow_sources=[source]) as server:
        shots = pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else server.folder)
        shots.mkdir(parents=True, exist_ok=True)
        with Chromium(server.folder) as page:
            visit(page, server, source, shots)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
