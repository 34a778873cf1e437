"""Debian's Chromium, driven over a pipe by its own protocol (DevTools), without any package."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


class Tab:
    """One tab of a browser: what is asked of it, and what it has told by itself.

    Attributes:
        requests: Addresses of everything that was asked for, in order.
        complaints: What stands in the console, and errors that no script caught.
    """

    def __init__(self, write: int, read: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._write, self._read = os.fdopen(write, "wb", 0), os.fdopen(read, "rb")
        self._numbers = itertools.count(1)
        self._session: dict[str, str] = {}
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one command."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters, **self._session}
        self._write.write(json.dumps(command).encode() + b"\0")
        while True:
            message = self._next_message()
            if message.get("id") == number:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer

    def open(self, page: Path) -> None:
        """Open a file and wait until it is loaded and its figures are drawn; what was told before is forgotten."""
        self.requests.clear()
        self.complaints.clear()
        self.ask("Page.navigate", url=page.as_uri())
        while self._next_message().get("method") != "Page.loadEventFired":
            pass
        self.run(
            "new Promise(drawn => { const look = () => [...document.querySelectorAll('.chart')]"
            ".every(chart => chart.querySelector('svg.marks')) ? drawn() : setTimeout(look, 20); look(); })"
        )

    def run(self, expression: str) -> Any:
        """Return the value of an expression in the page, awaited where it is a promise."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def look(self, *, width: int, scheme: str) -> None:
        """Make the window so wide, and the reader one who prefers this colour scheme."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[preferred])

    def _next_message(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        message: dict[str, Any] = json.loads(text)
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(told["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(told["entry"]["text"])
        return message

    def close(self) -> None:
        """Close both ends of the pipe."""
        self._write.close()
        self._read.close()


@contextmanager
def open_tab(profile: Path) -> Iterator[Tab]:
    """Give a tab of a browser of its own, which ends with it."""
    assert EXECUTABLE
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    # Chromium reads commands from file 3 and writes answers to file 4.
    command = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
    switches = [*SWITCHES, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    browser = subprocess.Popen(
        ["bash", "-c", command, "bash", str(to_browser), str(from_browser), EXECUTABLE, *switches],
        pass_fds=(to_browser, from_browser),
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    tab = None
    try:
        tab = Tab(write, read)
        yield tab
    finally:
        if tab:
            tab.close()
        browser.terminate()
        browser.wait(timeout=30)
