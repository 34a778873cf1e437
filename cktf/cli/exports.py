"""The commands that take results and students out of a run, into other tools."""

import threading
import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from wsgiref.simple_server import WSGIRequestHandler, make_server

import typer

from cktf.cli.arguments import RunDirectory
from cktf.cli.terminal import say
from cktf.errors import InputError, UserError

FOLLOW_SECONDS = 10.0
"""Time between two looks of 'cktf export --follow'."""


class Target(StrEnum):
    """Formats and tools that a student, or a run, can be exported to."""

    TORCH = "torch"
    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"
    OPTUNA = "optuna"


STUDENTS = {Target.TORCH, Target.TORCHSCRIPT, Target.ONNX}
"""Targets that take one student; the others take all trials of a run."""


def export(
    run: Annotated[str, typer.Argument(help="A run directory; of a student also its file.", show_default=False)],
    to: Annotated[Target, typer.Option("--to", help="A student's format, or a tool for all trials.")],
    out_file: Annotated[str | None, typer.Option("--out", help="File or folder that is written; a tool's URL.")] = None,
    arm: Annotated[str | None, typer.Option(help="Of a student: its arm, or 'CONTEXT: NAME'.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --arm: the replicate.")] = None,
    trial: Annotated[str | None, typer.Option(help="Instead: beginning of a trial's id.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Of a tool: go on as results come, until the run ends, or Ctrl-C.")
    ] = False,
) -> None:
    """Write a student for other programs, or all trials into TensorBoard, MLflow, Weights & Biases or Optuna."""
    if to in STUDENTS:
        from cktf.run.students import export_student

        if follow:
            raise UserError(f"--follow: is of a tool, and --to {to} is a student's format")
        say([export_student(run, to, out_file, arm=arm, seed=seed, trial=trial)])
        return
    if (arm, seed, trial) != (None, None, None):
        raise UserError(f"--arm, --seed, --trial: are of one student, and --to {to} takes all trials")
    from analysis.exports import export as export_run
    from analysis.loading import load
    from cktf.run.ledger import is_in_use
    from cktf.storage import Storage

    place, is_running = out_file or _place(run, to), True
    while is_running:
        is_running = follow and is_in_use(Storage(run))  # before the ledger is read, so that the last look sees its end
        say([f"{place}: {export_run(load(run), to, place)} trials added or brought up to date"])
        time.sleep(FOLLOW_SECONDS * is_running)


def dashboard(
    run: RunDirectory,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On this machine alone.")] = 8080,
) -> None:
    """Open optuna-dashboard on a copy of a run's trials, on this machine alone; Ctrl-C ends it."""
    try:
        from optuna_dashboard import wsgi  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise InputError("optuna-dashboard is not installed: pip install 'cktf[trackers]'") from error
    from analysis.exports import export as export_run
    from analysis.loading import load

    place = _place(run, Target.OPTUNA)
    export_run(load(run), Target.OPTUNA, place)
    try:
        server = make_server("127.0.0.1", port, wsgi(f"sqlite:///{place}"), handler_class=_Answer)
    except OSError as error:
        raise InputError(f"--port: {port} cannot be listened on: {error.strerror}; name another one") from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say([f"http://127.0.0.1:{port}/  # for this machine alone; Ctrl-C ends it"])
        with suppress(KeyboardInterrupt):  # heard here; a request that is being answered would take it for an error
            threading.Event().wait()
        server.shutdown()


class _Answer(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing for each request."""


def _place(run: str, to: Target) -> str:
    """Return where a tool's files go by default: into the folder ``exports`` of a run on this machine."""
    from analysis.exports import EXPORTERS
    from cktf.storage import Storage

    storage = Storage(run)
    if not storage.is_local:
        raise InputError(f"{run}: is not on this machine; 'cktf export' with --to {to} takes a place by --out")
    return str(Path(storage.path) / "exports" / EXPORTERS[to])
