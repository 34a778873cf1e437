"""A CSV file as results of a comparison."""

from pathlib import Path

import pandas as pd
import pytest

from analysis import load, read_csv, write_results
from analysis.figures.effects import record
from analysis.report.methods import methods_text
from analysis.report.provenance import provenance_rows
from analysis.report.tables import main_tables
from analysis.results import Results
from cktf.rows import Status
from tests.analysis.command import main

SCORES: dict[str, list[float | None]] = {"none": [0.90, 0.88, 0.91], "kd": [0.93, 0.92, 0.94], "at": [0.91, None, 0.92]}


def text_of(scores: dict[str, list[float | None]], context: str = "") -> list[str]:
    """Return the lines of a file, without its head."""
    return [
        ",".join([*([context] if context else []), arm, str(seed), "" if score is None else str(score)])
        for arm, found in scores.items()
        for seed, score in enumerate(found, 10)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of three arms at three seeds, one value missing."""
    path = tmp_path / "results.csv"
    path.write_text("\n".join(["method,run,acc", *text_of(SCORES)]) + "\n")
    return path


def test_its_effects_are_those_of_its_numbers(file: Path) -> None:
    results = read_csv(file, metric="acc", arm="method", seed="run", baseline="none", delta=0.05)
    found = results.effects.set_index("arm")
    assert found.at["kd", "effect"] == pytest.approx(0.93 - (0.90 + 0.88 + 0.91) / 3)
    assert found.at["kd", "verdict"] in ("helps", "equivalent")
    assert (found.at["at", "n_pairs"], found.at["at", "n_lost_by_arm"]) == (2, 1)
    assert found.at["at", "missing"] == "seed 11: failed"
    failed = results.trials[results.trials["status"] == Status.FAILED]
    assert failed["reason"].tolist() == ["no acc in the file"]
    assert results.trials["seed"].tolist() == [10, 11, 12] * 3


def test_smaller_may_be_better_and_contexts_have_a_column(tmp_path: Path) -> None:
    lines = [*text_of(SCORES, "digits"), *text_of(SCORES, "clothes")]
    (tmp_path / "both.csv").write_text("\n".join(["data,arm,seed,loss", *lines]))
    results = read_csv(tmp_path / "both.csv", metric="loss", context="data", baseline="none", maximise=False)
    assert results.contexts == ["digits", "clothes"]
    assert set(results.effects.loc[results.effects["p_holm"] < 0.05, "verdict"]) <= {"hurts"}
    assert results.over_contexts["n_contexts"].tolist() == [2, 2]


def test_a_metric_called_as_one_of_ours_has_no_unit_that_nobody_stated(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,seed,test_accuracy\nbaseline,0,0.9\nkd,0,0.8\nkd,1,0.8\nbaseline,1,0.7")
    results = read_csv(tmp_path / "a.csv", metric="test_accuracy")
    write_results(results, tmp_path / "out")
    assert "%" not in (tmp_path / "out" / "tables" / "effects.md").read_text().splitlines()[0].replace("95%", "")


def test_names_stay_as_they_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,seed,score\n0.10,0,1\n0.10,1,2\nNA,0,3\nNA,1,3\n")
    assert read_csv(tmp_path / "a.csv", metric="score", baseline="0.10").effects["arm"].tolist() == ["NA"]


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        ("", {}, "results.csv: no table: it is empty"),
        ("method,run,acc\n", {}, "results.csv: there are no rows under the columns method, run, acc"),
        ("a,run,acc\nnone,0,1\n", {}, "no column is called 'method' (--arm); there are: a, run, acc"),
        ("method,run,b\nnone,0,1\n", {}, "no column is called 'acc' (--metric); there are: method, run, b"),
        ("method,run,acc\nnone,0,1\n", {"context": "data"}, "no column is called 'data' (--context)"),
        (
            "method,run,acc\nnone,0,1\nkd,x,1\n",
            {},
            "column 'run': a seed is a whole number of at most 64 bits; line 3 has 'x'",
        ),
        (
            "method,run,acc\nnone,0,1\nkd,9223372036854775808,1\n",
            {},
            "a seed is a whole number of at most 64 bits; line 3 has '922",
        ),
        ("method,run,acc,acc\nnone,0,1,2\n", {}, "2 columns are called 'acc' (--metric); rename all but one"),
        ("method,run,acc\nnone,0,1,2\n", {}, "line 2 has 4 cells under 3 columns (method, run, acc)"),
        ("method,run,acc\nnone,0,1\nkd,0\n", {}, "line 3 has 2 cells under 3 columns"),
        *(
            (
                f"method,run,acc\nnone,0,1\nkd,0,{cell}\n",
                {},
                f"column 'acc' holds numbers, or nothing where a trial failed; line 3 has '{cell}'",
            )
            for cell in ("1_070.0", "0x1F", "٣", "7e1_0", "1e", "70 %", "--1", "1.2.3")
        ),
        *(
            (
                f"method,run,acc\nnone,0,1\nkd,{cell},1\n",
                {},
                f"a seed is a whole number of at most 64 bits; line 3 has '{cell}'",
            )
            for cell in ("1_0", "0.5", "٣", "0x1", "inf", "1e3")
        ),
        ("method,run,acc,s\nnone,0,1,x\n", {"status": "s"}, "column 's' (--status) says how a trial ended"),
        ("method,run,acc\nnone,0,1\n", {"status": "s"}, "no column is called 's' (--status)"),
        (
            "method,run,acc\nnone,0,1\nkd,0,good\n",
            {},
            "column 'acc' holds numbers, or nothing where a trial failed; line 3 has 'good'",
        ),
        (
            "method,run,acc\nkd,0,1\nat,0,1\n",
            {},
            "no arm is called 'none', which is to be the baseline; there are: kd, at",
        ),
        ("method,run,acc\nnone,0,1\n,0,1\n", {}, "column 'method' is empty in line 3"),
        ("method,run,acc\nnone,0,1\nnone,0,2\n", {}, "arm 'none' has several rows at seed 0"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_there_is(
    content: str, options: dict[str, str], told: str, file: Path
) -> None:
    file.write_text(content)
    with pytest.raises(ValueError) as error:
        read_csv(file, metric="acc", arm="method", seed="run", baseline="none", **options)
    assert told in str(error.value)
    assert str(file) in str(error.value)


def test_its_report_says_what_cannot_be_vouched_for_and_invents_nothing(file: Path, tmp_path: Path) -> None:
    results = read_csv(file, metric="acc", arm="method", seed="run", baseline="none")
    paths = write_results(results, tmp_path / "out")
    assert {"arms", "effects", "best"} <= set(paths.tables)
    assert {"effects", "paired_slopes"} <= set(paths.figures)
    text = methods_text(results)
    for fact in (
        f"were read from the CSV file {file} (arm: column method, seed: column run, metric: column acc)",
        "Arms are compared at seeds of the same number; what a seed fixes",
        "who chose the epoch",
        "Of 9 trials, 1 gave no result (1 failed)",
    ):
        assert fact in text
    for claim in ("validation split", "share their seeds", "not at its best one"):
        assert claim not in text
    rows = dict(provenance_rows(results))
    for name in ("commit", "command", "machine", "versions", "devices", "nodes", "training time"):
        assert rows[name] == "unknown"
    assert rows["cannot be vouched for"].startswith("Arms are compared at seeds")
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"not measured here; read from the CSV file {file}" in page
    again = load(tmp_path / "out")
    assert again.facts == results.facts
    pd.testing.assert_frame_equal(again.effects, results.effects)


def test_files_are_read_together_each_a_context_of_its_own(file: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        results = read_csv(file, metric="acc", arm="method", seed="run", baseline="none")
        write_results(results, tmp_path / name)
    both = load(tmp_path / "one", tmp_path / "other")
    assert both.contexts == ["results", "results (2)"]
    assert len(both.trials) == 18
    assert both.facts.foreign is not None
    assert both.facts.foreign.origin.startswith("the CSV file")


def test_the_command_line_names_the_columns(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["--arm", "method", "--seed", "run", "--metric", "acc", "--baseline", "none", "--delta", "0.01"]
    assert main(["report", str(file), "--from", "csv", *columns]) == 2
    assert capsys.readouterr().err.startswith("--out is missing: the report of foreign results has no place")
    assert main(["report", str(file), "--from", "csv", *columns, "--out", str(tmp_path / "out")]) == 0
    assert "within ±0.01 (delta)" in " ".join(capsys.readouterr().out.split())


def read_back(tmp_path: Path, lines: list[str], **options: object) -> Results:
    """Return the results of a file of such lines."""
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_csv(tmp_path / "a.csv", metric="acc", **options)  # type: ignore[arg-type]


def caveats(results: Results) -> str:
    """Return what a report says of foreign results."""
    assert results.facts.foreign is not None
    return " ".join(results.facts.foreign.cannot_be_vouched_for)


def test_names_that_look_alike_are_one_and_those_of_another_case_are_told(tmp_path: Path) -> None:
    lines = ["\ufeffarm ,\u00a0seed,acc\u200b"]
    for number, (arm, base) in enumerate(
        [
            ("kd", "baseline"),
            ("kd ", " baseline"),
            ("kd\u200b", "baseline\u00a0"),
            ("\u00a0kd", "\ufeffbaseline"),
        ]
    ):
        lines += [f"{arm},{number}.0,{80 + number + number % 2}", f"{base},{number},{79 + number}"]
    lines += [f"caf{e},{number},{70 + number}" for number, e in enumerate(["\u00e9", "e\u0301"])]
    results = read_back(tmp_path, lines, baseline="baseline ")
    assert results.effects["arm"].tolist() == ["kd", "café"]
    assert results.effects["n_pairs"].tolist() == [4, 2]
    assert "Capitals" not in caveats(results)
    lines += ["KD,0,81", "<function f at 0x7f01>,0,80", "<function f at 0x7f02>,1,80"]
    results = read_back(tmp_path, lines)
    assert "set these arms apart: 'kd'; 'KD'." in caveats(results)
    assert results.effects["arm"].tolist()[-1] == "<function f>"
    assert "Addresses of functions" in caveats(results)


@pytest.mark.parametrize(("head", "options"), [("Status", {}), ("job_state", {}), ("end", {"status": "end"})])
def test_a_number_beside_a_status_that_failed_does_not_count(
    tmp_path: Path, head: str, options: dict[str, str]
) -> None:
    lines = [f"arm,seed,acc,{head}"]
    for number in range(4):
        lines += [f"kd,{number},{82 + 0.5 * number**2},finished", f"baseline,{number},{80 + number},ok"]
    whole = read_back(tmp_path, [*lines, "kd,4,82,ok", "baseline,4,80,ok"], **options)
    assert whole.effects["n_pairs"].tolist() == [5]
    assert "failed" not in " ".join(caveats(whole).split("seed")[2:])
    failed = read_back(tmp_path, [*lines, "kd,4,12,crashed", "baseline,4,80,ok", "kd,5,1,running"], **options)
    assert failed.effects["n_pairs"].tolist() == [4]
    assert failed.trials["status"].tolist()[-3:] == [Status.FAILED, Status.COMPLETE, Status.RUNNING]
    assert failed.trials["reason"].tolist()[-3] == f"{head}: crashed"
    assert "Failed trials that have a value of acc all the same, which does not count: 1 of 11." in caveats(failed)
    if not options:
        unread = read_back(tmp_path, [*lines, "kd,4,12,CA"])
        assert f"Column {head} may say how trials ended, but its words, like 'CA'" in caveats(unread)


def test_what_is_not_finite_has_failed(tmp_path: Path) -> None:
    lines = ["arm,seed,acc"]
    lines += [f"{arm},{number},{80 + number}" for number in range(3) for arm in ("kd", "baseline")]
    results = read_back(tmp_path, [*lines, "kd,3,inf", "kd,4,nan", "kd,5,-Infinity"])
    assert results.trials["status"].tolist()[-3:] == [Status.FAILED] * 3
    assert results.trials["reason"].tolist()[-3:] == [
        "acc is inf, which is not finite",
        "no acc in the file",
        "acc is -inf, which is not finite",
    ]
    assert "Trials whose acc is infinite or not a number, which count as failed: 2 of 9." in caveats(results)


def test_a_factor_of_a_hundred_is_told_in_the_report(tmp_path: Path) -> None:
    lines = ["arm,seed,acc"]
    for number in range(3):
        lines += [f"baseline,{number},{0.7 + number / 100}", f"kd,{number},{71 + number**2}"]
    text = methods_text(read_back(tmp_path, lines))
    assert "About a factor of 100: 'baseline' has a mean acc of 0.71, 'kd' of 72.67." in text


def test_a_loss_is_not_taken_for_an_accuracy(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,seed,loss\nbaseline,0,1\nbaseline,1,2\nkd,0,0.5\nkd,1,1.2\n")
    with pytest.raises(ValueError, match="--metric loss: not said whether a larger or a smaller value is better"):
        read_csv(tmp_path / "a.csv", metric="loss")
    for maximise, word in ((True, "larger"), (False, "smaller")):
        results = read_csv(tmp_path / "a.csv", metric="loss", maximise=maximise)
        assert main_tables(results)[0].remark.startswith(f"Of loss, {word} is better.")
    options = ["--from", "csv", "--metric", "loss", "--out", str(tmp_path / "out")]
    assert main(["report", str(tmp_path / "a.csv"), *options]) == 2
    assert main(["report", str(tmp_path / "a.csv"), *options, "--minimise"]) == 0


def test_a_file_may_be_of_utf_16_and_its_last_line_have_no_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,seed,acc\nbaseline,0,1\nkd,0,2\nkd,1,3\nbaseline,1,1", encoding="utf-16")
    assert read_csv(tmp_path / "a.csv", metric="acc").effects["n_pairs"].tolist() == [2]
    (tmp_path / "a.csv").write_bytes(b"arm,seed,acc\nbaseline,0,1\nkd\xff,0,2\n")
    with pytest.raises(ValueError, match=r"a\.csv: is not text in utf-8 at byte 29; --encoding names another"):
        read_csv(tmp_path / "a.csv", metric="acc")


def test_contrasts_may_stand_in_place_of_a_baseline(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = ["report", str(file), "--from", "csv", "--arm", "method", "--seed", "run", "--metric", "acc"]
    out = str(tmp_path / "out")
    assert main([*columns, "--contrast", "kd, none", "--alternative", "better", "--out", out]) == 0
    assert "one-sided: that an arm is better" in " ".join(capsys.readouterr().out.split())
    again = load(out)
    assert again.effects[["arm", "against"]].to_numpy().tolist() == [["kd", "none"]]
    text = methods_text(again)
    assert "Compared were: kd against none. Whether this was fixed before the results were seen is not known" in text
    assert "one-sided: that an arm is better, at every number of seeds;" in text
    both = ["--contrast", "kd,at", "--contrast", "baseline", "--baseline", "none"]
    assert main([*columns, *both, "--out", out]) == 0
    assert len(load(out).effects) == 3
    for wrong, told in (("kd", "must be two arms with a comma"), ("kd,nonee", "there are: at, kd, none")):
        assert main([*columns, "--contrast", wrong, "--out", out]) == 2
        assert told in capsys.readouterr().err


def test_a_comma_in_a_name_parts_no_arms(tmp_path: Path) -> None:
    rows = [f'"{arm}",{seed},{80 + seed + len(arm)}' for arm in ("a=1, b=2", "a=1", "c") for seed in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["arm,seed,acc", *rows]))
    found = read_csv(tmp_path / "a.csv", metric="acc", contrasts=["a=1, b=2, c"]).effects
    assert found[["arm", "against"]].to_numpy().tolist() == [["a=1, b=2", "c"]]


def test_seeds_that_have_nothing_in_common_are_said_to_be_unpaired(file: Path, tmp_path: Path) -> None:
    command = ["report", str(file), "--from", "csv", "--metric", "acc", "--arm", "method", "--seed", "run"]
    main([*command, "--baseline", "none", "--unpaired", "--delta", "0.05", "--out", str(tmp_path / "out")])
    results = load(tmp_path / "out")
    assert set(results.effects["test"]) == {"Welch's t"}
    said = methods_text(results)
    assert (
        "An effect is the difference of the means over seeds in acc between an arm and the baseline at seeds of" in said
    )
    assert "The test that decides is Welch's t test of unpaired seeds" in said
    assert "Arms are compared at seeds of the same number" not in said
    apart = tmp_path / "apart.csv"
    apart.write_text(file.read_text().replace("kd,1", "kd,2").replace("at,12,0.92", "at,12,0.95"))
    results = read_csv(apart, metric="acc", arm="method", seed="run", baseline="none")
    forest = record(results)
    assert forest is not None
    assert "n counts the pairs or, where two arms have no seed in common, the arm's values." in forest.caption
    found = methods_text(results)
    assert "is the paired t test (Welch's where two arms have no seed in common), two-sided, in" in found
    assert "the baseline at the same seed, or of the means where they have none in common; its 95% interval" in found


def test_each_fold_counts_once(tmp_path: Path) -> None:
    lines = [
        f"{arm},{fold},{seed},{value + seed / 100 + (0.1 * place) ** 2}"
        for place, fold in enumerate("abcd")
        for arm, value in (("none", 0.5), ("kd", 0.5 + 0.1 * (1 + place)))
        for seed in range(2)
    ]
    (tmp_path / "folds.csv").write_text("\n".join(["arm,fold,seed,acc", *lines, "at,a,0,0.5", "at,a,1,"]) + "\n")
    results = read_csv(tmp_path / "folds.csv", metric="acc", cluster="fold", baseline="none")
    assert results.trials["seed"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0]
    assert results.trials["reason"].iloc[-1] == "no acc in the file"
    found = results.effects.set_index("arm")
    assert found.at["kd", "effect"] == pytest.approx(0.25)
    assert found["test"].to_dict() == {"kd": "paired t over clusters", "at": "none"}
    said = methods_text(results)
    assert "the paired t test over clusters (column fold)" in said
    assert "each cluster counts once" in said
    assert main_tables(results)


def test_the_only_numbers_are_the_metric(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,seed,acc,note,status\nbaseline,0,1,x,ok\nkd,0,2,y,ok\n")
    assert read_csv(tmp_path / "a.csv").facts.study.metric == "metric.acc"
    (tmp_path / "a.csv").write_text("arm,seed,acc,f1\nbaseline,0,1,3\nkd,0,2,4\n")
    with pytest.raises(ValueError, match="--metric says which of its numbers is compared; there are: acc, f1"):
        read_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("arm,seed,acc\nbaseline,0,1\nkd,0,2%\n")
    with pytest.raises(ValueError, match=r"column 'acc' holds numbers, .*; line 3 has '2%'"):
        read_csv(tmp_path / "a.csv")


def test_the_only_numbers_may_have_a_decimal_comma(tmp_path: Path) -> None:
    lines = ["arm;seed;score", *(line.replace(",", ";").replace(".", ",") for line in text_of(SCORES))]
    (tmp_path / "comma.csv").write_text("\n".join(lines))
    found = read_csv(tmp_path / "comma.csv", decimal=",", baseline="none").trials
    assert found["metric.score"].tolist()[:4] == [0.90, 0.88, 0.91, 0.93]


def test_the_numbers_of_rows_under_no_name_are_no_metric(file: Path) -> None:
    pd.read_csv(file).to_csv(file)  # pandas writes its index first
    assert read_csv(file, arm="method", seed="run", baseline="none").facts.study.metric == "metric.acc"


def test_the_last_epoch_scores_a_trial_or_the_best_one(tmp_path: Path) -> None:
    rows = [(arm, seed, epoch) for arm in ("baseline", "kd") for seed in (0, 1) for epoch in (10, 9, 8)]
    lines = [f"{arm},{seed},{epoch},{50 + len(arm) + seed + epoch * (19 - 2 * epoch)}" for arm, seed, epoch in rows]
    lines[-1] = "kd,1,8,"
    results = read_back(tmp_path, ["arm,seed,epoch,acc", *lines], step="epoch")
    assert results.trials["metric.acc"].tolist() == [48, 49, 42, 43]
    assert results.epochs["epoch"].tolist() == [8, 9, 10] * 3 + [9, 10]
    best = read_back(tmp_path, ["arm,seed,epoch,acc", *lines], step="epoch", best=True)
    assert best.trials["metric.acc"].tolist() == [82, 83, 76, 62]
    assert "A trial is scored by its best value on the way" in caveats(best)
    ends = read_back(tmp_path, ["arm,seed,acc", "baseline,0,80", "kd,0,81"], best=True)  # a table without the way
    assert "best value on the way" not in caveats(ends)
    with pytest.raises(ValueError, match="'kd', '0' has two rows of step 10: line 8 and line 14"):
        read_back(tmp_path, ["arm,seed,epoch,acc", *lines, "kd,0,10,3"], step="epoch")
    with pytest.raises(ValueError, match=r"column 'epoch': a step is a whole number; line 14 has '1\.5'"):
        read_back(tmp_path, ["arm,seed,epoch,acc", *lines, "kd,0,1.5,3"], step="epoch")
    with pytest.raises(ValueError, match=r"arm 'baseline' has several rows at seed 0 \(line 2, line 3\)"):
        read_back(tmp_path, ["arm,seed,epoch,acc", *lines])
