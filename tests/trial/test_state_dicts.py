"""State dicts in checkpoints of many origins: where they are found, and prefixes of their keys."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from cktf.errors import InputError
from cktf.models import build_model
from cktf.trial.weights import part_of, state_dict_in
from tests.trial.test_weights import WEIGHTS, assert_are_the_weights

OTHER = {"conv.weight": torch.zeros(2, 3), "bn.num_batches_tracked": torch.tensor(0)}
OPTIMIZER = {"state": {0: {"momentum_buffer": torch.ones(2)}, "named": {"step": torch.ones(1)}}, "param_groups": []}


def behind(*prefixes: Any, weights: dict[str, Any] = WEIGHTS) -> dict[str, Any]:
    """Return weights with a prefix before each key, the next one at each key."""
    return {prefixes[n % len(prefixes)] + key: value for n, (key, value) in enumerate(weights.items())}


@pytest.mark.parametrize(
    "keys",
    ["net", "model_state_dict", "state_dict_ema", "model_ema", "teacher", "student", "weights", "ema", "my_network",
     "checkpoint.state_dict", "state.model", "ema.module", "a.b.c.d"],
)  # fmt: skip
def test_a_state_dict_is_found_under_any_keys(keys: str) -> None:
    loaded: dict[str, Any] = WEIGHTS
    for key in reversed(keys.split(".")):
        loaded = {key: loaded, "epoch": 3, "optimizer": OPTIMIZER, "best": torch.tensor(1.0), "scheduler": OPTIMIZER}
    assert_are_the_weights(state_dict_in(loaded))


@pytest.mark.parametrize(
    "loaded",
    [
        {"model": "resnet20", "state_dict": WEIGHTS},
        {"state_dict": None, "net": WEIGHTS, "model": {"depth": 20}},
        {"model_ema": OTHER, "model": WEIGHTS},
        {"state_dict_ema": OTHER, "state_dict": WEIGHTS},
        {"my_network": OTHER, "weights": WEIGHTS},
        {"ema": {"model": OTHER}, "model": {"state_dict": WEIGHTS, "epoch": 1}},
    ],
)
def test_of_several_places_the_usual_one_counts(loaded: dict[str, Any]) -> None:
    assert_are_the_weights(state_dict_in(loaded))


@pytest.mark.parametrize(
    "prefixes",
    [
        ["_orig_mod."],
        ["module."],
        ["module.", ""],
        ["module._orig_mod."],
        ["_orig_mod.module.", "module."],
        ["model."],
        ["net."],
        ["network."],
        ["student."],
        ["model._orig_mod."],
        ["ema_model.module."],
        ["module.model."],
        ["backbone."],
    ],
)
def test_what_frameworks_put_before_keys_is_taken_away(prefixes: list[Any]) -> None:
    assert_are_the_weights(state_dict_in({"state_dict": behind(*prefixes)}))


def test_a_wrapper_in_the_middle_of_a_key_is_taken_away() -> None:
    assert_are_the_weights(state_dict_in({"conv._orig_mod.weight": WEIGHTS["conv.weight"],
                                          "bn.module.num_batches_tracked": torch.tensor(7)}))  # fmt: skip


def test_averages_of_weights_are_read_without_their_counters() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    averaged = AveragedModel(network, use_buffers=True)
    assert "n_averaged" in averaged.state_dict()
    assert state_dict_in(averaged.state_dict()).keys() == network.state_dict().keys()
    assert_are_the_weights(
        state_dict_in({**behind("ema_model."), "initted": torch.tensor(True), "step": torch.tensor(9)})
    )


@pytest.mark.parametrize("extra", [b"", torch.zeros(3, dtype=torch.uint8), None, {"scale": 1}])
def test_extra_state_is_ignored(extra: Any) -> None:
    assert_are_the_weights(state_dict_in({"model": {**WEIGHTS, "bn._extra_state": extra}}))


def test_keys_that_would_become_one_stay_as_they_are() -> None:
    weights = {"a": torch.ones(1), "module.a": torch.zeros(1)}
    assert state_dict_in(weights) == weights


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (
            {"epoch": 3, "model": "resnet20", "best": torch.zeros(2), "history": {"loss": 1.0}},
            "it holds 'epoch', 'model', 'best' and 1 more$",
        ),
        ([WEIGHTS], "it holds a list$"),
        ({}, "it holds nothing$"),
        ({"teacher": WEIGHTS, "student": OTHER}, "holds several state dicts, under 'teacher', 'student'; save the one"),
        ({"model": {"encoder": WEIGHTS, "head": OTHER}}, "several state dicts, under 'model.encoder', 'model.head'"),
    ],
)
def test_what_was_found_is_said_where_none_is_meant(loaded: dict[str, Any] | list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        state_dict_in(loaded)


def test_mappings_that_hold_each_other_end() -> None:
    loaded: dict[str, Any] = {"a": {}}
    loaded["a"]["b"] = loaded
    wide: dict[str, Any] = {}
    for _ in range(40):
        wide = {"left": wide, "right": wide}
    for content in (loaded, wide):
        with pytest.raises(InputError, match="holds no state dict"):
            state_dict_in(content)


def test_the_part_that_is_the_network_is_taken() -> None:
    for beside in ({"classifier.weight": torch.ones(1)}, {"teacher.conv": torch.ones(1), "step": torch.ones(1)}):
        assert_are_the_weights(part_of(WEIGHTS, {**behind("student."), **beside}))
    assert_are_the_weights(part_of(WEIGHTS, {**WEIGHTS, "n_averaged": torch.tensor(1)}))
    assert_are_the_weights(part_of(WEIGHTS, behind("a.b.")))


def test_a_larger_network_is_not_taken_for_its_part() -> None:
    small, large = (build_model(name, 10, (1, 8, 8)).state_dict() for name in ("resnet8", "resnet14"))
    assert small.keys() < large.keys()
    assert part_of(small, large) == large
    assert part_of(small, behind("net.", weights=large)).keys() == behind("net.", weights=large).keys()


def test_several_networks_of_one_kind_are_refused() -> None:
    with pytest.raises(InputError, match=r"several networks of this kind, under 'student\.', 'teacher\.'; save the"):
        part_of(WEIGHTS, {**behind("student."), **behind("teacher.", weights=OTHER)})


def test_batch_norms_that_did_not_count_yet_are_taken() -> None:
    older = {key: value for key, value in WEIGHTS.items() if not key.endswith("num_batches_tracked")}
    assert part_of(WEIGHTS, behind("net.", weights=older)) == older


@pytest.mark.parametrize("prefixes", [["net."], ["model."], ["module."], ["model.net."], ["backbone.", "fc.module."]])
def test_a_network_whose_own_keys_look_wrapped_is_loaded_from_its_state_dict(prefixes: list[Any]) -> None:
    own = behind(*prefixes)
    for stored in (own, behind("module.", weights=own), dict([*own.items()][:1])):
        found = part_of(own, state_dict_in(stored))
        assert [*found] == [*own][: len(stored)]
        assert all(value is own[key] for key, value in found.items())


def test_a_key_that_a_file_has_twice_is_not_taken_from_its_other_spelling() -> None:
    own = behind("backbone.")
    first = next(iter(WEIGHTS))
    beside = {**own, first: torch.full((2, 3), 9.0)}
    assert all(part_of(own, beside)[key] is value for key, value in own.items())
