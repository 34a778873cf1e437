"""The publications that a study cites."""

import re
from pathlib import Path

import pandas as pd

from analysis.report import citations
from analysis.report.citations import NETWORKS, cited
from cktf.models.build import BUILT_IN
from cktf.objectives.registry import OBJECTIVES

ENTRIES = (Path(citations.__file__).parent / "pages" / "methods.bib").read_text()


def test_what_a_study_uses_is_cited_and_nothing_else() -> None:
    trials = pd.DataFrame(
        {
            "config.objective.cross_entropy.weight": [1.0, 1.0],
            "config.objective.kd.weight": [None, 0.9],
            "config.objective.at": [None, None],
            "config.student.model": ["torchvision/shufflenet_v2_x1_0", "wrn_16_2"],
            "config.teacher.model": ["ResNet34", "mine"],
        }
    )
    assert [*cited(trials)] == ["kd", "resnet", "wrn", "shufflev2"]
    assert cited(trials)["kd"].startswith("@article{kd, author = {Hinton, Geoffrey and")
    assert cited(pd.DataFrame({"arm": ["a"]})) == {}


def test_every_objective_and_network_has_an_entry_with_an_author_title_and_year() -> None:
    keys = re.findall(r"@\w+\{(\w+),", ENTRIES)
    assert len(keys) == len({*keys})
    assert {*keys} == {*OBJECTIVES} - {"cross_entropy"} | {*NETWORKS}
    for entry in ENTRIES.strip().split("\n\n"):
        assert re.search(r"author = \{.+\}, title = \{.+\}, (journal|booktitle) = \{.+\}, year = \{20\d\d\}", entry)
        assert entry.count("{") == entry.count("}")
    for model in BUILT_IN:
        assert len(cited(pd.DataFrame({"config.student.model": [model]}))) == 1, model


def test_the_arxiv_numbers_are_those_of_the_objectives_docstrings() -> None:
    for name, method in OBJECTIVES.items():
        module = __import__(method.__module__, fromlist=["x"])
        for number in re.findall(r"arXiv (\d{4}\.\d{5})", (module.__doc__ or "").partition("\n")[0]):
            assert number in next(entry for entry in ENTRIES.split("\n\n") if f"{{{name}," in entry)
