"""The fixtures of the loop's tests, for those of whole trials."""

from tests.trainer.conftest import cache, tiny

__all__ = ["cache", "tiny"]
