"""The page of a run, served to this machine."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from cktf.cli import serving
from cktf.cli.serving import _Pages, serve_page
from tests.cli.commands import cktf


def report(folder: Path, text: str, status: str) -> Any:
    """Return what a written report of one trial says of itself."""
    (folder / "report.html").write_text(text)
    trials = pd.DataFrame({"status": [status]})
    return SimpleNamespace(html=str(folder / "report.html"), results=SimpleNamespace(trials=trials))


def get(port: int, path: str = "/", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[_Pages]:
    with _Pages() as served:
        served.show(report(tmp_path, "first", "running"))
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        served.shutdown()


def test_a_browser_that_has_the_page_gets_the_next_as_soon_as_there_is_one(pages: _Pages, tmp_path: Path) -> None:
    port = pages.server_port
    assert pages.server_address[0] == "127.0.0.1"
    status, text, headers = get(port)
    assert (status, text, headers["Refresh"]) == (200, "first", "1")
    threading.Timer(0.2, lambda: pages.show(report(tmp_path, "second", "complete"))).start()
    status, text, later = get(port, If_None_Match=headers["ETag"])
    assert (status, text) == (200, "second")
    assert "Refresh" not in later, "the study is over"
    assert get(port, If_None_Match=later["ETag"])[:2] == (304, "")


def test_nothing_but_the_page_is_served_and_that_under_no_other_name(pages: _Pages) -> None:
    assert get(pages.server_port, "/ledger/000001.jsonl")[0] == 404
    assert get(pages.server_port, Host="elsewhere.example")[0] == 404


def test_the_report_is_written_again_when_the_ledger_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LOOK_SECONDS", 0.01)
    (tmp_path / "ledger").mkdir()
    written = []

    def write() -> Any:
        written.append(1)
        if len(written) == 2:
            raise KeyboardInterrupt
        (tmp_path / "ledger" / "000002.jsonl").write_text("more")
        return report(tmp_path, "again", "running")

    monkeypatch.setattr(serving, "say", lambda _: (tmp_path / "ledger" / "000001.jsonl").write_text("row"))
    serve_page(str(tmp_path), report(tmp_path, "first", "running"), write)
    assert len(written) == 2


def test_what_has_no_ledger_of_its_own_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,seed,acc\n")
    code, _, err = cktf("report", "a.csv", "--serve", cwd=tmp_path)
    assert code == 2
    assert "--serve: it shows one run" in err
