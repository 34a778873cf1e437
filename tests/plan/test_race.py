"""A race, with made-up results: who gets seeds, who is out and why, and that a ledger says all of it."""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from analysis.loading import load
from analysis.report.methods import methods_text
from analysis.report.tables.effects import effects_rows
from analysis.statistics.effects import effects
from cktf.driver import extended
from cktf.errors import NotExtensible
from cktf.plan.planner import Planner
from cktf.rows import LookRow, PlannedRow, Row, Status
from cktf.run.directory import write_what_was_asked
from cktf.run.ledger import Ledger
from cktf.run.progress import status, watch
from cktf.storage import Storage
from cktf.study.designs import smoke_study
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec
from tests.kinds import MakeResult, MakeSpec
from tests.planning import ledger, planned
from tests.runs import printed_on

ARMS = {"good": 0.09, "none": 0.08, "like_none": 0.07}
COMPARE = {name: {"optimizer": {"learning_rate": rate}} for name, rate in ARMS.items()}
EFFECTS = {"good": 20.0, "baseline": 0.0, "none": 0.0, "like_none": 0.0}


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    return make_spec(compare=COMPARE, race={"looks": [3, 5, 7], "futility": 0.2})


def noise(row: PlannedRow) -> float:
    digest = hashlib.sha256(f"{row.arm} {row.seed}".encode()).digest()
    return float(stats.norm.ppf((digest[0] + 0.5) / 256))


def score(row: PlannedRow) -> float:
    return 50 + EFFECTS[row.arm] + noise(row)


def run(planner: Planner, make_result: MakeResult, most: int = 1000, failing: tuple[str, int] | None = None) -> None:
    """Train one trial after the other, of which one fails."""
    for _ in range(most):
        if not isinstance(row := planner.next_trial(), PlannedRow):
            return
        if (row.arm, row.seed) == failing:
            planner.on_end(row.trial_id, Status.FAILED, "no memory")
            continue
        for epoch in (1, 2):
            planner.on_epoch(row.trial_id, make_result(epoch, 1.0, test_accuracy=score(row) if epoch == 2 else None))
        planner.on_end(row.trial_id, Status.COMPLETE)


def seeds_of(rows: list[Row]) -> dict[str, int]:
    return {arm: sum(row.arm == arm for row in planned(rows)) for arm in ("baseline", *ARMS)}


def looks_of(rows: list[Row]) -> list[Any]:
    return [row for row in rows if isinstance(row, LookRow)]


def test_who_is_decided_or_hopeless_gets_no_more_seeds(
    spec: StudySpec, rows: list[Row], make_result: MakeResult
) -> None:
    assert spec.seeds == tuple(range(7))
    planner = ledger(spec, rows)
    assert planner.total() == 28
    assert len(planned(rows)) == 12
    run(planner, make_result)
    looks = looks_of(rows)
    names = {row.arm_id: row.arm for row in planned(rows)}
    out = {names[arm]: (look.seeds, why) for look in looks for arm, why in look.out.items()}
    assert out["good"] == (3, "helps")
    assert out["none"][1].startswith("hopeless: a chance of ")
    counts = seeds_of(rows)
    assert counts["good"] == 3
    assert counts["baseline"] == max(counts.values()) == looks[-1].seeds
    assert all(counts[arm] == seeds for arm, (seeds, _) in out.items())
    assert planner.is_done
    # The p of the first look, anew: its limit is exactly what it spends.
    first = {names[each["arm_id"]]: each for each in looks[0].comparisons}
    by_arm = {row.arm: row for row in planned(rows)}
    for arm in ARMS:
        one, other = (
            [score(row) for row in planned(rows) if row.arm == name and row.seed < 3] for name in (arm, "baseline")
        )
        assert len(by_arm) == 4
        p = min(1, stats.ttest_rel(one, other).pvalue * (7 / 3) ** 2)
        assert first[arm]["p"] == pytest.approx(p, rel=0.01)
        assert first[arm]["effect"] == pytest.approx(np.mean(one) - np.mean(other))


def test_a_race_that_is_killed_anywhere_goes_on_to_the_same_looks(
    spec: StudySpec, rows: list[Row], make_result: MakeResult
) -> None:
    run(ledger(spec, rows), make_result)
    whole = looks_of(rows)
    places = [rows.index(look) for look in whole]
    assert len(whole) >= 2
    for killed in (places[0], places[0] + 1, places[0] + 2, places[1] - 1, places[1] + 1, len(rows)):
        again = list(rows[:killed])
        run(ledger(spec, again), make_result)
        assert looks_of(again) == whole
        assert [row.trial_id for row in planned(again)] == [row.trial_id for row in planned(rows)]
    before = len(again)
    ledger(spec, again).plan()
    assert len(again) == before


def test_rows_of_a_look_are_read_as_written(spec: StudySpec, rows: list[Row], make_result: MakeResult) -> None:
    run(ledger(spec, rows), make_result)
    for look in looks_of(rows):
        assert LookRow.from_dict(json.loads(look.to_json())) == look


def test_a_failed_trial_leaves_a_pair_out_and_an_arm_that_always_fails_is_out(
    spec: StudySpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(spec, rows)
    run(planner, make_result, failing=("none", 1))
    first = looks_of(rows)[0]
    names = {row.arm_id: row.arm for row in planned(rows)}
    assert {names[each["arm_id"]]: each["n_pairs"] for each in first.comparisons} == {
        "good": 3,
        "none": 2,
        "like_none": 3,
    }
    failing: list[Row] = []
    planner = ledger(spec, failing)
    while isinstance(row := planner.next_trial(), PlannedRow):
        planner.on_end(row.trial_id, Status.FAILED, "no memory")
        if planner.failure:
            break
        planner._same_errors = 0
    (look,) = looks_of(failing)
    assert {why for arm, why in look.out.items() if names[arm] != "baseline"} == {"no seed gave a result"}
    assert planner.is_done


def test_the_other_side_of_an_open_contrast_runs_on(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    contrasts = ["baseline", ["none", "good"], ["like_none", "none"]]
    spec = make_spec(compare=COMPARE, race={"looks": [3, 4], "futility": 0}, contrasts=contrasts)
    run(ledger(spec, rows), make_result)
    first = looks_of(rows)[0]
    names = {row.arm_id: row.arm for row in planned(rows)}
    verdicts = {(names[each["arm_id"]], names[each["against_id"]]): each["verdict"] for each in first.comparisons}
    assert verdicts["good", "baseline"] == "helps"
    assert verdicts["none", "good"] == "hurts"
    assert [names[arm] for arm in first.out] == ["good"]
    assert seeds_of(rows) == {"baseline": 4, "good": 3, "none": 4, "like_none": 4}


def test_arms_in_no_contrast_are_out_at_the_first_look_but_for_the_baseline(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    spec = make_spec(compare=COMPARE, race={"looks": [3, 4], "futility": 0}, contrasts=[["like_none", "none"]])
    run(ledger(spec, rows), make_result)
    assert seeds_of(rows) == {"baseline": 4, "good": 3, "none": 4, "like_none": 4}
    assert [*looks_of(rows)[0].out.values()] == ["no comparison of it is open"]


def test_teachers_and_families_of_contexts_are_counted_as_in_the_report(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    contexts = {"small": {"batch_size": 32}, "large": {"batch_size": 64}}
    spec = make_spec(
        ablate={"optimizer.momentum": [0.0]}, contexts=contexts, family="context", race={"looks": [2, 3]}, delta=50.0
    )
    EFFECTS.setdefault("momentum=0", 0.0)
    run(ledger(spec, rows), make_result)
    last = looks_of(rows)[-1]
    assert len(last.comparisons) == 2
    assert all(each["p_adjusted"] == each["p"] for each in last.comparisons)


def test_a_look_with_delta_takes_both_questions_as_one_family_as_the_report_does(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    spec = make_spec(compare=COMPARE, race={"looks": [3, 6]}, delta=4.0)
    run(ledger(spec, rows), make_result)
    trials = pd.DataFrame(
        [
            {"arm": row.arm, "arm_id": row.arm_id, "seed": row.seed, "context": "", "stage": "design", "number": place}
            | {"is_baseline": row.arm == "baseline", "status": "complete", "test_accuracy": score(row)}
            for place, row in enumerate(planned(rows))
        ]
    )
    table = effects(trials, delta=4.0, looks=[3, 6]).set_index("arm_id")
    last = {each["arm_id"]: each for look in looks_of(rows) for each in look.comparisons}
    assert {each["verdict"] for each in last.values()} >= {"helps", "equivalent"}
    for arm_id, each in last.items():
        assert (each["verdict"], each["n_pairs"]) == tuple(table.loc[arm_id, ["verdict", "n_pairs"]])
        assert each["p_adjusted"] == pytest.approx(table.at[arm_id, "p_both"])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"race": {"looks": [4, 3]}}, "must increase from look to look; got [4, 3]"),
        ({"race": {}, "seeds": 5}, "must be 20, those of the last look of 'race:', or left out; got 5"),
        ({"race": {}, "grid": {"optimizer.momentum": [0.0, 0.5]}}, "it needs all arms at all seeds"),
        ({"race": {}, "search": {"optimizer.momentum": {"float": [0, 1]}}}, "it chooses its arms as results come"),
    ],
)
def test_what_does_not_fit_a_race_is_refused(make_spec: MakeSpec, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=re.escape(message)):
        make_spec(**({"ablate": {"optimizer.momentum": [0.0]}} if len(keys) == 1 or "seeds" in keys else {}), **keys)


def test_a_race_is_not_extended_and_a_smoke_run_has_none(spec: StudySpec) -> None:
    with pytest.raises(NotExtensible, match="is a race, whose last look, at 7 seeds"):
        extended(spec, seeds=2)
    assert smoke_study(spec).race is None


def test_status_and_progress_say_who_is_out_and_why(
    spec: StudySpec, rows: list[Row], make_result: MakeResult, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=300)
    planner = ledger(spec, rows)
    with watch(planner, console) as show:
        planner.listeners.append(show)
        run(planner, make_result)
    assert "look 1 at 3 seeds: out: good (helps)" in printed_on(console)
    place = Storage(tmp_path / "run")
    with Ledger(place) as written:
        write_what_was_asked(spec, place, written)
        for row in rows[: rows.index(looks_of(rows)[0]) + 1]:
            written.append(row)
    console = Console(file=io.StringIO(), width=300)
    console.print(status(place.root))
    text = printed_on(console)
    assert "look 1 at 3 seeds: out: good (helps)" in text
    assert "at 5 of 7 seeds" in text
    results = load(place.root)
    assert results.facts.looks == looks_of(rows)[:1]
    effect = results.effects.set_index("arm").loc["good"]
    first = {each["arm_id"]: each for each in looks_of(rows)[0].comparisons}[effect["arm_id"]]
    assert effect["p"] == pytest.approx(first["p"])
    assert effect["verdict"] == first["verdict"] == "helps"
    said = methods_text(results)
    assert "a race with looks at 3, 5, 7 complete seeds, of which those at 3 are over" in said
    assert "too large on average" in said
    rows_of_table = effects_rows(results)
    assert "out of the race at 3 seeds" in next(row for row in rows_of_table if row[0] == "good")[-1]
    assert results.effects_against("none").set_index("arm").at["good", "test"] == "mixture t"


def test_a_race_that_all_arms_have_left_has_no_next_look(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult, tmp_path: Path
) -> None:
    spec = make_spec(compare={"good": COMPARE["good"]}, race={"looks": [3, 5]})
    run(ledger(spec, rows), make_result)
    assert [len(look.out) for look in looks_of(rows)] == [2]  # the baseline, too
    place = Storage(tmp_path / "run")
    with Ledger(place) as written:
        write_what_was_asked(spec, place, written)
        for row in rows:
            written.append(row)
    console = Console(file=io.StringIO(), width=300)
    console.print(status(place.root))
    assert "look 1 at 3 seeds: out: " in printed_on(console)
    assert "next look" not in printed_on(console)
