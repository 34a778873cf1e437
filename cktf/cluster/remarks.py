"""Warnings that a worker logs while it trains, collected for the driver, which shows them."""

import logging

_MOST = 20
"""Most remarks between two epochs of a trial."""


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.said) < _MOST:
            self.said.append(record.getMessage())


_collected = _Collected()
logging.getLogger("cktf").addHandler(_collected)


def remarks() -> list[str]:
    """Return what was logged as a warning in this process since the last call."""
    said, _collected.said = _collected.said, []
    return said
