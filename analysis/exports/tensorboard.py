"""Export to TensorBoard: for each trial a folder of event files with its curves and, for HParams, its settings."""

import re
import shutil
from pathlib import Path

from analysis.exports.trials import tracked
from analysis.results import Results

MOST_BYTES = 200
"""Largest length of a trial's name in that of its folder; file systems take names of 255 bytes."""


def export(results: Results, place: str) -> int:
    """Add missing epochs to a folder of logs, and return how many trials changed; each trial has a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    # Known by the trial's id, since an arm of a study that has grown may have had another name.
    folders, count = {folder.name.rpartition("-")[2]: folder for folder in Path(place).glob("*-*")}, 0
    for trial in tracked(results):
        name = re.sub(r"[^\w.=+-]+", "_", trial.name).encode()[:MOST_BYTES].decode(errors="ignore")
        key, last, began = trial.trial_id[:8], dict[str, int](), None
        folder = folders.get(key, Path(place) / f"{name}-{key}")
        if key in folders:
            known = EventAccumulator(str(folder), size_guidance={"scalars": 1}).Reload()
            if SESSION_START_INFO_TAG in known.Tags()["tensors"]:
                began = known.Tensors(SESSION_START_INFO_TAG)[0].wall_time
            if began == trial.began:
                last = {tag: known.Scalars(tag)[-1].step for tag in known.Tags()["scalars"]}
            else:  # it was withdrawn and has begun anew
                shutil.rmtree(folder)
        new = [
            Event(wall_time=time, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))
            for tag, points in trial.curves.items()
            for step, value, time in points
            if step > last.get(tag, 0)
        ]
        if began != trial.began:
            settings = hparams_pb(trial.settings, trial_id=trial.trial_id, start_time_secs=trial.began)
            new.insert(0, Event(wall_time=trial.began, summary=settings))
        if new:
            writer = EventFileWriter(str(folder))
            for event in new:
                writer.add_event(event)
            writer.close()
            count += 1
    return count
