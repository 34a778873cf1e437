"""Folders with event files of TensorBoard, one for each run -> a comparison of named arms."""

import os
from pathlib import Path
from typing import Any

from analysis.arguments import listed
from analysis.foreign.named_arms import Found, compared, form_of_names, with_names
from analysis.foreign.table_file import table_of
from analysis.foreign.trials import ForeignTrial, of_extra
from analysis.results import Results
from analysis.wording import larger_is_better
from cktf.errors import InputError
from cktf.names import tidy_name
from cktf.rows import Status

HPARAMS = "_hparams_/session_start_info"
"""Tag under which a run's hyperparameters stand."""

NO_ENDS = "Event files do not say how a run ended: each run that has a value counts as complete, any other as failed."

_Values = dict[int, tuple[float, float]]
"""Step to time and value."""


def read_tensorboard(
    folder: str | os.PathLike[str],
    *,
    metric: str | None = None,
    maximise: bool | None = None,
    names: str | None = None,
    **asked: Any,
) -> Results:
    """Return the runs below a folder, each a folder with event files, as results of a comparison of named arms.

    A run is scored by the last value of a scalar. Arm, seed and context may be hyperparameters that it wrote
    (``add_hparams`` of PyTorch writes them into a folder below the run's, which is then no run of its own) and ``run``,
    the path of its folder. A folder without a value of the scalar is a failed run if these are known of it, no other
    run lies above or below it, and none has the same ones, as another attempt or the rest of a run has.

    Args:
        folder: Folder that contains the runs.
        metric: Tag of the scalar; None: the only one that there is.
        maximise: Whether a larger value is better; None: see `analysis.wording.larger_is_better`.
        names: Pattern of ``run`` that gives arm, seed and context: ``{arm}/seed{seed}``; None: hyperparameters do.
        asked: Further arguments of `analysis.foreign.named_arms.compared`.

    Raises:
        InputError: If no run with such a scalar lies there, or TensorBoard is missing; and as `compared` raises.
    """
    top, what = Path(folder), os.fspath(folder)
    found = {path: _read(path) for path in sorted({file.parent for file in top.rglob("*tfevents*") if file.is_file()})}
    tags = sorted({tag for _, values in found.values() for tag in values})
    if metric is None and len(tags) == 1:
        (metric,) = tags
    if metric not in tags:
        raise InputError(f"{what}: --metric names a scalar of the event files below it; there are: {listed(tags)}")
    runs = {path: hparams for path, (hparams, values) in found.items() if metric in values}
    for path, (hparams, _) in found.items():
        if hparams and path.parent in runs and not runs[path.parent]:
            runs[path.parent] = hparams
            runs.pop(path, None)
    columns = [asked.get("arm") or "arm", asked.get("seed") or "seed", asked.get("context"), asked.get("cluster")]
    form, of_trial = form_of_names(names or "{any}"), dict[Path, tuple[str | None, ...]]()
    for path in found:
        place = path.relative_to(top).as_posix()
        if match := form.fullmatch(place):
            said = {**runs.get(path, found[path][0]), "run": place, **match.groupdict()}
            of_trial[path] = tuple(said.get(tidy_name(column)) for column in columns if column)
    around = {folder for run in runs for folder in (run, *run.parents)}
    tried = {of_trial[run] for run in runs if run in of_trial}
    for path, trial in of_trial.items():
        is_alone = path not in around and runs.keys().isdisjoint(path.parents)
        if is_alone and None not in trial[:2] and trial not in tried:
            tried.add(trial)
            runs[path] = found[path][0]
    places = [path.relative_to(top).as_posix() for path in runs]
    table = table_of([own | {"run": place} for own, place in zip(runs.values(), places, strict=True)], places)
    maximise = larger_is_better(metric, maximise)
    of_arms = Found(
        what=what,
        origin=f"the event files below {what}",
        name=top.resolve().name,
        table=table if names is None else with_names(what, table, ["run"], names),
        trials=[_trial(found[path][1].get(metric, {}), metric) for path in runs],
        caveats=[NO_ENDS],
    )
    return compared(of_arms, metric=metric, maximise=maximise, **asked)


def _trial(values: _Values, metric: str) -> ForeignTrial:
    if not values:
        return ForeignTrial(status=Status.FAILED, score=None, reason=f"no {metric} in its event files")
    steps = sorted(values)
    times = [values[step][0] for step in steps]
    return ForeignTrial(
        status=Status.COMPLETE,
        score=values[steps[-1]][1],
        on_the_way=[(step, values[step][1]) for step in steps],
        wall_seconds=max(times) - min(times),
    )


def _read(path: Path) -> tuple[dict[str, str], dict[str, _Values]]:
    """Return the hyperparameters and scalars of a folder; a step that was written again has its later value."""
    with of_extra("trackers", str(path)):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        from tensorboard.util.tensor_util import make_ndarray
    try:
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        values, hparams = {}, {}
        for tag in events.Tags()["scalars"]:
            values[tag] = {each.step: (each.wall_time, float(each.value)) for each in events.Scalars(tag)}
        for tag, metadata in events.summary_metadata.items():
            if tag == HPARAMS:
                said = HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info.hparams
                hparams = {tidy_name(key): _text(value) for key, value in said.items()}
            elif metadata.plugin_data.plugin_name == "scalars" and tag not in values:  # as TensorFlow 2 writes them
                values[tag] = {
                    each.step: (each.wall_time, float(make_ndarray(each.tensor_proto))) for each in events.Tensors(tag)
                }
    except Exception as error:  # a damaged file raises an error of any kind
        raise InputError(f"{path}: no event files that can be read: {type(error).__name__}: {error}") from None
    return hparams, values


def _text(value: Any) -> str:
    """Return a protocol-buffer value as text; whole numbers, which it stores as floats, without a decimal point."""
    kind = value.WhichOneof("kind")
    found = getattr(value, kind) if kind else ""
    return tidy_name(str(int(found) if isinstance(found, float) and found.is_integer() else found))
