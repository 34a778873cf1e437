"""Contexts with seeds of their own: the seed that people write stays, what is trained with it differs by context."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.loading import load
from analysis.report.methods import methods_text
from cktf.errors import NotExtensible
from cktf.names import BASELINE
from cktf.plan.planner import Planner
from cktf.rows import EpochRow, PlannedRow, Row
from cktf.run.directory import write_what_was_asked
from cktf.run.growth import require_grown
from cktf.run.ledger import Ledger
from cktf.run.one_trial import facts_of, find_trial
from cktf.settings import LARGEST_SEED
from cktf.storage import Storage
from cktf.study.designs import plan_arms
from cktf.study.in_words import tables_of
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import ledger, planned

CONTEXTS = {f"batches of {size}": {"batch_size": size} for size in (16, 32, 48, 64, 80)}
ARMS = {"slow": {"optimizer": {"learning_rate": 0.01}}, "slower": {"optimizer": {"learning_rate": 0.001}}}


def score(row: PlannedRow, _: int) -> float:
    luck = hashlib.sha256(f"{row.arm} {row.config['seed']}".encode()).digest()[0] / 256
    return 50 + 5 * (row.arm == "slow") + luck


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    return make_spec(contexts=CONTEXTS, compare=ARMS, seeds=3, seeds_by_context=True)


def test_each_context_trains_with_a_block_of_seeds_which_its_arms_share(
    make_spec: MakeSpec, spec: StudySpec, rows: list[Row]
) -> None:
    Planner(spec, rows.append)
    trained: dict[str, dict[str, list[int]]] = {}
    for row in planned(rows):
        trained.setdefault(row.context, {}).setdefault(row.arm, []).append(row.config["seed"])
    for of_arms in trained.values():
        first = of_arms[BASELINE][0]
        assert all(seeds == [first, first + 1, first + 2] for seeds in of_arms.values())
    assert len({seed for of_arms in trained.values() for seed in of_arms["slow"]}) == 15
    assert {row.seed for row in planned(rows)} == {0, 1, 2}
    assert trained["batches of 16"]["slow"][0] == 2047228326 == spec.training_seed(0, "batches of 16"), "pinned"
    (_, contexts), _ = tables_of(spec, plan_arms(spec))
    assert [row[-1] for row in contexts] == [f"{spec.training_seed(0, context)}" for context in CONTEXTS]
    assert spec.training_seed(LARGEST_SEED, "batches of 16") == 2047228325, "it stays a seed"
    alone = make_spec(contexts=CONTEXTS, compare=ARMS, seeds=3)
    assert alone.training_seed(2, "batches of 16") == 2
    assert plan_arms(alone) == plan_arms(spec)


def test_what_was_trained_is_paired_within_contexts_shown_ranked_and_read_over_them(
    spec: StudySpec, rows: list[Row], run_to_end: RunToEnd, tmp_path: Path
) -> None:
    place = Storage(tmp_path / "run")
    with Ledger(place) as written:
        write_what_was_asked(spec, place, written)
        done = run_to_end(ledger(spec, rows), score)
        for row in rows:
            written.append(replace(row, test_accuracy=row.validation_accuracy) if isinstance(row, EpochRow) else row)
    assert len(done) == 5 * 3 * 3
    assert run_to_end(ledger(spec, rows), score) == [], "launched again, nothing is left"
    results = load(place.root)
    assert {*results.effects["n_pairs"]} == {3}
    assert results.over_contexts.set_index("arm")["verdict"].to_dict() == {"slow": "helps", "slower": "undecided"}
    assert {*results.ranks["n_blocks"]} == {5}
    assert (results.trials["config.seed"] - results.trials["seed"]).nunique() == 5
    assert "Each context has seeds of its own" in methods_text(results)
    trial = find_trial(ledger(spec, rows).state, None, "batches of 32: slow", 2)
    trained = spec.training_seed(2, "batches of 32")
    assert dict(facts_of(trial, results.facts.study))["seed"] == f"2, in training {trained}"


def test_it_is_of_contexts_alone_and_stays_as_a_run_began(make_spec: MakeSpec, spec: StudySpec) -> None:
    with pytest.raises(StudyError, match="seeds_by_context: only a study with 'contexts:' has this key"):
        make_spec(compare=ARMS, seeds_by_context=True)
    shared = make_spec(contexts=CONTEXTS, compare=ARMS, seeds=3)
    with pytest.raises(NotExtensible, match="seeds_by_context: must be true, as it was; got false"):
        require_grown(shared, spec, Storage("/nowhere"))
