"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[
    Path, typer.Argument(help="A study: a YAML file, 'cktf examples' lists some.", show_default=False)
]
RunDirectory = Annotated[str, typer.Argument(help="A run directory: a folder or a bucket's URI.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Replace one value of the study, e.g. baseline.epochs=2."),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE", help="A plug-in that has some of it; 'measure' copies it to the run."),
]
Address = Annotated[str | None, typer.Option(help="A running Ray cluster; without it, Ray is started on this machine.")]
Cpus = Annotated[int | None, typer.Option(help="Take so many CPUs of this machine; without it, all that it may use.")]
Gpus = Annotated[int | None, typer.Option(help="Take so many GPUs of this machine; without it, all that it may use.")]
Smoke = Annotated[
    bool,
    typer.Option("--smoke", help="Only see whether it works: a few generated images, an epoch or two, on the CPU."),
]
