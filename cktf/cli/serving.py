"""Serves the page of a run's report to a browser on this machine, and writes it anew as the run grows."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from analysis.ledger.pieces import fingerprint, ledger_files
from cktf.cli.terminal import say, warn
from cktf.errors import InputError
from cktf.rows import Status
from cktf.storage import open_folder, read

if TYPE_CHECKING:
    from analysis.report.write import ReportPaths

LOOK_SECONDS, HOLD_SECONDS = 3.0, 30.0
"""Time between two looks at the ledger; time for which a browser that has the newest page waits for a newer one."""


class _Pages(ThreadingHTTPServer):
    """Serves the newest page. A page may load nothing by itself, so a header asks the browser to load it again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.changed = threading.Condition()
        self.page, self.tag, self.is_open = b"", "", True

    def show(self, paths: "ReportPaths") -> None:
        folder, _, name = paths.html.rpartition("/")
        with self.changed:
            self.page, self.tag = read(open_folder(folder), name), f'"{time.time_ns()}"'
            self.is_open = bool(paths.results.trials["status"].isin((Status.PLANNED, Status.RUNNING)).any())
            self.changed.notify_all()


class _Answer(BaseHTTPRequestHandler):
    server: _Pages

    def do_GET(self) -> None:
        pages, known = self.server, self.headers.get("If-None-Match")
        hosts = {f"{host}:{pages.server_port}" for host in ("127.0.0.1", "localhost")}
        if self.path != "/" or self.headers.get("Host") not in hosts:  # a page of another name may not read this one
            self.send_error(404)
            return
        with pages.changed:
            pages.changed.wait_for(lambda: known != pages.tag or not pages.is_open, HOLD_SECONDS)
            page, tag, refresh = pages.page, pages.tag, {"Refresh": "1"} if pages.is_open else {}
        self.send_response(304 if known == tag else 200)
        for name, value in {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": "text/html", **refresh}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if known == tag else page)

    def log_message(self, *_: object) -> None:
        """Print nothing for each request."""


def serve_page(run: str, paths: "ReportPaths", write: "Callable[[], ReportPaths]") -> None:
    """Serve a run's report until Ctrl-C; ``write`` writes it again whenever the ledger has grown."""
    folder = open_folder(run)
    with _Pages() as pages:
        seen = fingerprint(ledger_files(folder))
        pages.show(paths)
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        say([f"http://127.0.0.1:{pages.server_port}/  # for this machine alone; Ctrl-C ends it"])
        try:
            while True:
                time.sleep(LOOK_SECONDS)
                if (now := fingerprint(ledger_files(folder))) != seen:
                    try:
                        pages.show(write())
                        seen = now
                    except InputError as error:  # as of a line that is just being written; the page stays
                        warn([error])
        except KeyboardInterrupt:
            pages.shutdown()
