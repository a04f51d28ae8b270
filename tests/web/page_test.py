#!/usr/bin/env python3
"""The web page in headless Chromium, driven through chromedriver's HTTP interface: log in, add a camera, see its
picture and boxes, look at it large and at the system, remove it, log out; no console error on the way.

page_test.py GANTRY MODEL SOURCE [FOLDER for screenshots]   exits with 77 where Chromium is missing
"""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request


class Driver:
    """What this test needs of WebDriver."""

    def __init__(self, port, folder):
        self.base = f"http://127.0.0.1:{port}/session"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900",
                            f"--user-data-dir={folder}/profile"]}
        answer = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.base += "/" + answer["sessionId"]

    def call(self, method, path, body=None):
        data = None if method in ("GET", "DELETE") else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def until(self, what, script, seconds=40):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.run("return " + script)
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {seconds} s; the page says: " + self.run("return document.body.innerText"))

    def screenshot(self, file):
        file.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))


def wait_line(stream, pattern):
    for line in stream:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"the program ended without a line like {pattern}")


def visit(driver, url, token, source, shots):
    driver.call("POST", "/url", {"url": url})
    driver.until("log-in form", "document.getElementById('token') !== null")
    driver.run(f"token.value = {json.dumps(token)}; document.querySelector('form').requestSubmit();")
    driver.until("wall", "document.getElementById('add') !== null")
    paint = driver.run("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    print(f"first contentful paint {paint} ms")

    driver.run("add.click()")
    driver.run("const f = document.querySelector('dialog form'); f.elements.id.value = 'street';"
               f"f.elements.source.value = {json.dumps(source)}; f.elements.deadline.value = 5000;"
               "f.elements.fps.value = 2; f.requestSubmit();")
    driver.until("card of the camera", "document.querySelector('[data-camera=street]') !== null")
    driver.until("live state", "document.querySelector('[data-camera=street] .state.live') !== null")
    driver.until("picture", "document.querySelector('[data-camera=street] img').naturalWidth > 0")
    driver.until("boxes drawn", "(c => c.width > 300 && c.getContext('2d').getImageData(0, 0, c.width, c.height)"
                 ".data.some(v => v > 0))(document.querySelector('[data-camera=street] canvas'))")
    driver.screenshot(shots / "wall.png")

    driver.run("location.hash = '#camera/street'")
    driver.until("live picture", "document.querySelector('.picture img')?.naturalWidth > 0")
    driver.until("facts", "document.querySelectorAll('table tr').length > 5")
    time.sleep(3)  # something for the charts to show
    driver.screenshot(shots / "camera.png")
    driver.run("location.hash = '#system'")
    driver.until("devices", "document.querySelectorAll('table').length >= 3")
    driver.run("theme.click()")
    driver.screenshot(shots / "system.png")
    driver.call("POST", "/window/rect", {"width": 400, "height": 800})
    driver.run("location.hash = '#wall'")
    driver.until("wall on a phone", "document.querySelector('[data-camera=street] img')?.naturalWidth > 0")
    wide = driver.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"the page is {wide} px too wide for a phone"
    driver.screenshot(shots / "phone.png")

    driver.run("window.confirm = () => true; location.hash = '#camera/street'")
    driver.until("remove button", "document.getElementById('remove') !== null")
    driver.run("document.getElementById('remove').click()")
    driver.until("empty wall", "document.querySelector('.wall') !== null && !document.querySelector('[data-camera]')")
    driver.run("logout.click()")
    driver.until("log-in form again", "document.getElementById('token') !== null")
    # The one expected complaint is the 401 by which the page learns that nobody is logged in.
    errors = [entry for entry in driver.call("POST", "/se/log", {"type": "browser"})
              if entry["level"] == "SEVERE" and "/api/v1/session" not in entry["message"]]
    assert not errors, errors


def main():
    gantry, model, source = sys.argv[1:4]
    if not shutil.which("chromedriver") or not shutil.which("chromium"):
        print("skipped: chromium and chromedriver are not installed")
        return 77
    if not os.path.exists(model):
        print(f"skipped: there is no {model}; set GANTRY_TEST_DATA")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        shots = pathlib.Path(sys.argv[4] if len(sys.argv) > 4 else folder)
        shots.mkdir(parents=True, exist_ok=True)
        config = pathlib.Path(folder) / "gantry.yaml"
        config.write_text(f"model: {{path: {model}}}\nresults: {{jsonl: ''}}\ndefaults: {{loop: true}}\nserver: {{enabled: true, port: 0,"
                          f" tokens: {folder}/tokens.json, state_file: {folder}/cameras.json,"
                          f" allow_sources: [{json.dumps(source)}]}}\n")
        server = subprocess.Popen([gantry, "serve", "-c", str(config)], stderr=subprocess.PIPE, text=True)
        chrome = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        try:
            token = wait_line(server.stderr, r"^(gantry_\S+)$")[1]
            url = wait_line(server.stderr, r"listening on (\S+)")[1]
            port = wait_line(chrome.stdout, r"successfully on port (\d+)")[1]
            driver = Driver(port, folder)
            try:
                visit(driver, url, token, source, shots)
            finally:
                driver.call("DELETE", "")
        finally:
            chrome.terminate()
            chrome.wait(20)
            server.terminate()
            server.stderr.read()
            status = server.wait(60)
        assert status == 0, f"gantry ended with {status}"
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
