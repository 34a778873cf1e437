"""The command line: parse, call, print.

Exit codes: 0 done; 1 some trials failed; 2 the input is wrong (one message, no traceback); 70 a fault of the program;
130 interrupted (Ctrl-C, SIGTERM).
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from enum import StrEnum
from importlib.metadata import version
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from cktf.cli.terminal import answer_table, names_table
from cktf.errors import UserError, fault
from cktf.foreign_options import TAKES, Options

# Ray, PyTorch and the analysis are imported by the commands that need them, so that --help answers at once.
if TYPE_CHECKING:
    from analysis.ledger.collect import Engine
    from cktf.launch import Summary
    from cktf.study.spec import StudySpec

WRONG_INPUT = 2
SOME_FAILED = 1
FAULT = 70
INTERRUPTED = 130

FOREIGN = "Results that were not measured here"
"""Heading of the options of foreign results in the help."""

app = typer.Typer(
    name="cktf",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find out which parts of a knowledge-transfer recipe matter, and by how much.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(emoji=False)
err = Console(stderr=True, emoji=False)

StudyFile = Annotated[
    Path, typer.Argument(help="A study: a YAML file, see search_spaces/.", show_default=False)
]
RunDirectory = Annotated[
    str, typer.Argument(help="A run directory: a folder or a bucket's URI.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Replace one value of the study, e.g. baseline.epochs=2."
    ),
]
Address = Annotated[
    str | None, typer.Option(help="A running Ray cluster; without it, Ray is started on this machine.")
]


Smoke = Annotated[
    bool,
    typer.Option(
        "--smoke", help="Only see whether it works: a few generated images, an epoch or two, on the CPU."
    ),
]


class ReportEngine(StrEnum):
    """What reads a ledger for a report."""

    LOCAL = "local"
    RAY = "ray"


@contextmanager
def _one_clear_message() -> Iterator[None]:
    """Turn what the user can mend into one message and exit code 2, and tell any other exception from it."""
    try:
        yield
    except UserError as error:
        _say_what_is_wrong(error)
        raise typer.Exit(WRONG_INPUT) from None
    except (typer.Exit, KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception as error:
        _say_what_is_wrong(fault(error))
        raise typer.Exit(FAULT) from None


def _say_what_is_wrong(error: object) -> None:
    err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)


def _load(study: Path, overrides: list[str] | None, *, smoke: bool) -> "StudySpec":
    from cktf.study.load import load_study
    from cktf.study.smoke import smoke_study

    spec = load_study(study, overrides or ())
    return smoke_study(spec) if smoke else spec


def _say_version(is_asked: bool) -> None:
    if is_asked:
        out.print(f"cktf {version('cktf')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """Find out which parts of a knowledge-transfer recipe matter, and by how much."""


@app.command()
def validate(study: StudyFile, overrides: Overrides = None, smoke: Smoke = False) -> None:
    """Check a study without running it, and show what it would run. Image folders are looked at, all else by launch."""
    with _one_clear_message():
        from analysis.statistics.verdicts import detectable_text
        from cktf.run.preflight import remarks_on_data
        from cktf.study import in_words
        from cktf.study.designs import plan_arms
        from cktf.study.paths import leaves

        spec = _load(study, overrides, smoke=smoke)
        arms = plan_arms(spec)
        remarks = remarks_on_data(spec)
    out.print(spec.question, style="bold", markup=False)
    if spec.search:
        table = Table("factor", "domain")
        for path, domain in spec.search.items():
            table.add_row(Text(path), Text(in_words.domain_in_words(domain)))
    else:
        if spec.contexts is not None:
            table = Table("context", "what it sets", "arms that are skipped")
            for context, patch in spec.contexts.items():
                skipped = ", ".join(spec.skip.get(context, ()))
                table.add_row(Text(context), Text(in_words.levels_in_words(leaves(patch))), Text(skipped))
            out.print(table)
        table = Table("arm", "what differs from the baseline")
        for name, params in {arm.name: arm.params for arm in arms}.items():
            table.add_row(Text(name), Text(in_words.levels_in_words(params)))
    out.print(table)
    _say_what_to_know((), in_words.similar_in_words(spec))
    lines = [in_words.plan_in_words(spec, arms), *in_words.confounded_in_words(spec)]
    if compared := in_words.comparisons_of(spec, arms):
        lines.append(detectable_text(*compared))
    _say_what_to_know(lines, [*in_words.alike_in_words(spec, arms), *remarks])


@app.command()
def launch(
    study: StudyFile,
    run_dir: Annotated[
        str | None,
        typer.Option(help="Where the run is kept; default runs/<study>, of a smoke run runs/<study>-smoke."),
    ] = None,
    overrides: Overrides = None,
    address: Address = None,
    smoke: Smoke = False,
) -> None:
    """Run a study's trials on Ray. Launching again into the same run directory goes on where it stopped."""
    with _one_clear_message():
        from cktf.launch import launch as launch_study
        from cktf.run.preflight import remarks_on_data
        from cktf.study import in_words
        from cktf.study.designs import plan_arms

        spec = _load(study, overrides, smoke=smoke)
        arms = plan_arms(spec)
        _say_what_to_know((), [*in_words.alike_in_words(spec, arms), *remarks_on_data(spec)])
        place = f"runs/{spec.name}-smoke" if smoke else f"runs/{spec.name}"
        summary = launch_study(spec, place if run_dir is None else run_dir, address=address)
    _finish(summary)


@app.command()
def resume(
    run: RunDirectory,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials once more.")
    ] = False,
    address: Address = None,
) -> None:
    """Go on with a run after anything: a crash, a lost machine, Ctrl-C."""
    from cktf.launch import resume as resume_run

    summary = resume_run(run, retry_failed=retry_failed, address=address)
    _finish(summary)


@app.command()
def extend(
    run: RunDirectory,
    trials: Annotated[int, typer.Option(min=0, help="More trials of a search.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=0, help="More seeds for every arm of a design, or of a search's confirm stage.")
    ] = 0,
    address: Address = None,
) -> None:
    """Add trials or seeds to a run; what is there is kept."""
    from cktf.launch import extend as extend_run

    summary = extend_run(run, trials=trials, seeds=seeds, address=address)
    _finish(summary)


@app.command()
def status(run: RunDirectory) -> None:
    """Show how a run stands, from its ledger alone; also while it is running."""
    from cktf.run.progress import status as run_status

    out.print(run_status(run))


def _with_foreign_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that has each field of `Options` as an option of its own."""
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
                    rich_help_panel=FOREIGN,
                ),
            ],
        )
        for of in fields(Options)
    ]
    parameters = [of for name, of in own.parameters.items() if name != "options"]
    run.__signature__ = own.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    return run


@app.command()
@_with_foreign_options
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories: folders or URIs; or what --from reads.",
            show_default=False,
        ),
    ],
    out_dir: Annotated[
        str | None, typer.Option("--out", help="Where it is written; default, of one run: RUN/report.")
    ] = None,
    engine: Annotated[
        ReportEngine, typer.Option(help="What reads the ledger: this process, or Ray Data on all machines.")
    ] = ReportEngine.LOCAL,
    address: Address = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="KIND", help=f"What is read: {', '.join(TAKES)}.", rich_help_panel=FOREIGN
        ),
    ] = None,
    *,
    options: Options,
) -> None:
    """Turn runs, or foreign results, into Parquet tables, statistics, figures and one HTML page.

    Runs of one study are united; runs of different studies are contexts, each with its own baseline.
    """
    with _one_clear_message():
        _refuse_another_analysis()
        from analysis.report.tables import main_tables
        from analysis.report.write import report_on

        if address is not None and engine is not ReportEngine.RAY:
            raise UserError(f"--address {address}: only --engine ray joins a cluster")
        if engine is ReportEngine.RAY and (len(runs) > 1 or kind is not None):
            raise UserError(
                "--engine ray: it reads the ledger of one run, not of several, and no foreign results"
            )
        with _ledger_reader(engine, address) as reader:
            paths = report_on(runs, out_dir, kind, options, reader)
    for answer in main_tables(paths.results):
        rows, notes = answer.narrow()
        out.print(answer_table(answer.title, rows, [*notes, answer.remark]))
    for part, reason in paths.unmade.items():
        _say_what_is_wrong(f"{part} {reason}")
    for path in paths.files:
        out.print(str(path), markup=False, highlight=False, soft_wrap=True)


@app.command()
def plot(
    run: RunDirectory,
    figure: Annotated[
        str | None, typer.Option(help="Which one; without it, those that apply to the run are listed.")
    ] = None,
    out_file: Annotated[
        str | None,
        typer.Option("--out", help="Its file: .svg, .pdf, .png, .html or .json; default NAME.svg."),
    ] = None,
    factor: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A factor to look at, where the figure is of one or two of them."),
    ] = None,
) -> None:
    """Write one figure of a run, or list those that apply to it."""
    _refuse_another_analysis()
    from analysis.figures.drawing import applicable
    from analysis.load import load
    from analysis.report.drawing import WITHOUT_FIGURE, write_figure

    if figure is None and (out_file or factor):
        raise UserError(WITHOUT_FIGURE)
    results = load(run)
    if figure is None:
        out.print(names_table(applicable(results)))
        return
    written = write_figure(results, figure, out_file or f"{figure}.svg", factor or ())
    out.print(written, markup=False, highlight=False, soft_wrap=True)


@app.command()
def train(
    study: StudyFile,
    arm: Annotated[str, typer.Option(help="Name of the arm, as `cktf validate` shows it.")] = "baseline",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The replicate.")] = 0,
    context: Annotated[
        str | None, typer.Option(help="Name of the context, in a study that has several.")
    ] = None,
    overrides: Overrides = None,
    smoke: Smoke = False,
) -> None:
    """Train one trial in this process, without Ray: for debugging. Only the cached teacher is written."""
    with _one_clear_message():
        from cktf.names import as_name
        from cktf.run.preflight import remarks_on_data, require_runnable
        from cktf.study.designs import every_arm
        from cktf.study.problems import StudyError
        from cktf.trainer.train import TrainingFailed
        from cktf.trial.run import run_trial

        spec = _load(study, overrides, smoke=smoke)
        arm, context = as_name(arm), context if context is None else as_name(context)
        if context is None:
            context, *others = spec.baselines
            if others:
                raise StudyError(f"--context: the study has several; name one of {', '.join(spec.baselines)}")
        elif context not in (spec.contexts or {}):
            known = ", ".join(spec.contexts or ()) or "none"
            raise StudyError(f"--context {context}: the study has no such context; it has: {known}")
        arms = {planned.name: planned for planned in every_arm(spec) if planned.context == context}
        if arm not in arms:
            within = f" in context {context}" if context else ""
            raise StudyError(f"--arm {arm}: the study has no such arm{within}; it has: {', '.join(arms)}")
        config = arms[arm].config.with_seed(seed)
        _say_what_to_know((), remarks_on_data(spec))
        require_runnable(spec, replace(arms[arm], config=config))
        try:
            for result in run_trial(config, spec.train_options(read_test=False, teacher_is_scored=True)):
                score = result.validation_accuracy
                validation = "" if score is None else f"validation {score:.2f} %  "
                out.print(
                    f"epoch {result.epoch:>3}/{config.total_epochs}  {result.phase}  loss {result.train_loss:.4f}  "
                    f"{validation}{result.epoch_seconds:.1f} s",
                    highlight=False,
                )
        except TrainingFailed as error:
            _say_what_is_wrong(error)
            raise typer.Exit(SOME_FAILED) from None


@app.command()
def convert_teacher(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A teacher's checkpoint.", show_default=False)],
    target: Annotated[
        Path, typer.Argument(metavar="OUT.safetensors", help="What is written.", show_default=False)
    ],
) -> None:
    """Take the weights out of a checkpoint and write them as safetensors; no code in it is run."""
    from cktf.trial.weights import convert_weights

    convert_weights(source, target)
    out.print(str(target), markup=False, highlight=False, soft_wrap=True)


def _refuse_another_analysis() -> None:
    """Refuse to go on where another module is found under the name of the half that analyses."""
    own = Path(__file__).resolve().parents[1] / "analysis" / "__init__.py"
    found = find_spec("analysis")
    places = [found.origin, *(found.submodule_search_locations or ())] if found else []
    places = [place for place in places if place]
    if places and Path(places[0]).resolve() != own:
        raise UserError(
            f"{places[0]}: this module is called analysis and hides {own.parent}, which the report is made by; rename "
            "it, or run the command 'cktf' in another folder"
        )


@contextmanager
def _ledger_reader(engine: ReportEngine, address: str | None) -> "Iterator[Engine]":
    """Yield what reads a ledger, connected to Ray as long as it is needed."""
    if engine is ReportEngine.LOCAL:
        from analysis.ledger.in_memory import RowsInMemory

        yield RowsInMemory
        return
    from cktf.cluster.environment import prepare

    if warning := prepare(is_local=address is None):
        _say_what_to_know((), [warning])
    from cktf.cluster.ledger_tables import RowsOnRay
    from cktf.cluster.nodes import connected

    with connected(address):
        yield RowsOnRay


def _say_what_to_know(lines: Iterable[str], warnings: Iterable[str] = ()) -> None:
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    for warning in warnings:
        err.print(warning, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _finish(summary: "Summary") -> None:
    for reason, count in summary.failures.items():
        err.print(f"{count} failed: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
    out.print(summary.in_words(), markup=False)
    if summary.is_interrupted:
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(SOME_FAILED)


class _Command(TyperCommand):
    """A command of which whatever it raises, while it prints too, ends in one message."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        with _one_clear_message():
            return super().invoke(ctx)


for _each in app.registered_commands:
    _each.cls = _Command


def main() -> None:
    """Enter the command line."""
    # A terminal without UTF-8, or a path with odd bytes, must not keep anything from being said.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
