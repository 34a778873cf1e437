"""The commands that read a study or run one."""

import json
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from cktf.cli.arguments import Address, Cpus, Gpus, Overrides, Plugins, RunDirectory, Smoke, StudyFile
from cktf.cli.terminal import out, print_answers, say, table_of, warn
from cktf.errors import INTERRUPTED, InputError, naming, shown
from cktf.rows import Alternative

# Ray, PyTorch and the analysis are imported by the commands that need them, so that --help answers at once.
if TYPE_CHECKING:
    from cktf.driver import Summary
    from cktf.study.spec import StudySpec

SOME_FAILED = 1
SCHEMA = "study.schema.json"


def _load(study: Path, overrides: list[str] | None, *, smoke: bool) -> "StudySpec":
    from cktf.study.designs import smoke_study
    from cktf.study.load import load_study

    spec = load_study(study, overrides or ())
    return smoke_study(spec) if smoke else spec


def _to_be_run(study: Path, overrides: list[str] | None, *, smoke: bool = False) -> "StudySpec":
    """Return a study, and warn of what its user may not expect."""
    from cktf.run.preflight import remarks_on_data
    from cktf.study import in_words
    from cktf.study.designs import plan_arms

    spec = _load(study, overrides, smoke=smoke)
    warn([*in_words.alike_in_words(spec, plan_arms(spec)), *remarks_on_data(spec)])
    return spec


def validate(
    study: StudyFile,
    overrides: Overrides = None,
    smoke: Smoke = False,
    sd_from: Annotated[
        str | None,
        typer.Option("--sd-from", metavar="RUN", help="A run whose deviations say what is detected in points."),
    ] = None,
) -> None:
    """Check a study without running it, and show what it would run; launch also looks at its data and teachers."""
    from analysis.loading import load
    from analysis.planning import detectable_text, race_text, sds_of
    from cktf.looks import Race
    from cktf.run.preflight import remarks_on_data, remarks_on_networks, require_runnable
    from cktf.run.warm_start import observe, warm_start_in_words
    from cktf.study import in_words
    from cktf.study.designs import plan_arms

    spec = _load(study, overrides, smoke=smoke)
    arms = plan_arms(spec)
    if spec.plugins:  # only building shows whether these keep to their contracts
        require_runnable(spec)
    remarks = [*remarks_on_data(spec), *remarks_on_networks(spec)]
    out.print(spec.question, style="bold", markup=False)
    for head, rows in in_words.tables_of(spec, arms):
        out.print(table_of(head, rows))
    say([in_words.plan_in_words(spec, arms), in_words.kept_in_words(spec, arms), *in_words.confounded_in_words(spec)])
    if spec.warm_start:
        say([warm_start_in_words(observe(spec))])
    if compared := in_words.comparisons_of(spec, arms):
        is_one_sided, margin = spec.alternative != Alternative.TWO_SIDED, spec.margin or 0.0
        sds = {"expect_sd": spec.expect_sd} if spec.expect_sd else {}
        sds |= sds_of(load(sd_from), spec.columns[1]) if sd_from else {}
        is_race = spec.race is not None
        say([detectable_text(*compared, is_one_sided=is_one_sided, margin=margin, sds=sds, is_race=is_race)])
        if spec.race:
            sd = spec.expect_sd
            delta = spec.delta / sd if spec.delta and sd else None
            race = Race(spec.race.looks, spec.race.spending, int(is_one_sided), margin / sd if sd else 0.0, delta)
            say([race_text(race, spec.race.futility, compared[0], from_margin=bool(margin) and not sd)])
    warn([*in_words.alike_in_words(spec, arms), *in_words.shared_seeds_in_words(spec), *remarks])


def explain(
    key: Annotated[str, typer.Argument(help="Such as objective.cktf.temperature; without one: the first keys.")] = "",
    plugins: Plugins = None,
) -> None:
    """Show what a key of a study means, what it may be and its default; of a section, also the keys in it."""
    from cktf.study.named_parts import registered
    from cktf.study.reference import explained

    registered(plugins or [])
    asked, below = explained(key)
    if asked:
        is_in_table = below and asked.default[:1] in ("", "{")  # a section's, key by key
        default = [] if is_in_table else [f"default: {asked.default or 'none'}"]
        say([f"{asked.path}: {asked.values}", *default, asked.meaning])
    if below:
        rows = [(each.path.rpartition(".")[2], each.values, each.default) for each in below]
        out.print(table_of(("key", "values", "default"), rows))


def schema(plugins: Plugins = None) -> None:
    """Print the JSON schema of study files, by which editors check and complete them."""
    from cktf.study.named_parts import registered
    from cktf.study.reference import json_schema

    registered(plugins or [])
    say([json.dumps(json_schema(), indent=1)])


def new(
    kind: Annotated[str, typer.Argument(help="objective, model, dataset, augmentation or metric.")],
    file: Annotated[Path, typer.Argument(help="Where it is written; its name ends in .py.")],
) -> None:
    """Write a working plug-in to start from; a study names the file under 'plugins:'."""
    if file.suffix != ".py":
        raise InputError(f"FILE: must end in .py; got {shown(str(file))}")
    _write_shipped("templates", "KIND", kind, file)
    say([f"{file} is written; a study names it under 'plugins:'"])


def examples() -> None:
    """List the studies that are shipped, with the question of each; 'cktf init NAME' writes one."""
    files = _shipped("examples").items()
    rows = ((name, file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")) for name, file in files)
    out.print(table_of(("study", "question"), rows))


def init(
    name: Annotated[str, typer.Argument(help="A shipped study, as 'cktf examples' lists them.")],
    file: Annotated[Path | None, typer.Argument(help="Where it is written; default NAME.yaml.")] = None,
) -> None:
    """Write a shipped study to a file, and beside it the schema by which editors check and complete it."""
    file = file or Path(f"{name}.yaml")
    try:
        from cktf.study.reference import json_schema
    except ModuleNotFoundError:  # without the training half, whose settings are the keys
        _write_shipped("examples", "NAME", name, file)
    else:
        _write_shipped("examples", "NAME", name, file, f"# yaml-language-server: $schema={SCHEMA}\n")
        if not (schema_file := file.with_name(SCHEMA)).exists():  # one that is there may have keys of plug-ins
            schema_file.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")
    say([f"{file} is written; 'cktf launch {quote(str(file))}' runs it"])


def _shipped(folder: str) -> dict[str, Traversable]:
    """Return the files that this package ships in a folder, by name without suffix."""
    files = sorted((resources.files("cktf") / folder).iterdir(), key=lambda file: file.name)
    return {each.name.partition(".")[0]: each for each in files if each.name[0].isalpha()}


def _write_shipped(folder: str, argument: str, name: str, file: Path, second_line: str = "") -> None:
    shipped = _shipped(folder)
    if name not in shipped:
        raise InputError(f"{argument}: must be one of {', '.join(shipped)}; got {shown(name)}")
    first, end, rest = shipped[name].read_text(encoding="utf-8").partition("\n")
    with naming(file), file.open("x", encoding="utf-8") as stream:  # an existing one is refused
        stream.write(first + end + second_line + rest)


def launch(
    study: StudyFile,
    run_dir: Annotated[
        str | None, typer.Option(help="The run directory; default runs/<study>, of a smoke run runs/<study>-smoke.")
    ] = None,
    overrides: Overrides = None,
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    smoke: Smoke = False,
) -> None:
    """Run a study's trials on Ray; launched again with the same run directory, it continues."""
    from cktf import driver

    spec = _to_be_run(study, overrides, smoke=smoke)
    place = f"runs/{spec.name}-smoke" if smoke else f"runs/{spec.name}"
    _finish(driver.launch(spec, place if run_dir is None else run_dir, address=address, cpus=cpus, gpus=gpus))


def resume(
    run: RunDirectory,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed trials once more.")] = False,
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Continue a run that was interrupted: by a crash, a lost machine, Ctrl-C."""
    from cktf import driver

    _finish(driver.resume(run, retry_failed=retry_failed, address=address, cpus=cpus, gpus=gpus))


def extend(
    run: RunDirectory,
    study: Annotated[
        Path | None,
        typer.Option(
            "--study",
            metavar="FILE",
            help="A larger study: more arms, levels, contexts, seeds, contrasts, wider domains.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=0, help="More trials of a search.")] = 0,
    seeds: Annotated[
        int, typer.Option(min=0, help="More seeds for every arm of a design, or of a search's confirm stage.")
    ] = 0,
    overrides: Overrides = None,
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
) -> None:
    """Add arms, levels, contexts, seeds or trials to a run; its results stay, and nothing is trained again."""
    from cktf import driver

    if overrides and study is None:
        raise InputError("--set: replaces values of the file of --study, and there is none")
    spec = None if study is None else _to_be_run(study, overrides)
    _finish(driver.extend(run, study=spec, trials=trials, seeds=seeds, address=address, cpus=cpus, gpus=gpus))


def measure(
    run: RunDirectory,
    measures: Annotated[
        list[str],
        typer.Argument(
            metavar="MEASURE...", help="ece, or 'ece: {bins: 10}'; see docs/how-to/measures.md.", show_default=False
        ),
    ],
    plugin: Plugins = None,
) -> None:
    """Add measures to a run, without training, from outputs that its trials stored ('keep_logits: true')."""
    from cktf.run.later_measures import add_measures

    say([add_measures(run, measures, plugin or ())])


def train(
    study: StudyFile,
    arm: Annotated[str, typer.Option(help="Name of the arm, as `cktf validate` shows it.")] = "baseline",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The replicate.")] = 0,
    context: Annotated[str | None, typer.Option(help="Name of the context, in a study that has several.")] = None,
    overrides: Overrides = None,
    smoke: Smoke = False,
) -> None:
    """Train one trial in this process, without Ray: for debugging. Only the cached teacher is written."""
    from cktf.run.preflight import remarks_on_data, require_runnable
    from cktf.study.designs import arm_named, replicates
    from cktf.trainer.train import TrainingFailed
    from cktf.trial.run import run_trial
    from cktf.trial.teachers import CPU

    spec = _load(study, overrides, smoke=smoke)
    chosen = arm_named(spec, arm, context)
    config = replicates(spec, chosen.config, seed, chosen.context)[0]
    warn(remarks_on_data(spec))
    require_runnable(spec, replace(chosen, config=config))
    try:
        device = CPU if spec.smoke else None
        for result in run_trial(config, spec.train_options(teacher_is_scored=True), device=device):
            score = result.validation_accuracy
            validation = "" if score is None else f"validation {score:.2f} %  "
            out.print(
                f"epoch {result.epoch:>3}/{config.total_epochs}  {result.phase}  loss {result.train_loss:.4f}  "
                f"{validation}{result.epoch_seconds:.1f} s",
                highlight=False,
            )
    except TrainingFailed as error:
        warn([error], style="red")
        raise typer.Exit(SOME_FAILED) from None


def convert_teacher(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A teacher's checkpoint.", show_default=False)],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="What is written.", show_default=False)],
) -> None:
    """Write the weights of a checkpoint as safetensors; no code in it is run."""
    from cktf.trial.weights import convert_weights

    convert_weights(source, target)
    say([target])


def _finish(summary: "Summary") -> None:
    for reason, count in summary.failures.items():
        log = f"; see {summary.logs[reason]}" if reason in summary.logs else ""
        warn([f"{count} failed: {reason}{log}"], style="red")
    say([summary.in_words()])
    if summary.is_interrupted:
        raise typer.Exit(INTERRUPTED)
    from analysis.loading import load
    from analysis.report.tables import main_tables

    print_answers(main_tables(load(summary.run)))
    say([f"cktf report {quote(summary.run)}  # tables, figures and a page"])
    if summary.failed:
        raise typer.Exit(SOME_FAILED)
