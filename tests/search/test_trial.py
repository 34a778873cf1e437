"""How a trial's training is described to Ray Train."""

from cktf.search.trial import Assignment, _run_config


def test_the_workers_folder_lies_in_the_trial_s_own_folder_of_a_bucket() -> None:
    run = "s3://bucket/run?region=us-east-1"
    assignment = Assignment(
        "abc", configuration="", read_test=False, run=run, teacher_once=False, workers=2, cpus=1.0, gpus=0.0
    )
    config = _run_config(assignment)
    assert config.storage_path == "s3://bucket/run/trials/abc?region=us-east-1"
    assert config.name == "workers"
