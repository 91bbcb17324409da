"""A real browser: Chromium without a window, driven over its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

from websockets.sync.client import connect

from conftest import PATIENCE, wait_for

CHROMIUM = shutil.which("chromium")


class Browser:
    """One Chromium with a profile of its own; certificates that nobody vouches for are taken, as people do after a warning."""

    def __init__(self, directory, *flags):
        self.process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--force-color-profile=srgb",
             "--remote-debugging-port=0", f"--user-data-dir={directory}", *flags, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = Path(directory) / "DevToolsActivePort"
        wait_for(lambda: port.exists() and port.read_text().count("\n"), "Chromium's port")
        number, path = port.read_text().splitlines()
        self.socket = connect(f"ws://127.0.0.1:{number}{path}", max_size=None)
        self.number = 0
        self.events = []

    def send(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(timeout=2 * PATIENCE))
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def open(self, url, width=1280, height=800, *, scale=1, mobile=False, dark=False):
        """A page in a context of its own: no page shares another's storage."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(self, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], target)
        page.send("Page.enable")
        page.send("Runtime.enable")
        page.send("Network.enable")
        page.send("Log.enable")
        page.size(width, height, scale=scale, mobile=mobile)
        if dark:
            page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.go(url)
        return page

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait(PATIENCE)


class Page:
    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target

    def send(self, method, **parameters):
        return self.browser.send(method, self.session, **parameters)

    def size(self, width, height, *, scale=1, mobile=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        if mobile:
            self.send("Emulation.setTouchEmulationEnabled", enabled=True)
            self.send("Emulation.setEmitTouchEventsForMouse", enabled=False)

    def go(self, url):
        self.send("Page.navigate", url=url)

    def value(self, expression):
        """What an expression is; waits for a promise."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    @property
    def state(self):
        return self.value("document.body?.dataset.state")

    @property
    def message(self):
        return self.value("document.getElementById('message')?.textContent")

    @property
    def rows(self):
        """The terminal's lines, without trailing blanks."""
        return self.value("globalThis.postern?.view.text ?? []")

    @property
    def screen(self):
        return "\n".join(self.rows)

    def wait(self, text):
        return wait_for(lambda: text in self.screen and self.screen,
                        lambda: f"{text!r} in the page, which is {self.state}: {self.message}\n{self.screen}")

    def wait_state(self, state):
        return wait_for(lambda: self.state == state, lambda: f"the state {state}; it is {self.state}: {self.message}")

    def type(self, text):
        for character in text:
            self.key("Enter" if character == "\n" else character)

    def key(self, key, *, control=False, alt=False, shift=False):
        modifiers = (1 if alt else 0) + (2 if control else 0) + (8 if shift else 0)
        code = {"Enter": 13, "Escape": 27, "Tab": 9, "Backspace": 8}.get(key) or (ord(key.upper()) if len(key) == 1 else 0)
        event = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        text = "\r" if key == "Enter" else key if len(key) == 1 and not control else None
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def mouse(self, kind, x, y, **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector):
        x, y = self.value(f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                          "return [box.x + box.width / 2, box.y + box.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def picture(self, path):
        data = self.send("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def problems(self):
        """What the console says."""
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            parameters = event.get("params", {})
            if event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
            if event["method"] == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"]["exception"].get("description", ""))
        return found
