"""The methods paragraph of a report, and the table of versions and machines, both written from its run."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd

from analysis.report.pages import prose
from analysis.report.reading import (
    clusters_text,
    family_text,
    held_for_text,
    images_text,
    looks_text,
    open_text,
    reading_text,
    scope_text,
    sides_text,
    teacher_columns,
    test_text,
)
from analysis.report.table import SMOKE
from analysis.report.tables.comparisons import rank_test_text
from analysis.report.tables.distillation import teachers_text
from analysis.report.tables.effects import UNTESTED
from analysis.results import Results
from analysis.searches.importance import NUM_RESAMPLES
from analysis.several_runs import AROUND_ONE, SEVERAL, WINS
from analysis.statistics.any_table import of_fixed_arms
from analysis.statistics.interactions import models_and_family
from analysis.statistics.over_contexts import shared_names
from analysis.statistics.over_teachers import TEACHER_SEED, are_crossed
from analysis.statistics.paired import FEWEST_FLIPPED, MOST_FLIPPED
from analysis.wording import counted, quantity
from cktf.rows import SCHEMA_VERSION, Alternative, Family, Stage, Status, StudyRow
from cktf.verdicts import LEVEL, Verdict

MOST_NAMED = 3
"""Different values that are named side by side, as where contexts have networks of their own."""

MOST_ARMS, MOST_SETTINGS = 13, 20
"""Arms whose settings the methods paragraph names, and settings of one that it names."""

_NO_SETTINGS = (".seed", "sha256", ".content", ".root", ".download", ".checkpoint")
"""Ends of the paths of what is no setting of an arm that a reader would want."""

_SOFTWARE = {"cktf": "CKTF", "torch": "PyTorch"}
"""Packages whose versions the methods paragraph names."""

_DESIGNS = {
    "one_at_a_time": "one factor at a time was changed from the baseline",
    "compare": "named arms were compared with the baseline",
    "leave_one_out": "one part at a time was left out of the baseline",
    "grid": "the arms are the grid of the factors' levels",
    "fractional": "the arms are a fraction of all combinations of two levels of each factor",
    AROUND_ONE: "studies of several designs, which share their baseline, with which all arms were compared",
    SEVERAL: "each study is a context of its own, whose arms are compared with its own baseline",
}


def methods_text(results: Results) -> str:
    """Return how the numbers came about, in sentences, every figure of them counted in the tables."""
    facts, study, trials, effects = results.facts, results.facts.study, results.trials, results.effects
    designed, searched, confirmed = (
        trials[trials["stage"] == stage] for stage in (Stage.DESIGN, Stage.SEARCH, Stage.CONFIRM)
    )
    ended = searched["status"].value_counts()
    pool = of_fixed_arms(trials)
    unfinished = pool.loc[pool["status"] != Status.COMPLETE, "status"].value_counts()
    models, family = ("", 0)
    if results.interactions["p"].notna().any():
        models, family = models_and_family(results.interactions)
    judged = results.importance.dropna(subset="importance")
    pruner = f" and its pruner {study.pruner}" if study.pruner else ""
    deltas = dict.fromkeys(launch.delta for launch in facts.launches)
    return prose(
        "methods.txt",
        {
            "study": study,
            "facts": facts,
            "foreign": facts.foreign,
            "smoke": SMOKE,
            "counted": counted,
            "runs": list(dict.fromkeys(trials["run"])),
            "wins": WINS,
            "num_trials": len(trials),
            "num_designed": len(designed),
            "designed": _arms_and_seeds(designed),
            "designs": _DESIGNS | ({"compare": "named arms were trained beside a baseline"} if study.contrasts else {}),
            "num_searched": len(searched),
            "sampler": f", by Optuna's sampler {study.sampler}{pruner}," if study.sampler else "",
            "ended": {
                "pruned": ended.get(Status.PRUNED, 0),
                "failed": ended.get(Status.FAILED, 0),
                "unfinished": ended.get(Status.PLANNED, 0) + ended.get(Status.RUNNING, 0),
            },
            "aims": " and ".join(
                f"{'maximise' if larger else 'minimise'} {quantity(name).name}"
                for name, larger in study.directions.items()
            ),
            "confirmed": "" if confirmed.empty else _arms_and_seeds(confirmed),
            "recipe": f"{recipe_text(trials)} {arms_text(trials)}".strip(),
            "validation_share": _told(trials, "data.validation_fraction", "%"),
            "software": ", ".join(dict.fromkeys(filter(None, map(_software, facts.launches)))),
            "teachers": teachers_text(results.teachers, is_smoke=study.is_smoke),
            "teacher_once": any(launch.teacher_once for launch in facts.launches),
            "workers": sorted({launch.workers for launch in facts.launches}),
            "num_tested": 0 if facts.foreign else int(trials["test_accuracy"].notna().sum()),
            "has_arms": not results.arms.empty,
            "reported": quantity(study.report_metric),
            "several_contexts": len(results.contexts) > 1,
            "planned": planned_text(results),
            "grown": grown_text(results),
            "other": "the baseline" if effects["against_baseline"].all() else "the arm that it is compared with",
            "family": family_text(results),
            "is_one_sided": study.alternative != Alternative.TWO_SIDED,
            "sides": sides_text(study) or ", two-sided, in every study and",
            "test": test_text(results),
            "clusters": clusters_text(results),
            "are_paired": (effects["n_pairs"] > 0).any() or not effects["n_arm"].any(),
            "interval": "repeated" if study.looks else "the mixture t's" if facts.is_extended else "Student's",
            "looked": looks_text(results),
            "is_tested": effects["p"].notna().any(),
            "num_effects": len(effects),
            "scope": scope_text(results),
            "held_for": " ".join(filter(None, (held_for_text(results, context) for context in results.contexts))),
            "over_teachers": not results.over_teachers.empty,
            "level": LEVEL,
            "reading": reading_text(results),
            "images": images_text(results),
            "deltas": ["none" if delta is None else f"{delta:g}" for delta in deltas],
            "num_flipped": int(effects["p_flip"].notna().sum()),
            "fewest_flipped": FEWEST_FLIPPED,
            "most_flipped": MOST_FLIPPED,
            "open": open_text(results),
            "untested": UNTESTED,
            "any_failed": (effects["verdict"] == Verdict.FAILED).any(),
            "over_contexts": not results.over_contexts.empty,
            "ranks": "" if results.ranks.empty else rank_test_text(results.ranks),
            "models": models,
            "num_contrasts": family,
            "has_aliases": models and results.interactions["aliases"].any(),
            "unfinished": unfinished.to_dict(),
            "states": ", ".join(f"{count} {state}" for state, count in unfinished.items()),
            "num_pool": len(pool),
            "importances": not judged.empty,
            "has_pruned": judged["n_pruned"].any(),
            "num_resamples": NUM_RESAMPLES,
        },
    )


def planned_text(results: Results) -> str:
    """Return what was planned to be compared, or that it was not; nothing where it is the baseline, as ever."""
    study = results.facts.study
    pairs = [f"{names[0]} against {names[-1]}" for names in study.contrasts if len(names) > 1]
    if len(pairs) < len(study.contrasts):
        pairs.insert(0, "every arm against the baseline")
    named = f"Compared were: {'; '.join(pairs)}." if pairs and not study.is_afterthought else ""
    if afterthought := results.facts.afterthought:
        against = f" Every arm is compared with {study.contrasts[0][1]}." if study.is_afterthought else f" {named}"
        return f"{afterthought}{against}".rstrip()
    if not (pairs or study.alternative != Alternative.TWO_SIDED or study.family != Family.STUDY):
        return ""
    later = ", but for what was added later" if grown_text(results) else ""
    when = f"This was fixed in the study file before its first result{later}."
    if results.facts.foreign:
        when = "Whether this was fixed before the results were seen is not known here."
    return f"{named} {when}".lstrip()


def grown_text(results: Results) -> str:
    """Return what was added to the study when, and in which family it is; nothing of one that has not grown."""
    said = {(launch.run, launch.added): launch for launch in results.facts.launches if launch.added}  # once, if killed
    parts = "; ".join(f"{_when(each)}: {each.added}" for each in said.values())
    family = "" if results.effects.empty else " Families of comparisons are those of the study as it is now."
    return f"Added after the launch, when results may have been seen: {parts}.{family}" if parts else ""


def _when(launch: StudyRow) -> str:
    return datetime.fromtimestamp(launch.time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _arms_and_seeds(trials: pd.DataFrame) -> str:
    seeds = counted(trials["seed"].nunique(), "seed")
    if are_crossed(trials):
        seeds += f" × {counted(trials[TEACHER_SEED].nunique(), 'teacher')}"
    if (contexts := trials["context"].nunique()) > 1:
        return f"{counted(shared_names(trials).nunique(), 'arm')} in {contexts} contexts × {seeds}"
    return f"{counted(trials['arm_id'].nunique(), 'arm')} × {seeds}"


Phrases = tuple[tuple[str, str, str], ...]
"""Path in a configuration, its text where there is nothing to say, and what is said else; of a share, in per cent."""

_DATA: Phrases = (
    ("train_fraction", "100%", "{} of its training split"),
    ("tail", "1", "long-tailed by a factor of {}"),
    ("per_class", "", "at most {} of a class"),
    ("noise", "0%", "{} of the training labels wrong"),
    ("fold", "", "fold {}"),
)
_LENGTH: Phrases = (
    ("epochs", "", " for {} epochs"),
    ("train_fraction", "100%", " on {} of the training split"),
    ("batch_size", "", " in batches of {}"),
)
_OPTIMIZER: Phrases = (
    ("learning_rate", "", "learning rate {}"),
    ("momentum", "", "momentum {}"),
    ("weight_decay", "", "weight decay {}"),
    ("bias_decay", "1", "no decay of biases and norms"),
    ("head_learning_rate", "", "learning rate {} of the objectives' own parameters"),
    ("accumulate", "1", "a step for each {} batches"),
)
_ADDITIONS: Phrases = (
    ("objective.cross_entropy.smoothing", "0", "labels smoothed by {}"),
    ("augmentation.rand_augment.operations", "0", "RandAugment of {} operations"),
    ("augmentation.trivial_augment.strengths", "", "TrivialAugment of {} strengths"),
    ("augmentation.random_erasing.probability", "0", "random erasing with probability {}"),
    ("augmentation.mixup", "0", "mixup with alpha {}"),
    ("augmentation.cutmix", "0", "CutMix with alpha {}"),
    ("teacher_view", "same", "a view of its own for the teacher"),
    ("ema", "", "an exponential moving average of the student with decay {}"),
    ("judge", "student", "that average judged in its place"),
)


def recipe_text(trials: pd.DataFrame) -> str:
    """Return the recipe of the baseline, or of all arms where there is none; empty where it is not known.

    Args:
        trials: With a column ``config.<path>`` for each value of their configurations.
    """
    is_baseline = trials["is_baseline"]
    configs = trials[is_baseline] if is_baseline.any() else trials
    told = partial(_told, configs)
    if not (told("student.model") and told("data.name")):
        return ""
    whose = "The baseline's student" if is_baseline.any() else "The student"
    images = told("data.name") + (f" at {side} x {side} pixels" if (side := told("data.side")) else "")
    images += f" ({', '.join(changes)})" if (changes := _said(configs, _DATA, "data.")) else ""
    images += " without their labels" if told("task") == "transfer" else ""
    sentences = [
        f"{whose}, {told('student.model')}, learns from the images of {images}{_length(configs, '')}"
        f", by {_by(told('optimizer.name'))}{_optimizer(configs, 'optimizer.')}."
    ]
    if additions := _said(configs, _ADDITIONS):
        sentences.append(f"Its recipe has {', '.join(additions)}.")
    if told("probe.epochs"):
        which = "the whole network" if told("probe.mode") == "full" else "a linear layer on it"
        sentences.append(
            f"Then {which} learns the labels{_length(configs, 'probe.')}{_optimizer(configs, 'probe.optimizer.')}."
        )
    source = f" of {told('source.name')}" if told("source.name") else ""
    uses = []
    for start in teacher_columns(configs):
        path = start.removeprefix("config.")
        name = path.removeprefix("teacher").removeprefix("s.").rstrip(".")  # of one teacher none
        of_files = configs.get(f"{start}checkpoint")
        is_read = configs.index.isin(() if of_files is None else of_files.dropna().index)
        for alike in (configs[~is_read], configs[is_read]):
            if not (model := _told(alike, f"{path}model")):
                continue
            uses += [_told(alike[alike[f"{start}model"].notna()], "teachers_as")] if name else []
            how = "was read from a file"
            if not _told(alike, f"{path}checkpoint"):
                stopped = f", stopped after epoch {epoch}" if (epoch := _told(alike, f"{path}epoch")) else ""
                how = f"was trained{_length(alike, path)}{_optimizer(alike, f'{path}optimizer.')}{stopped}"
            sentences.append(f"The teacher{f' {name}' if name else ''}{source}, {model}, {how} and is frozen.")
    for use in dict.fromkeys(uses):
        words = use.replace("mean", "the mean of their logits").replace("drawn", "one of them, drawn for each seed")
        sentences.append(f"Where teachers are several, a student learns from {words}.")
    return " ".join(sentences)


def arms_text(trials: pd.DataFrame) -> str:
    """Return the baseline's objective and in which settings each arm differs; nothing of many arms, or unknown ones."""
    fixed = of_fixed_arms(trials)
    names = [str(name) for name in fixed if str(name).startswith("config.") and not str(name).endswith(_NO_SETTINGS)]
    arms = fixed[fixed["context"] == fixed["context"].iloc[0]].drop_duplicates("arm_id") if len(fixed) else fixed
    baseline = arms[arms["is_baseline"]]
    if not names or len(baseline) != 1 or len(arms) > MOST_ARMS:
        return ""
    words = arms[names].astype(object).map(lambda value: "" if pd.isna(value) else _text(value, ""))
    plain, context = words.loc[baseline.index[0]], baseline["context"].iloc[0]
    own = plain[[name for name in names if name.startswith("config.objective.") and plain[name]]]
    sentences = [f"The baseline's objective: {_settings(own)}."] if len(own) else []
    called = arms["arm"].to_dict()
    for index, arm in words.drop(baseline.index).iterrows():
        differ = arm[arm != plain]
        there = {_part_of(name) for name in names if arm[name]}
        gone = sorted({_part_of(name) for name in differ[differ == ""].index} - there)
        said = [_settings(differ[differ != ""]), f"without {', '.join(gone)}" if gone else ""]
        if any(said):
            sentences.append(f"Arm {called[index]}: {', '.join(filter(None, said))}.")
    return (f"In {context}: " if context and sentences else "") + " ".join(sentences)


def _settings(values: "pd.Series[Any]") -> str:
    names = (str(name).removeprefix("config.").removeprefix("objective.") for name in values.index)
    shown = [f"{name} = {text}" for name, text in zip(names, values, strict=True)]
    more = f" and {len(shown) - MOST_SETTINGS} more" if len(shown) > MOST_SETTINGS else ""
    return ", ".join(shown[:MOST_SETTINGS]) + more


def _part_of(name: str) -> str:
    """Return the objective, or other part, that a setting belongs to."""
    return ".".join(name.split(".")[1:3]).removeprefix("objective.")


def _software(launch: StudyRow) -> str:
    return ", ".join(f"{word} {launch.versions[name]}" for name, word in _SOFTWARE.items() if launch.versions.get(name))


def _said(configs: pd.DataFrame, phrases: Phrases, prefix: str = "") -> list[str]:
    """Return the phrases that have something to say of these configurations."""
    values = [(_told(configs, prefix + path, unset[-1:]), unset, words) for path, unset, words in phrases]
    return [words.format(value) for value, unset, words in values if value not in ("", unset)]


def _length(configs: pd.DataFrame, prefix: str) -> str:
    """Return for how many epochs and in which batches something was trained, as far as they are known."""
    return "".join(_said(configs, _LENGTH, prefix))


def _by(name: str) -> str:
    """Return an optimizer, or several, by its name in configurations; older ones have none."""
    return (name or "sgd").replace("adamw", "AdamW").replace("sgd", "stochastic gradient descent")


def _optimizer(configs: pd.DataFrame, prefix: str) -> str:
    """Return the settings of an optimizer and its schedule in parentheses, as far as they are known."""
    told = partial(_told, configs)
    name, schedule = told(prefix + "name"), told(prefix + "schedule")
    found = [_by(name)] if name not in ("", "sgd") and prefix != "optimizer." else []
    found += _said(configs, tuple(of for of in _OPTIMIZER if of[0] != "momentum" or name != "adamw"), prefix)
    if schedule == "step":
        decay, milestones = told(prefix + "decay"), told(prefix + "milestones")
        by = f" by {decay}" if decay else ""
        found.append(f"step schedule{by}{f' at the fractions {milestones} of the epochs' if milestones else ''}")
    elif schedule:
        found.append(f"{schedule} schedule")
    found += _said(configs, (("warmup_epochs", "0", "{} epochs of warm-up"),), prefix)
    return f" ({', '.join(found)})" if found else ""


def _told(configs: pd.DataFrame, path: str, unit: str = "") -> str:
    """Return the different values at a path of the configurations, in words; empty where there are none."""
    values = configs.get(f"config.{path}")
    found = [] if values is None else list(dict.fromkeys(values.dropna()))
    if len(found) <= MOST_NAMED:
        return " or ".join(_text(value, unit) for value in found)
    if any(isinstance(value, str) for value in found):
        return f"one of {len(found)}"
    return f"{_text(min(found), unit)} to {_text(max(found), unit)}"


def _text(value: Any, unit: str) -> str:
    if isinstance(value, str):
        return value.strip("[]")
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value * 100:.4g}%" if unit == "%" else f"{value:.6g}"


def _teachers_hours(teachers: pd.DataFrame) -> str:
    """Return the time of the trainings of teachers; empty where it is not known."""
    if "wall_seconds" not in teachers:
        return ""
    cached = int((teachers["wall_seconds"] == 0).sum())
    found = f"; {cached} found trained" if cached else ""
    return f"{teachers['wall_seconds'].sum() / 3600:.2f} hours{found}"


def provenance_rows(results: Results) -> list[list[str]]:
    """Return what identifies the runs and their code, or the origin of foreign results: rows of a name and a value."""
    facts, study, trials = results.facts, results.facts.study, results.trials
    seconds = trials["wall_seconds"]
    measured = [
        *([name, ", ".join(sorted({*trials[name[:-1]].dropna()} - {""}))] for name in ("devices", "nodes")),
        ["training time", f"{seconds.sum() / 3600:.2f} hours over all trials" if seconds.notna().any() else ""],
        ["training time of teachers", _teachers_hours(results.teachers)],
    ]
    schema = ["schema version", str(SCHEMA_VERSION)]
    if foreign := facts.foreign:
        unknown = [["commit", ""], ["command", ""], ["machine", ""], ["versions", ""], *measured]
        return [
            ["study", study.study],
            ["origin", f"not measured here; read from {foreign.origin}"],
            *([name, value or "unknown"] for name, value in unknown),
            ["cannot be vouched for", " ".join(foreign.cannot_be_vouched_for)],
            schema,
        ]
    last_launches = {launch.run: launch for launch in facts.launches}

    def different(texts: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(text for text in texts if text))

    rows = [["study", study.study], ["run", study.run]]
    for number, launch in enumerate(facts.launches, 1):
        commit = launch.git_commit or "outside a checkout"
        of_run = f", of {launch.run}" if len(last_launches) > 1 else ""
        rows.append([f"launch {number}{of_run}", f"{_when(launch)}, commit {commit}"])
    versions = (
        ", ".join(f"{name} {version}" for name, version in sorted(launch.versions.items()))
        for launch in last_launches.values()
    )
    code = (f"{name} ({version})" for launch in last_launches.values() for name, version in launch.plugins.items())
    rows += [
        ["reference", study.reference_source],
        ["command", different(launch.command for launch in last_launches.values())],
        ["machine", different(launch.machine for launch in last_launches.values())],
        *measured,
        ["versions", different(versions)],
        ["plug-ins", different(code)],
        ["ledger", f"{facts.ledger}, {counted(facts.torn_lines, 'torn line')} ignored"],
        schema,
    ]
    return [[name, value] for name, value in rows if value]
