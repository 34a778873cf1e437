"""Export to MLflow: an experiment for each study, and a run for each trial, found again by its tag `TRIAL`."""

from typing import Any

from analysis.exports.trials import Tracked, tracked
from analysis.results import Results

TRIAL, SIZE, LAST = "cktf.trial_id", "cktf.size", "cktf.epochs"
"""Tags of a run: the trial's id, and its `Tracked.size` and last epoch at the latest export."""

MOST_METRICS, MOST_PARAMS, MOST_RUNS = 1000, 100, 50_000
"""Most metrics, settings and runs in one request to MLflow."""

ENDS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
"""Status of a trial that has ended to MLflow's."""


def export(results: Results, place: str) -> int:
    """Add trials and epochs to a tracking store, a server's URL or an SQLite file; return how many trials changed."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=place if "://" in place else f"sqlite:///{place}")
    name = results.facts.study.study
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    known = {run.data.tags.get(TRIAL): run for run in client.search_runs([number], max_results=MOST_RUNS)}
    count = 0
    for trial in tracked(results):
        run = known.get(trial.trial_id)
        if run and run.info.start_time != _milliseconds(trial.began):  # it was withdrawn and has begun anew
            client.delete_run(run.info.run_id)
            run = None
        tags = run.data.tags if run else {}
        if tags.get(SIZE) == trial.size:
            continue
        count += 1
        run_id = run.info.run_id if run else _created(client, number, trial)
        _add(client, run_id, trial, after=int(tags.get(LAST, 1)) - 1)
    return count


def _created(client: Any, experiment: str, trial: Tracked) -> str:
    from mlflow.entities import Param

    about = {"run_name": trial.name, "tags": {TRIAL: trial.trial_id}}
    run = client.create_run(experiment, start_time=_milliseconds(trial.began), **about)
    settings = [Param(name, str(value)) for name, value in trial.settings.items()]
    for start in range(0, len(settings), MOST_PARAMS):
        client.log_batch(run.info.run_id, params=settings[start : start + MOST_PARAMS])
    return str(run.info.run_id)


def _add(client: Any, run_id: str, trial: Tracked, after: int) -> None:
    """Log the points after an epoch, and the tags. The last exported epoch is logged again, for added measures."""
    from mlflow.entities import Metric, RunTag

    new = [
        Metric(name, value, _milliseconds(time), step)
        for name, points in trial.curves.items()
        for step, value, time in points
        if step > after
    ]
    for start in range(0, len(new), MOST_METRICS):
        client.log_batch(run_id, metrics=new[start : start + MOST_METRICS])
    last = max((points[-1][0] for points in trial.curves.values()), default=1)
    about = trial.about | {SIZE: trial.size, LAST: str(last)}
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in about.items()])
    if trial.ended is not None:
        client.set_terminated(run_id, status=ENDS[trial.status], end_time=_milliseconds(trial.ended))


def _milliseconds(seconds: float) -> int:
    return int(1000 * seconds)
