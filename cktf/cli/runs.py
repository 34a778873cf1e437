"""The commands that look at runs and their trials, and what differs between two."""

import time
from typing import Annotated

import typer

from cktf.cli.arguments import RunDirectory
from cktf.cli.terminal import out, say, table_of, warn
from cktf.errors import RunNotFound, UserError, naming

# PyTorch, and for most commands all else, is imported by the commands that need it.

WATCH_SECONDS = 2.0
"""Time between two looks of 'cktf status --watch'."""

TrialId = Annotated[str | None, typer.Argument(help="Beginning of a trial's id.", show_default=False)]


def list_runs(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder or a bucket's URI.")] = "runs",
) -> None:
    """List the runs in a folder and its folders: the question of each, how it stands, its report's verdicts."""
    from analysis.ledger.pieces import fingerprint, ledger_files
    from cktf.run.listing import runs_below, verdicts_in_words
    from cktf.run.progress import read_run, standing
    from cktf.storage import Storage, open_folder

    top, rows, unread = Storage(folder), [], []
    for run in runs_below(top):
        try:
            study, state = read_run(run.root)
            with naming(run.root):
                ledger = fingerprint(ledger_files(open_folder(run.root)))
            name = run.path.removeprefix(top.path).lstrip("/") or run.path
            rows.append((name, study.question, standing(run, state), verdicts_in_words(run, ledger)))
        except UserError as error:
            unread.append(error)
    if not rows and not unread:
        raise RunNotFound(f"{top.root}: there is no run in it; 'cktf launch STUDY' starts one below runs")
    out.print(table_of(("run", "question", "trials", "verdicts"), rows))
    warn(unread)


def status(
    run: RunDirectory,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until the run ends, or Ctrl-C.")] = False,
) -> None:
    """Show the progress of a run, also while it is running."""
    from rich.live import Live

    from cktf.run.ledger import is_in_use
    from cktf.run.progress import read_run, standing
    from cktf.run.progress import status as run_status
    from cktf.storage import Storage

    table, place, last = run_status(run), Storage(run), ""
    if not watch:
        out.print(table)
        return
    with Live(table, console=out, auto_refresh=False) as live:  # in a pipe it prints the last table alone
        is_running = True
        while is_running:
            is_running = is_in_use(place)  # before the ledger is read, so that the last table has the last rows
            live.update(run_status(run), refresh=out.is_terminal)
            line = "" if out.is_terminal else standing(place, read_run(run)[1])
            if line != last:
                say([line])
            last = line
            time.sleep(WATCH_SECONDS * is_running)


def show(
    run: RunDirectory,
    trial: TrialId = None,
    arm: Annotated[str | None, typer.Option(help="Instead: name of the arm, or 'CONTEXT: NAME'.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --arm: the replicate.")] = None,
) -> None:
    """Show one trial of a run: its status, curve, files, and what sets it apart from the baseline."""
    from cktf.run.ledger import read_ledger
    from cktf.run.one_trial import changes_of, facts_of, find_trial
    from cktf.run.progress import read_run
    from cktf.storage import TRIALS, Storage, below

    study, state = read_run(run, read_ledger)
    found = find_trial(state, trial, arm, seed)
    folder = Storage(run).child(TRIALS, found.planned.trial_id)
    with naming(folder.root):
        files = [below(folder.root, name) for name in folder.names()]
    out.print(table_of(("", ""), facts_of(found, study)))
    _print_changes(("baseline", found.planned.arm), changes_of(found, state, study))
    say(files)


def delete(
    run: RunDirectory,
    trial: TrialId = None,
    arm: Annotated[str | None, typer.Option(help="Instead: name of the arm, or 'CONTEXT: NAME'.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --arm: the replicate.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the report.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a trial's files and withdraw its result: reports say so, and 'resume --retry-failed' runs it again."""
    from cktf.run.withdrawal import withdraw

    def is_sure(what: str) -> bool:
        return yes or typer.confirm(f"{what}: delete its files and withdraw its result?")

    if said := withdraw(run, is_sure, trial, arm, seed, reason):
        say([said])


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A study file or a run directory.")],
    other: Annotated[str | None, typer.Argument(metavar="B", help="Another; without it, arms of A.")] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Arm of both, or given twice of A and of B; of A alone against the baseline or each other."),
    ] = None,
) -> None:
    """Show the settings that differ between two studies or runs, or between two arms."""
    from cktf.run.differences import differing

    _print_changes(*differing(one, other, arm or ()))


def _print_changes(sides: tuple[str, str], changes: list[tuple[str, object, object]]) -> None:
    from cktf.study.yaml_text import in_one_line

    if not changes:
        say([f"no setting differs between {sides[0]} and {sides[1]}"])
        return
    rows = [(path, *("" if value is None else in_one_line(value) for value in both)) for path, *both in changes]
    out.print(table_of(("setting", *sides), rows))
