"""Options of ``cktf report`` that say of foreign results what these do not say themselves."""

from typing import Annotated

import typer

PANEL = "Results that were not measured here"
"""Heading of these options in the help."""

Kind = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="KIND", help="csv, optuna or ray-tune: what is read.", rich_help_panel=PANEL
    ),
]
Study = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="optuna: which study of the storage.", rich_help_panel=PANEL),
]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="csv, ray-tune: the column or key that is compared.", rich_help_panel=PANEL
    ),
]
Minimise = Annotated[
    bool,
    typer.Option("--minimise", help="csv, ray-tune: a smaller metric is better.", rich_help_panel=PANEL),
]
Maximise = Annotated[
    bool,
    typer.Option("--maximise", help="csv, ray-tune: a larger metric is better.", rich_help_panel=PANEL),
]
Arm = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="csv: the arms' names; default arm.", rich_help_panel=PANEL),
]
Seed = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="csv: the seeds, whole numbers; default seed.", rich_help_panel=PANEL
    ),
]
Context = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="csv: the contexts, where there are several.", rich_help_panel=PANEL),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="ARM", help="csv: what is compared with; default baseline.", rich_help_panel=PANEL),
]
Delta = Annotated[
    float | None,
    typer.Option(help="csv: the smallest effect that matters, in the metric's unit.", rich_help_panel=PANEL),
]
Status = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="csv: how a trial ended; default a column status, state or outcome.",
        rich_help_panel=PANEL,
    ),
]
