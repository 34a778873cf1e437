"""A study that names plug-ins: what they have can be named like what is built in."""

from importlib import resources
from pathlib import Path

import pytest

import cktf
from cktf.study.load import dump_study, load_study, read_study
from cktf.study.problems import StudyError
from tests.kinds import parts

pytestmark = pytest.mark.usefixtures("plain_registries")

STUDY = """
plugins: [objective.py]
baseline: {data: {name: digits}, student: {model: resnet5}, teacher: {model: resnet8}, objective: {cross_entropy: {}}}
compare:
  directions: {objective: {directions: {power: 1}}}
  KD: {objective: {kd: {}}}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    text = (resources.files("cktf.templates") / "objective.py").read_text()
    (tmp_path / "objective.py").write_text(text)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def test_its_files_are_found_beside_the_study_and_their_parts_are_settings(study: Path) -> None:
    spec = load_study(study)
    assert parts(spec.arm("directions")).directions.power == 1
    overridden = load_study(study, ["compare.directions.objective.directions.power=3"])
    assert parts(overridden.arm("directions")).directions.power == 3


def test_a_path_of_an_override_may_be_one_of_a_plugin(study: Path) -> None:
    study.write_text(STUDY.replace("objective: {cross_entropy: {}}", "objective: {cross_entropy: {}, directions: {}}"))
    assert parts(load_study(study, ["objective.directions.power=3"]).arm("baseline")).directions.power == 3
    with pytest.raises(StudyError, match=r"no such path. Did you mean 'objective.directions.power'"):
        load_study(study, ["objective.directions.powr=3"])


def test_a_wrong_setting_of_a_plugin_is_told_with_line_and_key(study: Path) -> None:
    study.write_text(STUDY.replace("power: 1", "power: high"))
    with pytest.raises(StudyError, match=r"study\.yaml, line 5: .*\.directions\.power: must be a finite number"):
        load_study(study)


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ("[gone.py]", r"line 2: plugins: .*gone\.py: there is no such file"),
        ("objective.py", r"line 2: plugins: must be a list of files that end in \.py, and of modules; got"),
        ("[3]", r"line 2: plugins: must be a list of files"),
        ("[objective.py, below/objective.py]", r"line 2: plugins: two are called objective\.py"),
    ],
)
def test_what_is_wrong_with_the_list_is_the_one_message(study: Path, plugins: str, said: str) -> None:
    (study.parent / "below").mkdir()
    (study.parent / "below" / "objective.py").write_text("MODELS = {}")
    study.write_text(STUDY.replace("[objective.py]", plugins))
    with pytest.raises(StudyError, match=said) as caught:
        load_study(study)
    assert len(str(caught.value).splitlines()) == 1


def test_a_study_without_plugins_runs_no_code_of_others(study: Path) -> None:
    (study.parent / "objective.py").write_text("raise RuntimeError('run')")
    study.write_text(STUDY.replace("plugins: [objective.py]\n", "").replace("{directions: {power: 1}}", "{at: {}}"))
    assert load_study(study).plugins == ()


def test_the_dumped_study_reads_back_equal(study: Path) -> None:
    spec = load_study(study)
    known = {plugin.name: plugin for plugin in spec.plugins}
    again = read_study(dump_study(spec), "study.yaml", find=known.__getitem__)
    assert again == spec


def test_the_face_takes_them_too(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study.parent)
    baseline = {"data": {"name": "digits"}, "student": {"model": "resnet5"}, "teacher": {"model": "resnet8"}}
    spec = cktf.Study(
        plugins=["objective.py"],
        baseline={**baseline, "objective": {"cross_entropy": {}}},
        compare={"mine": {"objective": {"directions": {}}}},
    )
    assert parts(spec.arm("mine")).directions.power == 2
