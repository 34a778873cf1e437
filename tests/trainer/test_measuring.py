"""A measured trial: what is measured when, that training stays the same, and that stored outputs give equal numbers."""

import base64
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cktf.data import evaluation_batches, split
from cktf.epoch_result import EpochResult
from cktf.measures import OfPredictions
from cktf.measures.registry import built, numbers_of, with_settings
from cktf.storage import Storage
from cktf.trainer.checkpoint import trial_storage
from cktf.trainer.evaluate import evaluate
from cktf.trainer.measuring import LOGITS, packed, stored_predictions
from cktf.trainer.train import TrainOptions
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from cktf.trial.teachers import load_teacher
from tests.kinds import MakeTrial
from tests.trainer.interrupted import figures

CPU = torch.device("cpu")
EVERY = ("top5", "nll", "ece", "balanced_accuracy", "agreement")
LAST = ("class_accuracy", "parameters", "flops", "bytes")
MEASURES = with_settings([*EVERY, *LAST, {"latency": {"runs": 1}}, {"images_per_second": {"runs": 1}}])
TIMED = {"latency", "images_per_second"}
MEASURED = TrainOptions(read_test=True, measures=MEASURES, keep_logits=True)


def untimed(result: EpochResult) -> dict[str, float]:
    return {name: value for name, value in result.measures.items() if name not in TIMED}


def test_a_trial_is_the_same_measured_or_not_and_stored_outputs_give_the_same_numbers(
    tiny: MakeTrial, tmp_path: Path
) -> None:
    config = tiny(objective={"cross_entropy": {}}, epochs=2)  # no objective reads the teacher
    run = Storage(tmp_path / "run")
    plain = list(run_trial(config, TrainOptions(read_test=True), device=CPU))
    measured = list(run_trial(config, MEASURED, run=run, device=CPU))
    assert figures(replace(result, measures={}) for result in measured) == figures(plain)

    first, last = (result.measures for result in measured)
    assert first.keys() == {f"validation_{name}" for name in EVERY}
    classes = {f"{part}_class_accuracy.{number}" for part in ("validation", "test") for number in range(10)}
    outputs = {f"{part}_{name}" for part in ("validation", "test") for name in EVERY}
    assert last.keys() - classes == outputs | {*LAST[1:], *TIMED}
    assert last["test_nll"] == pytest.approx(measured[-1].test_loss)
    assert last["validation_nll"] == pytest.approx(measured[-1].validation_loss)
    assert all(last[name] > 0 for name in TIMED)

    # Measures of the stored outputs: equal to the last bit, because these are float32.
    place = trial_storage(run, config.trial_id)
    of_outputs = {n: m for n, m in built(MEASURES).items() if isinstance(m, OfPredictions) and not m.needs_teacher}
    stored = stored_predictions(place)
    again = {k: v for part, each in stored.items() for k, v in numbers_of(of_outputs, part, each).items()}
    assert again == {k: v for k, v in last.items() if "agreement" not in k and k.partition("_")[0] in stored}
    assert load_file(place.full(LOGITS))["test.logits"].dtype == torch.float32
    right = stored["test"].logits.argmax(dim=1) == stored["test"].labels
    bits = np.unpackbits(np.frombuffer(base64.b64decode(measured[-1].test_correct), np.uint8), count=len(right))
    assert bits.tolist() == right.int().tolist()
    assert 100 * bits.mean() == pytest.approx(measured[-1].test_accuracy)
    assert measured[0].test_correct == ""

    # Against the teacher, one image after the other.
    assert config.teacher is not None
    dataset = held_dataset(config.data, CPU)
    rows = split(dataset.train_labels, config.data, config.seed).validation_index
    teacher = load_teacher(config.teacher, config.data, CPU, run, shown=dataset.constants)
    logits = evaluate(teacher, evaluation_batches(dataset, rows), with_logits=True).logits
    assert logits is not None
    pairs = zip(stored["validation"].logits.tolist(), logits.tolist(), strict=True)
    equal = [one.index(max(one)) == other.index(max(other)) for one, other in pairs]
    assert last["validation_agreement"] == pytest.approx(100 * sum(equal) / len(equal))


def test_a_resumed_trial_has_the_same_measures(tiny: MakeTrial, tmp_path: Path) -> None:
    config, options = tiny(objective={"cross_entropy": {}}, epochs=2), MEASURED
    whole = [untimed(result) for result in run_trial(config, options, run=Storage(tmp_path / "a"), device=CPU)]
    run = Storage(tmp_path / "b")
    list(islice(run_trial(config, options, run=run, device=CPU), 1))
    assert [untimed(result) for result in run_trial(config, options, run=run, device=CPU)] == whole
    both = [(tmp_path / name / "trials" / config.trial_id / LOGITS).read_bytes() for name in ("a", "b")]
    assert both[0] == both[1]


def test_a_search_stores_and_measures_the_validation_split_alone(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny(objective={"cross_entropy": {}}, teacher=None, epochs=1)
    options = TrainOptions(measures={"top5": {}, "agreement": {}}, keep_logits=True)
    (result,) = run_trial(config, options, run=Storage(tmp_path), device=CPU)
    assert result.measures.keys() == {"validation_top5"}  # without a teacher there is no agreement
    assert stored_predictions(trial_storage(Storage(tmp_path), config.trial_id)).keys() == {"validation"}


def test_bits_are_packed_the_first_one_highest() -> None:
    assert base64.b64decode(packed(torch.tensor([True, False, False, True] + [False] * 4 + [True]))) == b"\x90\x80"
