"""What a notebook sees of results."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis import load
from analysis.figures.drawing import all_drawings
from analysis.report.methods import methods_text
from analysis.report.tables import main_tables, side_tables
from analysis.report.write import report_on, write_report
from cktf.errors import InputError
from tests.analysis.ledgers import LedgerWriter, study_row, write_ablation


class Elements(HTMLParser):
    """The elements of a piece of HTML, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_figure_is_shown_as_the_report_has_it(ablation: Path) -> None:
    paths = write_report(ablation)
    figure = load(ablation).figure("effects")
    shown = figure._repr_mimebundle_()
    assert figure.svg == Path(paths.figures["effects"]).read_text()
    assert figure.svg in shown["text/html"]
    assert shown["text/plain"].startswith("Effects. ")
    assert "color: black; background: white" in shown["text/html"]
    assert figure.caption in Elements(shown["text/html"]).text
    assert "script" not in Elements(shown["text/html"]).tags


def test_a_figure_of_chosen_factors_and_one_that_is_not_there(ablation: Path) -> None:
    results = load(ablation)
    chosen = results.figure("marginal", ["objective.cktf.temperature"])
    assert "temperature" in str(chosen.specification)
    with pytest.raises(InputError, match="no figure is called 'cake'; there are: effects"):
        results.figure("cake")
    with pytest.raises(InputError, match="does not apply: it needs a search"):
        results.figure("history")


def test_names_of_a_study_are_no_markup_in_a_notebook(tmp_path: Path) -> None:
    rows = [(arm, seed, 80 + seed + len(arm) / 10) for arm in ("<b>none</b>", "<script>kd") for seed in range(5)]
    pd.DataFrame(rows, columns=["arm", "seed", "acc"]).to_csv(tmp_path / "a.csv", index=False)
    results = analysis.read_csv(tmp_path / "a.csv", metric="acc", baseline="<b>none</b>")
    for html in (results._repr_html_(), results.figure("effects")._repr_mimebundle_()["text/html"]):
        assert "script" not in Elements(html).tags
        assert "<script>kd" in Elements(html).text


def test_the_summary_has_the_effects_or_the_leaderboard(ablation: Path, tmp_path: Path) -> None:
    results = load(ablation)
    html = results._repr_html_()
    for words in (*repr(results).splitlines(), "temperature=0.5", "effect [95% interval] (percentage points)", "hurts"):
        assert words.strip() in Elements(html).text
    assert "first 20" not in html
    empty = LedgerWriter(tmp_path / "empty")
    empty.add(study_row())
    assert "trials: none" in load(empty.close())._repr_html_()


@pytest.mark.parametrize(("fixture", "kind"), [("ablation", "components"), ("confirmed_search", "confirmed")])
def test_intervals_of_a_one_sided_study_are_called_what_they_are(
    fixture: str, kind: str, request: pytest.FixtureRequest
) -> None:
    results = load(request.getfixturevalue(fixture))
    study = replace(results.facts.study, alternative="better")
    results = replace(results, facts=replace(results.facts, asked=study))
    assert set(results.effects["confidence"]) == {0.9}
    assert "effect [90% interval]" in results._repr_html_()
    for table in (*main_tables(results), side_tables(results)[kind]):
        (head,) = [head for head in table.rows[0] if head.startswith("effect")]
        assert head == "effect [90% interval] (percentage points)"


def test_the_summary_of_a_search_has_its_best_arms(search: Path) -> None:
    html = load(search)._repr_html_()
    assert html.count("<tr") == 1 + 20
    assert "The first 20 of 51 rows." in html


def test_every_arm_against_another_one_is_a_family_of_its_own(ablation: Path) -> None:
    results = load(ablation)
    found = results.effects_against("theta=0.0")
    assert set(found["arm"]) == {*results.arms["arm"]} - {"theta=0.0"}
    expected = analysis.effects(results.trials, baseline="theta=0.0")
    pd.testing.assert_frame_equal(found, expected)
    turned = found.set_index("arm").loc["baseline", "effect"]
    assert turned == pytest.approx(-results.effects.set_index("arm")["effect"]["theta=0.0"], rel=1e-12)
    with pytest.raises(InputError, match="baseline 'nobody': no arms are called so; there are: baseline, temp"):
        results.effects_against("nobody")


def test_delta_and_direction_of_the_study_hold_against_another_arm(tmp_path: Path) -> None:
    run = write_ablation(tmp_path / "run", delta=2.0, report_metric="test_loss", maximise=False).close()
    found = load(run).effects_against("pairing=first")
    assert set(found["delta"]) == {2.0}
    assert set(found["metric"]) == {"test_loss"}


def test_the_effects_are_left_as_they_were(contexts: Path) -> None:
    results = load(contexts)
    before = results.effects.copy()
    against = results.effects_against("kd")
    assert against["context"].tolist() == ["digits", "digits", "clothes"]
    pd.testing.assert_frame_equal(results.effects, before)


def test_an_afterthought_says_so_in_every_table_figure_and_sentence(ablation: Path) -> None:
    results = load(ablation).afterthought("theta=0.0")
    pd.testing.assert_frame_equal(
        results.effects.drop(columns="against_baseline").sort_values("arm_id", ignore_index=True),
        load(ablation)
        .effects_against("theta=0.0")
        .drop(columns="against_baseline")
        .sort_values("arm_id", ignore_index=True),
    )
    tables = [*main_tables(results), *side_tables(results).values()]
    assert all(table.title.startswith("Afterthought: ") for table in tables)
    assert all("were chosen when the report was asked for" in table.remark for table in tables)
    drawings, _ = all_drawings(results)
    assert all(drawing.caption.startswith("An afterthought: ") for drawing in drawings.values())
    assert "An afterthought: these comparisons were chosen" in methods_text(results)
    assert "Every arm is compared with theta=0.0." in methods_text(results)
    with pytest.raises(InputError, match="--against theta: no arm is called so; there are: baseline"):
        load(ablation).afterthought("theta")


def test_the_report_of_an_afterthought_has_a_place_of_its_own_and_remembers(ablation: Path) -> None:
    paths = report_on([str(ablation)], None, against="theta=0.0")
    assert paths.html == str(ablation / "afterthought" / "report.html")
    assert 'class="alarm">An afterthought' in Path(paths.html).read_text()
    assert load(ablation / "afterthought").facts.study.is_afterthought
    assert not load(ablation).facts.study.is_afterthought


def test_a_question_that_was_changed_between_launches_is_an_afterthought(tmp_path: Path) -> None:
    writer = write_ablation(tmp_path / "run", contrasts=[["theta=0.0", "pairing=first"]])
    planned = load(writer.close())
    assert planned.facts.afterthought == ""
    assert "This was fixed in the study file before its first result." in methods_text(planned)
    writer.add(study_row(contrasts=[["theta=0.0", "temperature=0.5"]]))
    changed = load(writer.close())
    assert "what is compared was changed between launches" in changed.facts.afterthought
    assert "fixed in the study file" not in methods_text(changed)
    assert changed.effects["against"].tolist() == ["temperature=0.5"]
    assert len(changed.against_baseline) == 4
