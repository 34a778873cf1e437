"""Ledgers become tables, whatever happened to their writers."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis import collect, load
from analysis.ledger.collect import ledger_tables
from analysis.ledger.columns import VERSION_KEY
from cktf.ledger_lines import parse_row
from cktf.rows import FACTS_KEY, SCHEMA_VERSION, WITHDRAWN, EndRow, EpochRow, Stage, Status
from cktf.run.ledger import read_ledger
from cktf.storage import Storage
from tests.analysis.ledgers import LedgerWriter, study_row


def rows_of(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["trial_id"]: row for row in table.to_pylist()}


def files_of(report: Path) -> dict[str, bytes]:
    return {str(path.relative_to(report)): path.read_bytes() for path in report.rglob("*") if path.is_file()}


def test_every_trial_and_every_epoch_becomes_one_row(ablation: Path) -> None:
    trials, epochs = ledger_tables(ablation)
    assert (trials.num_rows, epochs.num_rows) == (25, 25 * 4)
    assert len(set(zip(epochs["trial_id"].to_pylist(), epochs["epoch"].to_pylist(), strict=True))) == 100
    assert trials["is_baseline"].to_pylist() == [True] * 5 + [False] * 20
    assert set(trials["status"].to_pylist()) == {"complete"}


def test_places_have_no_slash_too_many(ablation: Path, tmp_path: Path) -> None:
    assert collect(f"{ablation}/") == tuple(f"{ablation}/report/{name}.parquet" for name in ("trials", "epochs"))
    assert collect(ablation, f"{tmp_path}/sent/")[0] == f"{tmp_path}/sent/trials.parquet"


def test_values_are_those_of_the_ledger_read_line_by_line(ablation: Path) -> None:
    lines = (ablation / "ledger" / "000001.jsonl").read_text().splitlines()
    written = [row for row in map(parse_row, lines) if isinstance(row, EpochRow)]
    _, epochs = ledger_tables(ablation)
    read = {(row["trial_id"], row["epoch"]): row for row in epochs.to_pylist()}
    assert len(read) == len(written)
    for row in written:
        found = read[row.trial_id, row.epoch]
        for column in ("phase", "learning_rate", "train_loss", "validation_accuracy", "test_accuracy"):
            assert found[column] == getattr(row, column)
        assert found["term.cktf.stage1"] == row.terms["cktf.stage1"]
        assert found["time"].timestamp() == pytest.approx(row.time, abs=1e-6)


def test_columns_are_flat_and_typed(ablation: Path) -> None:
    trials, epochs = ledger_tables(ablation)
    types = dict(zip(trials.schema.names, trials.schema.types, strict=True))
    assert types["seed"] == types["epochs"] == types["config.epochs"] == pa.int64()
    assert types["param.objective.cktf.temperature"] == types["test_accuracy"] == pa.float64()
    assert (
        types["param.objective.cktf.pairing"] == types["arm"] == types["config.objective.cktf.pairing"] == pa.string()
    )
    assert types["is_baseline"] == pa.bool_()
    assert types["planned_time"] == types["ended_time"] == pa.timestamp("us", tz="UTC")
    assert json.loads(trials["versions"][0].as_py()) == {"ray": "2.60.0", "torch": "2.15.0"}
    assert not any(
        pa.types.is_nested(t) and not pa.types.is_dictionary(t) for t in (*types.values(), *epochs.schema.types)
    )


def test_a_designed_arm_has_the_levels_it_leaves_as_they_are(ablation: Path) -> None:
    trials, _ = ledger_tables(ablation)
    levels = {row["arm"]: row["param.objective.cktf.temperature"] for row in trials.to_pylist()}
    assert levels == {
        "baseline": 0.1,
        "temperature=0.5": 0.5,
        "temperature=0.05": 0.05,
        "theta=0.0": 0.1,
        "pairing=first": 0.1,
    }


def test_a_searched_choice_that_is_null_is_a_level_and_not_the_absence_of_one(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=["head", "width"]))
    arms: list[dict[str, Any]] = [{"head": None, "width": None}, {"head": "linear", "width": 2}, {}]
    for number, params in enumerate(arms):
        ledger.plan(f"arm{number}", 0, params, Stage.SEARCH)
    trials, _ = ledger_tables(ledger.close())
    assert trials["param.head"].to_pylist() == ["null", "linear", None]
    assert trials["param.width"].to_pylist() == ["null", "2", None]


def test_a_torn_last_line_is_ignored_and_counted(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    end = ledger.lines.pop()
    ledger.close_segment(torn=end[: len(end) // 2])
    results = load(ledger.run)
    assert results.facts.torn_lines == 1
    assert results.trials["status"].tolist() == ["complete"] * 9 + ["running"]
    assert results.trials["epochs"].tolist() == [4] * 10


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"kind":"epoch","epoch":1,', "is not JSON: EOF while parsing a value at line 1 column 26"),
        (b'{"kind":"end"}', "'trial_id' of a row of kind 'end' is missing"),
        (b'{"kind":"epoch","epoch":2}', "'phase' of a row of kind 'epoch' is missing"),
        (b"[]", "a row of unknown kind null; known: .*"),
        (b"", "is not JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"kind":"\xff"}', "is not JSON: invalid unicode code point at line 1 column 10"),
    ],
)
def test_a_broken_line_that_is_not_the_last_is_named(
    ablation_writer: Callable[..., Any], line: bytes, why: str
) -> None:
    ledger = ablation_writer(seeds=2)
    rest = ledger.lines[20:]
    del ledger.lines[20:]
    ledger.close_segment()
    ledger.lines += [*rest[:5], "the line", *rest[5:]]
    path = ledger.close_segment(torn='{"kind":')
    path.write_bytes(path.read_bytes().replace(b"the line", line))
    with pytest.raises(ValueError, match=rf"^{ledger.run}/ledger/000002\.jsonl, line 6: {why}$"):
        ledger_tables(ledger.run)


def test_of_several_rows_of_one_epoch_and_several_ends_the_last_holds(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    once = load(ledger.close()).trials
    trial_id = once["trial_id"][0]
    ledger.train(trial_id, 50.0, status=Status.FAILED, reason="lost its node")
    ledger.close_segment()
    ledger.train(trial_id, 70.0)
    results = load(ledger.close())
    trial = results.trials.iloc[0]
    assert (trial["status"], trial["reason"]) == ("complete", "")
    assert trial["test_accuracy"] == pytest.approx(70.0)
    assert len(results.trials) == len(once)
    assert not results.epochs.duplicated(["trial_id", "epoch"]).any()


def test_a_failed_trial_that_is_planned_again_has_not_ended(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=1)
    trial_id = ledger.plan("theta=0.0", 0)
    ledger.train(trial_id, 10.0, epochs=2, status=Status.FAILED, reason="out of memory")
    assert load(ledger.close()).trials["status"].tolist() == ["complete", "failed"]
    ledger.plan("theta=0.0", 0)
    assert load(ledger.close()).trials["status"].tolist() == ["complete", "running"]


def test_a_withdrawn_trial_that_begins_anew_has_none_of_its_former_epochs(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=1)
    trial_id = ledger.plan("theta=0.0", 0)
    ledger.train(trial_id, 99.0)
    ledger.add(EndRow(trial_id=trial_id, status=Status.FAILED, reason=f"{WITHDRAWN}: wrong images"))
    assert load(ledger.close()).trials["last_epoch"].tolist() == [4, 4]
    ledger.plan("theta=0.0", 0)
    ledger.train(trial_id, 10.0, epochs=2, status=Status.PRUNED)
    results = load(ledger.close())
    assert results.epochs.groupby("trial_id")["epoch"].max()[trial_id] == 2
    trial = results.trials.set_index("trial_id").loc[trial_id]
    assert (trial["last_epoch"], trial["validation_accuracy"]) == (2, pytest.approx(10.0))
    assert math.isnan(trial["test_accuracy"])


def test_trials_without_an_end_are_running_or_planned(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=1)
    ledger.plan("planned", 0)
    ledger.train(ledger.plan("running", 0), 60.0, epochs=2, status=None)
    trials = load(ledger.close()).trials.set_index("arm")
    assert trials["status"].to_dict() == {"baseline": "complete", "planned": "planned", "running": "running"}
    assert trials["epochs"].to_dict() == {"baseline": 4, "planned": 0, "running": 2}


def test_a_trial_carries_the_commit_of_the_launch_that_ended_it(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=1)
    later = ledger.plan("theta=0.0", 0)
    ledger.add(study_row(git_commit="fedc9876"))
    ledger.train(later, 80.0)
    results = load(ledger.close())
    assert results.trials["git_commit"].tolist() == ["0123abcd", "fedc9876"]
    assert [row.git_commit for row in results.facts.launches] == ["0123abcd", "fedc9876"]


def test_infinity_stays_what_it_is_and_what_is_not_a_number_is_missing(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=1)
    ledger.lines = [line.replace('"train_loss":0.5', '"train_loss":NaN') for line in ledger.lines]
    ledger.lines = [line.replace('"train_loss":1.0,', '"train_loss":Infinity,') for line in ledger.lines]
    _, epochs = ledger_tables(ledger.close())
    assert epochs["train_loss"].to_pylist() == [2.0, math.inf, 2 / 3, None]


def test_terms_that_only_some_trials_have_are_missing_in_the_others(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=1)
    last = ledger.lines[-1:-6:-1]
    ledger.lines = ledger.lines[:-5] + [line.replace("cktf.stage1", "kd") for line in reversed(last)]
    _, epochs = ledger_tables(ledger.close())
    assert epochs["term.kd"].null_count == epochs["term.cktf.stage1"].null_count == 4


def rewritten(lines: list[str], way: str) -> str:
    """Return the lines of a segment as another program may write them."""
    rows = [json.loads(line) for line in lines]
    some = random.Random(1)  # noqa: S311
    if way == "spaces":
        return "".join(f"{json.dumps(row)}\n" for row in rows)
    if way == "kind last":
        return "".join(f"{json.dumps({**row, 'kind': row.pop('kind')})}\n" for row in rows)
    if way == "some shuffled":
        shuffled = [dict(some.sample([*row.items()], len(row))) if some.random() < 0.3 else row for row in rows]
        return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in shuffled)
    if way == "sorted, without an end":
        return "\n".join(json.dumps(row, sort_keys=True) for row in rows)
    if way == "other line ends":
        return "".join(f"{line} \r\n" for line in lines)
    if way == "escapes":
        return "".join(line.replace('"kind"', '"k\\u0069nd"').replace("epoch", "e\\u0070och") + "\n" for line in lines)
    if way == "a byte order mark":
        return "\ufeff" + "".join(f"{line}\n" for line in lines)
    if way == "floats":
        return "".join(
            json.dumps({k: float(v) if type(v) is int else v for k, v in row.items()}) + "\n" for row in rows
        )
    assert way == "unknown keys"
    return "".join(json.dumps(row | {"another": {"by": [some.random()]}}) + "\n" for row in rows)


WAYS = (
    *("spaces", "kind last", "some shuffled", "sorted, without an end", "other line ends", "escapes"),
    *("a byte order mark", "floats", "unknown keys"),
)


@pytest.mark.parametrize("way", WAYS)
def test_a_ledger_that_another_program_has_written_gives_the_same_tables(
    ablation_writer: Callable[..., Any], way: str
) -> None:
    ledger = ablation_writer(seeds=2)
    lines = list(ledger.lines)
    path = ledger.close_segment()
    tables = ledger_tables(ledger.run)
    path.write_text(rewritten(lines, way), newline="")
    rows = [row for row in read_ledger(Storage(ledger.run)) if isinstance(row, EpochRow)]
    again = ledger_tables(ledger.run)
    assert again[1].num_rows == len(rows) == 40
    for table, other in zip(tables, again, strict=True):
        assert table.equals(other)


def test_the_files_state_schema_version_and_facts(ablation: Path) -> None:
    for path in collect(ablation):
        metadata = pa.parquet.read_table(path).schema.metadata
        assert metadata[VERSION_KEY] == str(SCHEMA_VERSION).encode()
    metadata = pa.parquet.read_schema(ablation / "report" / "trials.parquet").metadata
    assert json.loads(metadata[FACTS_KEY])["launches"][0]["study"] == "digits_ablation"


def test_the_same_ledger_gives_the_same_bytes(ablation: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        collect(ablation, tmp_path / name)
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")


def test_the_order_in_which_trials_finish_does_not_change_the_tables(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer()
    lines = list(ledger.lines)
    path = ledger.close_segment()
    before = ledger_tables(ledger.run)
    head, tail = lines[:26], lines[26:]
    by_trial = [tail[start : start + 5] for start in range(0, len(tail), 5)]
    random.Random(0).shuffle(by_trial)  # noqa: S311
    path.write_text("".join(f"{line}\n" for line in (*head, *(line for part in by_trial for line in part))))
    for table, again in zip(before, ledger_tables(ledger.run), strict=True):
        assert table.equals(again)


def test_a_run_may_be_a_uri(ablation: Path) -> None:
    trials, _ = ledger_tables(f"file://{ablation}")
    assert trials.num_rows == 25


def test_the_tables_of_a_uri_with_options_lie_below_its_run(ablation: Path) -> None:
    trials, epochs = collect(f"file://{ablation}?use_mmap=true")
    assert trials == f"file://{ablation}/report/trials.parquet?use_mmap=true"
    assert epochs == f"file://{ablation}/report/epochs.parquet?use_mmap=true"
    assert (ablation / "report" / "trials.parquet").is_file()
    assert not (ablation / "trials.parquet").exists()


def test_a_folder_without_ledger_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: no study row in ledger/"):
        ledger_tables(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_epochs_of_a_trial_that_was_never_planned_are_an_error(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=1)
    ledger.train("stranger", 1.0)
    with pytest.raises(
        ValueError,
        match=r"000001\.jsonl, line [0-9]+: a row of kind 'epoch' tells of trial 'stranger', which no row before",
    ):
        ledger_tables(ledger.close())


def test_an_end_of_a_trial_that_was_never_planned_is_an_error(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=1)
    ledger.add(EndRow(trial_id="stranger", status=Status.FAILED, reason="lost its node"))
    with pytest.raises(
        ValueError,
        match=r"000001\.jsonl, line [0-9]+: a row of kind 'end' tells of trial 'stranger', which no row before",
    ):
        ledger_tables(ledger.close())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("study", "metric"), ("planned", "arm"), ("epoch", "train_loss"), ("epoch", "terms"), ("end", "status")],
)
@pytest.mark.parametrize("of_all", [True, False])
def test_a_row_that_lacks_a_field_is_an_error_that_names_the_segment(
    ablation_writer: Callable[..., Any], kind: str, name: str, of_all: bool
) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=2)
    rows = [json.loads(line) for line in ledger.lines]
    of_kind = [row for row in rows if row["kind"] == kind]
    for row in of_kind if of_all else of_kind[-1:]:
        del row[name]
    ledger.lines = [json.dumps(row, separators=(",", ":")) for row in rows]
    with pytest.raises(ValueError, match=rf"000001\.jsonl, line .*'{name}' of a row of kind '{kind}' is missing"):
        ledger_tables(ledger.close())


def test_files_that_are_no_segments_are_not_read(ablation: Path) -> None:
    before = ledger_tables(ablation)
    for stray in ("000001 (copy).jsonl", "000002.jsonl.partial", "notes.jsonl", ".000001.jsonl"):
        (ablation / "ledger" / stray).write_text("not a row\n")
    (ablation / "ledger" / "000003.jsonl").mkdir()
    for table, again in zip(before, ledger_tables(ablation), strict=True):
        assert table.equals(again, check_metadata=True)


def test_trials_and_epochs_name_their_context_and_each_context_has_its_baseline(contexts: Path) -> None:
    trials, epochs = ledger_tables(contexts)
    baselines = {(row["context"], row["arm"]) for row in trials.to_pylist() if row["is_baseline"]}
    assert baselines == {("digits", "baseline"), ("clothes", "baseline")}
    assert trials["context"].to_pylist()[:5] == ["digits"] * 3 + ["clothes"] * 2
    named = {row["trial_id"]: row["context"] for row in trials.to_pylist()}
    assert [row["context"] for row in epochs.to_pylist()] == [
        named[trial_id] for trial_id in epochs["trial_id"].to_pylist()
    ]


def test_a_trial_tells_what_its_teacher_yields_where_the_run_has_it(contexts: Path) -> None:
    (contexts / "teachers" / "teacher-clothes.json").unlink()
    trials, _ = ledger_tables(contexts)
    told = {(row["context"], row["teacher_test_accuracy"]) for row in trials.to_pylist()}
    assert told == {("digits", 96.5), ("clothes", None)}


def test_a_ledger_from_before_there_were_contexts_is_read(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    later = {"context", "teacher_id", "baselines", "reference_source", "reference_values", "reference_teachers"}
    rows = [{k: v for k, v in json.loads(line).items() if k not in later} for line in ledger.lines]
    now = ledger_tables(ledger.close())
    ledger.number, ledger.lines = 0, [json.dumps(row, separators=(",", ":")) for row in rows]
    for table, before in zip(now, ledger_tables(ledger.close()), strict=True):
        assert table.equals(before)
