"""Export to offline runs of Weights & Biases, a folder for each ended trial. Only 'wandb sync' uploads them."""

import os
import shutil
from pathlib import Path

from analysis.exports.trials import tracked
from analysis.results import Results

SIZE = "cktf.txt"
"""File in a run's folder: `analysis.exports.trials.Tracked.size` as it was exported."""


def export(results: Results, place: str) -> int:
    """Write new and changed trials that have ended, whole, as offline runs cannot grow; return how many there are."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    quiet = wandb.Settings(
        silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True
    )
    Path(place).mkdir(parents=True, exist_ok=True)
    count = 0
    for trial in tracked(results):
        if trial.ended is None:
            continue
        before = [*Path(place).glob(f"wandb/offline-run-*-{trial.trial_id}")]
        if any((folder / SIZE).is_file() and (folder / SIZE).read_text() == trial.size for folder in before):
            continue
        for folder in before:
            shutil.rmtree(folder)
        run = wandb.init(
            dir=place,
            mode="offline",
            id=trial.trial_id,
            project=results.facts.study.study,
            name=trial.name,
            group=trial.settings["arm"],
            config=trial.settings,
            settings=quiet,
        )
        epochs: dict[int, dict[str, float]] = {}
        for name, points in trial.curves.items():
            for step, value, _ in points:
                epochs.setdefault(step, {})[name] = value
        for step in sorted(epochs):
            run.log(epochs[step], step=step)
        run.summary.update(trial.about)
        run.finish(exit_code=int(trial.status == "failed"))
        (Path(run.settings.sync_dir) / SIZE).write_text(trial.size)
        count += 1
    wandb.teardown()  # waits until its process has written everything
    return count
