"""Fixtures of the data sets' tests."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch

from cktf.data import DATASETS, Augmentation, Dataset
from tests.data.generated import generate


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store decoded images outside of the user's own folder, and return where."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CKTF_DATA", str(folder))
    return folder / "pixels"


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a generated data set of every kind, to be read only."""
    folder = tmp_path_factory.mktemp("generated")
    for name in DATASETS:
        generate(name, folder)
    return folder


@pytest.fixture
def numbered() -> Dataset:
    """Return a data set whose every pixel of the training image in row r has the value r."""
    rows = torch.arange(101, dtype=torch.uint8)
    return Dataset(
        train_images=rows.view(-1, 1, 1, 1).expand(-1, 2, 4, 6).contiguous(),
        train_labels=torch.arange(101) % 4,
        test_images=torch.full((7, 2, 4, 6), 255, dtype=torch.uint8),
        test_labels=torch.arange(7) % 4,
        num_classes=4,
        mean=torch.tensor([0.0, 0.5]),
        std=torch.tensor([1.0, 0.5]),
        standard_augmentation=Augmentation(crop=1, flip=True),
    )


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """Yield a folder and the address at which this machine serves it."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
