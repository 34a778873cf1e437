"""Options of foreign results on a command: one for each field of `Options`."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

import typer

from cktf.foreign_options import Options

PANEL = "Results that were not measured here"
"""Heading of these options in the help."""


def with_foreign_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes each field of `Options` as an option, in place of its argument ``options``."""
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = Options(**{of.name: given.pop(of.name) for of in fields(Options)})
        command(**given, options=options)

    added = [
        inspect.Parameter(
            of.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=of.default,
            annotation=Annotated[
                of.type,
                typer.Option(
                    f"--{of.name}",
                    metavar=of.metadata["metavar"],
                    help=of.metadata["help"],
                    rich_help_panel=PANEL,
                ),
            ],
        )
        for of in fields(Options)
    ]
    parameters = [of for name, of in own.parameters.items() if name != "options"]
    run.__signature__ = own.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    return run
