"""The reference of a study's keys and the schema of its file, which editors read."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from cktf.errors import InputError
from cktf.settings import Settings
from cktf.study.paths import known_paths
from cktf.study.reference import _docstrings, explained, json_schema, keys
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from tests.cli.commands import cktf

STUDIES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))


def test_it_has_every_key_once_with_its_meaning() -> None:
    found = [key.path for key in keys()]
    assert set(StudySpec.model_fields) | {f"baseline.{path}" for path in known_paths(TrialConfig)} <= set(found)
    assert [key.path for key in keys() if not key.meaning] == []


def test_a_key_has_values_bounds_and_default() -> None:
    asked, below = explained("resolution")
    assert asked
    assert (asked.values, asked.default, below) == ("whole number, at least 3, at most 5", "4", [])
    asked, below = explained("objective.crd.temperature")
    assert asked
    assert asked.path == "baseline.objective.crd.temperature"
    assert asked.values == "number, at least 0.02, at most 100 | mapping"
    assert {key.path.rpartition(".")[2] for key in below} >= {"from", "to", "over", "learn", "start", "min", "max"}
    assert {key.path for key in explained("")[1]} == set(StudySpec.model_fields)
    (seeds, _) = explained("seeds")
    assert seeds
    assert seeds.values.startswith("whole number, at least 1, at most 1000 | list of whole number, at least 0, below ")
    assert seeds.default == ""  # depends on the design; an empty list is refused


def test_an_unknown_key_is_refused_with_a_near_one() -> None:
    with pytest.raises(InputError, match=r"'objective.ckft': a study has no such key. Did you mean"):
        explained("objective.ckft")


WRONG: list[dict[str, object]] = [
    {"baseline": {"epochs": 0}},
    {"baseline": {"objective": {"ckft": {}}}},
    {"baseline": {}, "seeds": "three"},
    {"baseline": {}, "seeds": 0},
    {"baseline": {}, "seeds": 1001},
    {"baseline": {}, "seeds": []},
    {"baseline": {}, "seeds": [-1]},
    {"baseline": {}, "teacher_seeds": []},
    {"baseline": {}, "contrasts": [["one", "two", "three"]]},
    {"baseline": {}, "sampler": "best"},
    {"baseline": {"objective": {"crd": {"temperature": {"from": 1}}}}},
    {"ablate": {}},
    {"baseline": {}, "ablated": {}},
]


def test_the_schema_allows_every_shipped_study_and_refuses_what_is_wrong() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for file in STUDIES:
        assert [error.message for error in validator.iter_errors(yaml.safe_load(file.read_text()))] == [], file
    assert [wrong for wrong in WRONG if validator.is_valid(wrong)] == []


def test_the_commands_print_them(tmp_path: Path) -> None:
    _, printed, _ = cktf("explain", "optimizer.momentum", cwd=tmp_path)
    assert "baseline.optimizer.momentum: number, at least 0, below 1" in printed
    assert "default: 0.9" in printed
    _, section, _ = cktf("explain", "optimizer", cwd=tmp_path)
    assert "accumulate" in section
    assert "default: " not in section  # its table has those of its keys
    _, number, _ = cktf("explain", "objective.kd.temperature", cwd=tmp_path)  # or a section: a schedule
    assert "\ndefault: 4.0\n" in number
    assert "over" in number
    assert json.loads(cktf("schema", cwd=tmp_path)[1]) == json_schema()


class Outer:
    class Config(Settings):
        words: str = """in
two lines"""
        """What a nested class says of its field."""


def test_a_nested_class_with_a_text_over_several_lines_is_read() -> None:
    assert _docstrings(Outer.Config) == {"words": "What a nested class says of its field."}
