"""The small study of the command line's tests."""

from tests.cli.commands import study

__all__ = ["study"]
