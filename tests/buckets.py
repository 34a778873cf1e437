"""A bucket for tests: moto's S3 server, a process of its own, behind a proxy that makes requests fail or wait."""

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "none", "AWS_EC2_METADATA_DISABLED": "true"}

Fault = Callable[[str, str], int]
"""Given method and path of a request, its HTTP status if it fails, `DROPPED`, or 0 if it succeeds."""

DROPPED = -1

START_SECONDS = 120.0


class Proxy(ThreadingHTTPServer):
    """Forwards requests to an S3 server, unless they fail.

    Attributes:
        fault: Which requests fail.
        delay: Seconds that each request waits.
        requests: Method and path of every request so far.
        most: Most requests at the same time so far.
    """

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port = port
        self.reset()

    def reset(self) -> None:
        self.fault: Fault = lambda *_: 0
        self.delay = 0.0
        self.requests: list[tuple[str, str]] = []
        self.now = self.most = 0
        self.lock = threading.Lock()

    def uri(self, name: str) -> str:
        """Return the URI of a folder in the bucket."""
        return f"s3://bucket/{name}?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{self.server_port}"

    @contextmanager
    def failing(self, fault: Fault, seconds: float = 0.0) -> Iterator[None]:
        """Let requests fail meanwhile, or for so many seconds."""
        self.fault = fault
        timer = threading.Timer(seconds, self._mend)
        if seconds:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._mend()

    def _mend(self) -> None:
        self.fault = lambda *_: 0

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def forward(self) -> None:
        body = self._body()
        proxy = self.server
        with proxy.lock:
            proxy.requests.append((self.command, self.path))
            proxy.now += 1
            proxy.most = max(proxy.most, proxy.now)
        try:
            time.sleep(proxy.delay)
            status = proxy.fault(self.command, self.path)
            if status == DROPPED:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif status:
                self._answer(status, [], b"")
            else:
                connection = http.client.HTTPConnection("127.0.0.1", proxy.port)
                others = ("expect", "transfer-encoding", "content-length")
                headers = {name: value for name, value in self.headers.items() if name.lower() not in others}
                connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
                answer = connection.getresponse()
                self._answer(answer.status, answer.getheaders(), answer.read())
                connection.close()
        finally:
            with proxy.lock:
                proxy.now -= 1

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        named = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if "content-length" not in named:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def served() -> Iterator[Proxy]:
    """Start the server, with one empty bucket, and the proxy before it."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        _make_bucket(port)
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
        server.kill()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _make_bucket(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("PUT", "/bucket", headers={"Content-Length": "0"})
            assert connection.getresponse().status == 200
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
