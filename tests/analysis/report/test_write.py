"""The report: its files, its page, and what hostile names do to them: nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from analysis import load, write_report
from analysis.facts import Foreign
from analysis.ledger.columns import VERSION_KEY
from analysis.report import write
from analysis.report.methods import methods_text
from analysis.report.tables import TABLES
from cktf.rows import FACTS_KEY, SCHEMA_VERSION, Stage, Status
from tests.analysis.command import main
from tests.analysis.ledgers import LedgerWriter, study_row

FIGURES_OF_A_SEARCH = {"importance", "path", "history", "slices", "rank_map", "parallel", "pareto"}
LAST_SECTIONS = ["trials", "methods", "provenance"]
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>&\"'"


class Page(HTMLParser):
    """The parts of a page that the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    @property
    def sections(self) -> list[str | None]:
        """Names of the sections, in order."""
        return [attributes["id"] for tag, attributes in self.tags if tag == "section"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text, apart where it is a script's."""
        (self.scripts if self.cdata_elem == "script" else self.texts).append(data)


@pytest.fixture
def hostile(ablation_writer: Callable[..., Any]) -> Path:
    ledger = ablation_writer(seeds=2, question=HOSTILE, study=HOSTILE, machine=HOSTILE)
    for seed in range(2):
        ledger.train(ledger.plan(HOSTILE, seed, {"objective.cktf.pairing": HOSTILE}), 85.0 + seed**2)
    failed = ledger.plan("theta=0.0", 2)
    ledger.train(failed, 9.0, epochs=1, status=Status.FAILED, reason=HOSTILE, tests=False)
    (ledger.close() / "study.yaml").write_text(f"# {HOSTILE}\n")
    run: Path = ledger.run
    return run


def test_a_report_has_tables_figures_and_a_page_the_same_each_time(ablation: Path, pictures: dict[str, Any]) -> None:
    paths = write_report(ablation)
    assert set(paths.tables) == {"trials", "epochs", "arms", "effects", "best"}
    assert set(paths.figures) >= {"effects", "paired_slopes", "learning_curves"}
    assert all(Path(path).stat().st_size > 0 for path in paths.files)
    for name, path in paths.tables.items():
        metadata = pyarrow.parquet.read_table(path).schema.metadata
        assert metadata[VERSION_KEY] == str(SCHEMA_VERSION).encode()
        assert (FACTS_KEY in metadata) == (name != "epochs")
    effects = pyarrow.parquet.read_table(paths.tables["effects"]).to_pylist()
    assert [row["arm"] for row in effects] == paths.results.effects["arm"].tolist()
    for figure in paths.figures.values():
        assert Path(figure).read_text().startswith("<svg")
        assert Path(figure).with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert Path(figure).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert Path(figure).with_suffix(".txt").read_text().strip() in unescape(Path(paths.html).read_text())
    assert "temperature=0.5" in Path(paths.figures["effects"]).read_text()
    assert {Path(path).name for path in paths.papers} == {
        *("arms.csv", "best.csv", "effects.csv", "effects.md", "effects.tex", "pairing.md", "pairing.tex"),
        *("settings.md", "settings.tex", "settings_tabular.tex", "components.md", "components.tex"),
        *("methods.md", "methods.tex", "methods.bib"),
        *("effects_tabular.tex", "pairing_tabular.tex", "components_tabular.tex"),
    }

    pictures.clear()
    again = write_report(ablation, ablation.parent / "again")
    for path in paths.files:
        other = ablation.parent / "again" / Path(path).relative_to(ablation / "report")
        assert Path(path).read_bytes() == other.read_bytes(), path
    assert len(again.files) == len(paths.files)


def test_reports_on_the_way_are_looks_that_are_counted_once_for_each_state(ablation_writer: Callable[..., Any]) -> None:
    def reported() -> tuple[list[int], str, dict[str, bytes]]:
        report = Path(write_report(ledger.run).html).parent
        looks = [look["complete"] for look in json.loads((report / "report.json").read_text()).get("looks", [])]
        files = {str(path): path.read_bytes() for path in report.rglob("*") if path.is_file()}
        return looks, (report / "tables" / "methods.md").read_text(), files

    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3, asked={"seeds": "3"})
    late = [ledger.plan("baseline", 3), ledger.plan("theta=0.0", 3, {"objective.cktf.theta": 0.0})]
    ledger.close_segment()
    looks, methods, files = reported()
    assert looks == [6]
    assert "Reports on the way that are on record: 1." in methods
    assert reported()[-1] == files
    ledger.train(late[0], 91.0)
    ledger.close_segment()
    looks, methods, _ = reported()
    assert looks == [6, 7]
    assert "this report is a look on the way" in methods
    assert "on record: 2." in methods
    ledger.train(late[1], 90.0)
    ledger.close_segment()
    looks, methods, _ = reported()  # finished, as it was planned
    assert looks == [6, 7]
    assert "this report is a look on the way" not in methods
    assert "on record: 2." in methods
    ledger.add(study_row(asked={"seeds": "4"}))
    ledger.close_segment()
    looks, methods, _ = reported()
    assert looks == [6, 7, 8]
    assert "those of the mixture t" in methods
    assert "on record: 3." in methods


def test_the_methods_lie_beside_the_tables_for_a_paper(ablation: Path) -> None:
    paths = write_report(ablation)
    folder = Path(paths.html).parent / "tables"
    text = (folder / "methods.md").read_text()
    assert text == f"{methods_text(paths.results)}\n"
    assert "its 95% interval" in text
    assert r"its 95\% interval" in (folder / "methods.tex").read_text()


def test_the_report_of_a_confirmed_search_has_all_figures(confirmed_search: Path) -> None:
    paths = write_report(confirmed_search)
    assert set(paths.figures) >= {"effects", "learning_curves", *FIGURES_OF_A_SEARCH, "winners_curse"}
    assert set(paths.tables) == {
        *("trials", "epochs", "arms", "effects", "best", "leaderboard", "confirmed", "importance", "path")
    }
    page = Path(paths.html).read_text()
    assert {"confirmed-table", "importance", "importance-table"} <= set(Page(page).sections)


def test_every_section_has_a_name_of_its_own(measured: Path) -> None:
    sections = Page(Path(write_report(measured).html).read_text()).sections
    assert {"health", "health-table"} <= {*sections}
    assert len(sections) == len({*sections})


def test_nothing_is_left_of_an_earlier_report_in_the_same_place(
    confirmed_search: Path, ablation: Path, tmp_path: Path
) -> None:
    earlier = write_report(confirmed_search, tmp_path / "report")
    (tmp_path / "report" / "tables" / "notes.tex").write_text("a user's own")
    paths = write_report(ablation, tmp_path / "report")
    found = {str(path) for path in (tmp_path / "report").rglob("*") if path.is_file()}
    assert not found & (set(earlier.files) - set(paths.files))
    kinds = {
        str(Path(path).with_suffix(f".{kind}")) for path in paths.figures.values() for kind in ("png", "pdf", "txt")
    }
    own = {str(tmp_path / "report" / name) for name in ("report.json", "tables/notes.tex")}
    assert found == {*paths.files} | kinds | own


def test_the_report_of_a_search_says_that_its_scores_are_optimistic(search: Path) -> None:
    paths = write_report(search)
    assert "effects" not in paths.tables
    assert "effects" not in paths.figures
    assert set(paths.figures) >= FIGURES_OF_A_SEARCH
    assert "selected on it: optimistic" in Path(paths.html).read_text()
    assert any(path.endswith("leaderboard.md") for path in paths.papers)


def test_a_run_of_which_nothing_is_complete_has_a_report(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=[])
    ledger.plan("baseline", 0)
    paths = write_report(ledger.close())
    assert paths.figures == {}
    assert "no complete trial" in Path(paths.html).read_text()


def test_a_design_that_was_killed_before_it_planned_a_trial_has_a_report_of_its_own(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="grid"))
    paths = write_report(ledger.close())
    assert not any("leaderboard" in path for path in paths.papers)
    for answer in [paths.html, *(path for path in paths.papers if "effects" in path)]:
        assert "No trial is planned yet." in Path(answer).read_text()


@pytest.mark.parametrize("trials", [0, 3])
def test_a_search_of_which_no_arm_is_complete_has_a_report(ledger: LedgerWriter, trials: int) -> None:
    ledger.add(study_row(design="search"))
    for number in range(trials):
        level = {"objective.cktf.theta": 0.1 * number}
        ledger.train(ledger.plan(f"search-{number}", 0, level, Stage.SEARCH), 90.0, epochs=1, status=None)
    paths = write_report(ledger.close())
    assert paths.figures == {}
    for answer in [paths.html, *(path for path in paths.papers if "leaderboard" in path)]:
        assert "No arm of the search has all of its seeds complete." in Path(answer).read_text()


def test_the_page_loads_nothing_and_states_the_verdict_first(ablation: Path) -> None:
    paths = write_report(ablation)
    page = Page(Path(paths.html).read_text())
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed"}
        assert not {"src", "srcset", "data"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    linked = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert linked == [f"#{name}" for name in page.sections]
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    sides = ("settings-table", "components-table", "pairing-table")
    assert page.sections == ["verdict", *paths.figures, *sides, *LAST_SECTIONS]


def test_names_with_markup_stay_text(hostile: Path) -> None:
    paths = write_report(hostile)
    text = Path(paths.html).read_text()
    page = Page(text)
    # The figures, the trials, the libraries, and the page's own two.
    assert [tag for tag, _ in page.tags].count("script") == len(paths.figures) + 4
    assert "img" not in {tag for tag, _ in page.tags}
    assert HOSTILE not in text
    assert HOSTILE in "".join(page.texts)
    drawn = json.loads(page.scripts[0])["datasets"].values()
    assert HOSTILE in [row["arm"] for rows in drawn for row in rows if "arm" in row]


def test_the_command_line_prints_the_table_and_the_files(ablation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(ablation)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip().startswith("Effects on test accuracy")
    assert str(ablation / "report" / "report.html") in printed


def test_the_command_line_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "not a run directory" in capsys.readouterr().err
    assert main(["report", ""]) == 2
    assert "is empty" in capsys.readouterr().err


def test_a_report_is_not_written_to_a_place_without_a_name(ablation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(ablation), "--out", ""]) == 2
    assert main(["report", str(ablation), str(ablation), "--out", ""]) == 2
    assert capsys.readouterr().err.count("the name of a folder is empty") == 2


def test_a_study_file_that_is_no_text_is_named(ablation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ablation / "study.yaml").write_bytes(b"\xff")
    assert main(["report", str(ablation)]) == 2
    assert capsys.readouterr().err == f"{ablation}/study.yaml: is not UTF-8 text\n"


def test_the_report_of_several_contexts_lays_them_side_by_side_and_names_the_reference(contexts: Path) -> None:
    paths = write_report(contexts)
    arms = pyarrow.parquet.read_table(paths.tables["arms"]).to_pylist()
    assert {(row["context"], row["arm"]): row["reference"] for row in arms}["digits", "kd"] == 91.25
    text = Path(paths.html).read_text()
    assert text.index("Test accuracy (%), mean ± sd") < text.index("Effects on test accuracy: digits")
    assert text.index("Effects on test accuracy: digits") < text.index("Effects on test accuracy: clothes")
    assert "In parentheses: the reference, Some et al. 2023, Table 1." in text
    assert "<td>96.50 (97.50)</td>" in text
    assert Page(text).sections == [
        *("verdict", *paths.figures, "over_contexts-table", "ranks-table", "pairing-table"),
        *LAST_SECTIONS,
    ]


def test_the_command_line_prints_the_tables_of_all_contexts(contexts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(contexts)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip().startswith("Test accuracy (%), mean ± sd")
    assert "Effects on test accuracy: clothes" in printed


def test_the_verdict_is_a_word_in_the_first_table(ablation: Path) -> None:
    paths = write_report(ablation)
    page = Path(paths.html).read_text()
    words = [row["verdict"] for row in pyarrow.parquet.read_table(paths.tables["effects"]).to_pylist()]
    for word in ("hurts", "undecided"):
        assert word in words
        assert f'<td class="words verdict {word}">{word}' in page
    assert "Verdict: paired t test, p adjusted by Holm's method over 4 comparisons" in unescape(page)


def test_the_page_says_nothing_of_seeds_and_p_that_does_not_hold_of_the_study(ablation: Path) -> None:
    results = load(ablation)
    facts = results.facts
    unpaired = replace(facts, foreign=Foreign(origin="a table", cannot_be_vouched_for=[], unpaired=True))
    for asked, p in ((replace(facts, asked=replace(facts.study, delta=1.0)), "p (adjusted)"), (unpaired, "p (Holm)")):
        html = write.page(replace(results, facts=asked), {}, {}, {})
        answer = html[html.index('id="verdict"') :].partition("</section>")[0]
        assert p in answer
        assert "p (Holm) is adjusted" not in answer
        assert "at the same seeds" not in answer


def test_the_report_of_a_grid_has_its_main_effects_and_interactions(grid: Path) -> None:
    paths = write_report(grid)
    assert set(paths.tables) == {"trials", "epochs", "arms", "effects", "best", "interactions"}
    page = Page(Path(paths.html).read_text())
    assert page.sections == [
        "verdict",
        *paths.figures,
        "settings-table",
        "components-table",
        "interactions-table",
        "pairing-table",
        *LAST_SECTIONS,
    ]
    assert "cktf.temperature=1.0 × cktf.theta=0.0" in page.texts


def test_the_page_of_a_smoke_run_says_so_at_its_top(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2, is_smoke=True)
    write_report(ledger.close())
    page = (ledger.run / "report" / "report.html").read_text()
    assert "<title>Smoke run of " in page
    assert page.index('<p class="alarm">A smoke run: ') < page.index("<main>")
    assert "its numbers mean nothing" in page[page.index('id="methods"') :]


def test_a_table_and_a_figure_that_cannot_be_made_say_why_in_their_place(
    ablation: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("margin")

    monkeypatch.setattr("analysis.figures.learning_curves.record", fail)
    monkeypatch.setattr("analysis.figures.paired_slopes.chart", lambda _: {"mark": 3})
    monkeypatch.setitem(TABLES, "pairing", fail)
    monkeypatch.setattr("analysis.study_tables.best", fail)
    monkeypatch.setattr("analysis.report.write.trial_table", fail)
    monkeypatch.setattr("analysis.report.write.provenance_rows", fail)
    monkeypatch.setattr("analysis.report.write.methods_text", fail)
    assert main(["report", str(ablation)]) == 0
    printed = capsys.readouterr()
    report = ablation / "report"
    why = "cannot be made: KeyError: 'margin'"
    page = unescape((report / "report.html").read_text())
    for name in ("learning_curves", "pairing-table", "trials", "methods", "provenance"):
        assert why in page[page.index(f'id="{name}"') :].partition("</section>")[0], name
    assert "cannot be made: " in page[page.index('id="paired_slopes"') :].partition("</section>")[0]
    assert why in (report / "tables" / "pairing.md").read_text()
    assert "margin" in (report / "tables" / "effects.tex").read_text()
    assert "cannot be made" in printed.out
    for part in ("figure learning_curves", "figure paired_slopes", "table best", "trials", "methods", "provenance"):
        assert f"{part} cannot be made: " in printed.err
    assert (report / "figures" / "effects.svg").is_file()
    assert not (report / "figures" / "paired_slopes.svg").exists()
    assert (report / "tables" / "arms.csv").is_file()
