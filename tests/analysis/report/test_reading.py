"""The sentence on what the effects of a study speak of."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis import load
from analysis.foreign import read
from analysis.report.methods import methods_text
from analysis.report.reading import held_for_text, looks_text, open_text, reading_text, scope_text
from cktf.foreign_options import Options


def with_trials(run: Path, **columns: Any) -> Any:
    results = load(run)
    return replace(results, trials=results.trials.assign(**columns))


def test_the_sentence_names_pool_and_images_and_what_it_does_not_speak_of(ablation: Path) -> None:
    assert scope_text(load(ablation)) == (
        "The effects speak of trainings by this recipe on random splits of this training pool, scored on these 360 "
        "test images; not of other images, pools or data sets."
    )


def test_teachers_and_images_are_counted_where_they_are_known(ablation: Path) -> None:
    one = with_trials(ablation, **{"config.teacher.model": "resnet20", "test_images": 10_000.0})
    assert scope_text(one) == (
        "The effects speak of trainings by this recipe on random splits of this training pool, taught by one teacher, "
        "scored on these 10,000 test images; not of other images, pools, teachers or data sets."
    )
    seeds = np.arange(len(one.trials)) % 3
    three = with_trials(ablation, **{"config.teacher.model": "resnet20", "config.teacher.seed": seeds})
    assert "taught by 3 teachers, scored" in scope_text(three)


def test_several_teachers_of_a_trial_are_counted_and_named_with_those_of_others(ablation: Path) -> None:
    is_alone = load(ablation).trials["arm"].eq("baseline")
    columns = {
        "config.teacher.model": ["resnet20" if alone else None for alone in is_alone],
        "config.teachers.a.model": [None if alone else "resnet8" for alone in is_alone],
        "config.teachers.a.seed": np.where(is_alone, np.nan, 3.0),
        "config.teachers.b.model": [None if alone else "resnet20" for alone in is_alone],
        "config.teachers.b.checkpoint": [None if alone else "good.pth" for alone in is_alone],
    }
    several = with_trials(ablation, **columns)
    assert "taught by 3 teachers, scored" in scope_text(several)
    assert held_for_text(several).startswith("The verdicts hold for these teachers: resnet20")
    for words in ("resnet8, seed 3", "resnet20 of good.pth"):
        assert words in held_for_text(several)
    assert held_for_text(load(ablation)) == ""


def test_ledgers_that_do_not_say_how_many_images_there_were_are_read(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    ledger.lines = [re.sub(r',"test_images":(null|360)', "", line) for line in ledger.lines]
    assert "scored on these test images;" in scope_text(load(ledger.close()))


def test_of_several_contexts_each_has_its_teachers_and_images(contexts: Path) -> None:
    each = with_trials(contexts, **{"config.teacher.model": "resnet20"})
    each.trials["test_images"] = each.trials["context"].map({"digits": 360, "clothes": 10_000})
    assert "taught by one teacher in each context, scored on these test images (360 to 10,000);" in scope_text(each)


def test_it_stands_in_the_methods_once(ablation: Path) -> None:
    results = load(ablation)
    assert methods_text(results).count(scope_text(results)) == 1


def test_a_search_without_effects_has_none(search: Path) -> None:
    assert scope_text(load(search)) == ""
    assert "The effects speak" not in methods_text(load(search))


def test_of_foreign_results_it_says_what_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("arm,seed,acc\nbaseline,0,0.5\nbaseline,1,0.6\nkd,0,0.7\nkd,1,0.75\n")
    found = scope_text(read("csv", str(path), Options(metric="acc")))
    assert "at other seeds" in found
    assert "is not known here; they speak of no others" in found


def test_the_page_has_it_below_the_verdicts(ablation_writer: Callable[..., Any]) -> None:
    from analysis.report.write import page

    results = load(ablation_writer(seeds=2).close())
    html = page(results, {}, {}, {})
    assert html.index("effect [95% interval]") < html.index(scope_text(results)) < html.rindex("Every trial")


def test_levels_of_families_of_several_sizes_are_a_range(many_contexts: Callable[..., Path]) -> None:
    results = load(many_contexts(3, skipped=[("pair 0", "kd"), ("pair 1", "kd"), ("pair 1", "at")]))
    asked = replace(results.facts.study, family="context")
    results = replace(results, facts=replace(results.facts, asked=asked))
    of_context = results.effects.groupby("context", sort=False)["n_family"].first()
    assert dict(of_context) == {"pair 0": 2, "pair 1": 1, "pair 2": 3}
    # Bonferroni's, of one, two and three comparisons: 95%, 97.5% and 98.33%.
    assert "Simultaneous intervals (95% to 98.33% each; thin" in reading_text(results)
    drawn = results.figure("effects").caption
    assert "and thin the 95% to 98.33% intervals that hold all together of a context" in drawn
    is_open = results.effects["verdict"].eq("undecided") & results.effects["detectable"].notna()
    assert set(results.effects.loc[is_open, "n_family"]) == {1, 2, 3}
    assert "at the strictest level of Holm's method, 0.05/3 to 0.05, if" in open_text(results)


def test_of_an_extended_study_with_few_seeds_it_is_said_why_there_are_no_intervals(
    ablation_writer: Callable[..., Any],
) -> None:
    for seeds in (5, 4):
        plain = load(ablation_writer(seeds=seeds).close())
        launches = [replace(plain.facts.study, asked={"seeds": f"{count}"}) for count in (2, seeds)]
        text = looks_text(replace(plain, facts=replace(plain.facts, launches=launches)))
        assert "Seeds were added" in text
        assert ("An effect without an interval has too few seeds" in text) == (seeds == 4)


def test_simultaneous_intervals_are_said_to_be_unbounded_where_none_has_ends(
    ablation_writer: Callable[..., Any],
) -> None:
    plain = load(ablation_writer(seeds=4).close())
    extended = [replace(plain.facts.study, asked={"seeds": seeds}) for seeds in ("3", "4")]
    grown = replace(plain, facts=replace(plain.facts, launches=extended))
    assert "Simultaneous intervals (98.75% each; thin in the forest) hold" in reading_text(plain)
    assert grown.effects["p"].notna().all()
    assert "Simultaneous intervals are unbounded at so few seeds." in reading_text(grown)
