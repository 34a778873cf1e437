"""The command line: parse, call, print.

Exit codes: 0 done; 1 some trials failed; 2 the input is wrong (one message, no traceback); 3 the Ray cluster was lost;
70 a fault of the program; 130 interrupted (Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2).
"""

import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cktf.cli import exports, networks, results, runs, studies
from cktf.cli.studies import SOME_FAILED as SOME_FAILED
from cktf.cli.terminal import out, warn
from cktf.errors import INTERRUPTED, LOST_CLUSTER, ClusterLost, UserError, fault
from cktf.own_analysis import require_own_analysis
from cktf.plugins import ORIGINS, raised_in

WRONG_INPUT = 2
FAULT = 70

OF_TRAINING = {"cmaes", "optuna", "PIL", "ray", "safetensors", "sklearn", "sqlalchemy", "torch", "torchvision"}
"""Modules that are installed with the extra ``train``."""

app = typer.Typer(
    name="cktf",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find out which parts of a knowledge-transfer recipe matter, and by how much.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        out.print(f"cktf {version('cktf')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
) -> None: ...


class _Command(TyperCommand):
    """A command that ends every exception in one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        try:
            require_own_analysis()
            return super().invoke(ctx)
        except UserError as error:
            warn([error], style="red")
            raise typer.Exit(LOST_CLUSTER if isinstance(error, ClusterLost) else WRONG_INPUT) from None
        except KeyboardInterrupt:
            warn(["interrupted"])
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in OF_TRAINING:
                warn([f"cktf {ctx.info_name} needs the training half: pip install 'cktf[train]'"], style="red")
                raise typer.Exit(WRONG_INPUT) from None
            if said := raised_in(error, ORIGINS.values()):
                warn([said], style="red")
                raise typer.Exit(WRONG_INPUT) from None
            warn([fault(error)], style="red")
            raise typer.Exit(FAULT) from None


for _each in (
    *(studies.examples, studies.init, studies.validate, studies.new, studies.launch, studies.resume, studies.extend),
    *(studies.measure, runs.list_runs, runs.status, runs.show, runs.diff, runs.delete, studies.explain, studies.schema),
    *(results.report, results.compare, results.plot, exports.export, exports.dashboard),
    *(studies.train, studies.convert_teacher, networks.layers),
):
    app.command(_each.__name__.removesuffix("_runs").replace("_", "-"), cls=_Command)(_each)


def main() -> None:
    """Run the command line."""
    # A terminal without UTF-8, or a path with odd bytes, must not keep anything from being said.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
