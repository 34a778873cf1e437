"""Study files: reading, overrides, messages, and writing back."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cktf.study.designs import plan_arms
from cktf.study.domains import FloatDomain
from cktf.study.load import dump_study, load_study, read_study
from cktf.study.problems import StudyError
from tests.study.texts import TEXT, Write, refused

SEARCH_SPACES = Path(__file__).parents[2] / "search_spaces"


SEARCH = (
    TEXT[: TEXT.index("ablate:")]
    + """\
search:
  objective.cktf.theta: {float: [0.0, 0.5], step: 0.1}
  objective.cktf.negatives: {int: [8, 64], log: true}
  objective.cktf.pairing: {choice: [last, first]}
  objective.kd.weight: {float: [1e-3, 1], log: true}
  objective.kd.temperature: {float: [1, 8], when: {objective.kd.weight: "> 0.1"}}
prune: median
trials: 5
confirm: {top: 2, seeds: 2}
"""
)


def test_a_file_becomes_a_study_named_like_it(study_file: Write) -> None:
    spec = load_study(study_file(TEXT, "stages.yaml"))
    assert spec.name == "stages"
    assert spec.question == "Does the contrast need its stages?"
    assert spec.seeds == (0, 1)
    assert spec.baseline_config.optimizer.weight_decay == 1e-4
    assert [arm.name for arm in plan_arms(spec)] == ["baseline", "theta=0", "theta=0.01"]


def test_the_name_may_be_given(study_file: Write) -> None:
    assert load_study(study_file("name: inside\n" + TEXT)).name == "inside"


def test_a_study_without_a_comment_asks_nothing() -> None:
    assert read_study(TEXT.partition("\n")[2], "x.yaml").question == ""
    for_editors = f"# yaml-language-server: $schema=study.schema.json\n{TEXT}"
    assert read_study(for_editors, "x.yaml").question == "Does the contrast need its stages?"


@pytest.mark.parametrize("text", [TEXT, SEARCH, "name: other\nkeep: none\n" + TEXT.partition("\n")[2]])
@pytest.mark.parametrize(
    "overrides", [(), ("seeds=[4, 2]", "epochs=3", "resources.gpus=0.5", "metric=validation_loss")]
)
def test_what_is_dumped_reads_back_to_the_same_study(text: str, overrides: tuple[str, ...]) -> None:
    spec = read_study(text, "stages.yaml", overrides)
    again = read_study(dump_study(spec), "study.yaml")
    assert again == spec
    assert dump_study(again) == dump_study(spec)
    assert plan_arms(again) == plan_arms(spec)


def test_the_dump_begins_with_the_question_and_is_short() -> None:
    dumped = dump_study(read_study(TEXT, "x.yaml"))
    assert dumped.startswith("# Does the contrast need its stages?\nname: x\nbaseline:\n")
    assert "seeds: 2\n" in dumped
    assert "max_failures" not in dumped


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("seeds=3", lambda s: s.seeds == (0, 1, 2)),
        ("seeds=[5]", lambda s: s.seeds == (5,)),
        ("epochs=7", lambda s: s.baseline_config.epochs == 7),
        ("baseline.epochs=7", lambda s: s.baseline_config.epochs == 7),
        ("objective.kd.weight=0.5", lambda s: s.baseline_config.objective.kd.weight == 0.5),
        ("optimizer.learning_rate=1e-3", lambda s: s.baseline_config.optimizer.learning_rate == 1e-3),
        ("student={model: resnet14}", lambda s: s.baseline_config.student.model == "resnet14"),
        ("ablate.objective.cktf.theta=[0.5]", lambda s: s.ablate == {"objective.cktf.theta": [0.5]}),
        ("ablate.objective.cktf.beta=[0.5]", lambda s: s.factors[1] == "objective.cktf.beta"),
        ("resources.cpus=2", lambda s: s.resources.cpus == 2),
        ("question=Why?", lambda s: s.question == "Why?"),
    ],
)
def test_an_override_replaces_what_its_path_names(override: str, read: Callable[[Any], bool]) -> None:
    assert read(read_study(TEXT, "x.yaml", [override]))


def test_a_domain_can_be_overridden_in_part() -> None:
    spec = read_study(SEARCH, "x.yaml", ["search.objective.cktf.theta.float=[0.1, 0.3]", "trials=9"])
    assert spec.search is not None
    theta = spec.search["objective.cktf.theta"]
    assert isinstance(theta, FloatDomain)
    assert (theta.bounds, theta.step) == ((0.1, 0.3), 0.1)
    assert spec.trials == 9


def test_null_takes_a_design_away() -> None:
    spec = read_study(TEXT, "x.yaml", ["ablate=null", "grid={epochs: [1, 2]}"])
    assert spec.design == "grid"


def test_overrides_change_no_other_study() -> None:
    assert read_study(TEXT, "x.yaml", ["objective.cktf.theta=0.3"]) != read_study(TEXT, "x.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds", "--set seeds: must be path=value, such as seeds=3"),
        ("=3", "--set =3: must be path=value, such as seeds=3"),
        ("epohs=3", "--set epohs=3: no such path. Did you mean 'epochs'?"),
        ("objective.kd.temprature=3", "no such path. Did you mean 'objective.kd.temperature'?"),
        ("seeds=[1", "--set seeds=[1: line 1: not valid YAML"),
        ("epochs=0", "x.yaml, --set epochs=0: baseline.epochs: must be 1 or more; got 0"),
        (
            "ablate.objective.cktf.theta=[-1]",
            "x.yaml, --set ablate.objective.cktf.theta=[-1]: ablate.objective.cktf.theta[0]: must be 0",
        ),
        ("seeds=true", "x.yaml, --set seeds=true: seeds: must be a whole number of seeds"),
        ("seeds=[true,2]", "x.yaml, --set seeds=[true,2]: seeds[0]: must be a whole number; got true"),
        ("nonsense=3", "--set nonsense=3: no such path; a path begins with one of plugins, name, question, contexts"),
        ("ablate.x=[1]", "ablate.x: no such path; a path begins with one of task"),
        ("name=..", "name: must be one line of text that can name a folder"),
        ("name=a/b", "name: must be one line of text that can name a folder"),
        ("name=", "name: must be text; got null"),
        ('name="a\\x07"', "name: must be one line of text that can name a folder"),
        ('name="a\\0"', r"""--set name="a\0": line 1: 'a\x00' holds NUL"""),
        ("objective.fsp.weight=010", "x.yaml, --set objective.fsp.weight=010: baseline.objective.fsp: weight"),
        ("objective.fsp={a: 1}", "x.yaml, --set objective.fsp={a: 1}: baseline.objective.fsp.a: unknown key"),
        ("batch_size=1", "x.yaml, --set batch_size=1: baseline.batch_size: must be 2 or more; got 1"),
        ("teacher=null", "x.yaml, --set teacher=null: baseline: objective.cktf needs a teacher"),
        (
            "epochs=" + "9" * 5000,
            "--set 'epochs=9999999999999999999999999999999999999999999999999999...: baseline.epochs: must be a",
        ),
        ("x\u200b=1", r"--set 'x\u200b=1': no such path"),
        ("name=!!timestamp foo", "--set name=!!timestamp foo: line 1: not valid YAML: the tag !!timestamp"),
        ('compare={"a\\x07": {epochs: 3}}', "compare: an arm's name must be one line of text"),
        ("epochs=true", "baseline.epochs: must be a whole number; got true"),
        ("delta=true", "delta: must be a finite number; got true"),
        ("epochs=1000000000000", "baseline.epochs: must be 100000 or less"),
        ("epochs=1e30", "baseline.epochs: must be a smaller whole number; got 1e+30"),
        ("batch_size=1000000000000", "baseline.batch_size: must be 1000000 or less"),
        ("teacher.seed=2147483648", "baseline.teacher.seed: must be less than 2147483648"),
        ("objective.cktf.dim=1000000000000", "baseline.objective.cktf.dim: must be 65536 or less"),
        ("objective.cktf.negatives=1000000000000", "baseline.objective.cktf.negatives: must be 10000000 or"),
        ("augmentation.crop=1000000000000", "baseline.augmentation.crop: must be 1024 or less"),
        ("resources.workers=1000000000000", "resources.workers: must be 1024 or less"),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    assert message in refused(TEXT, override, *(["ablate=null"] if override.startswith("compare") else []))


def test_a_grid_of_billions_is_refused_at_once() -> None:
    levels = "[" + ", ".join(str(level) for level in range(1, 1001)) + "]"
    grid = f"grid={{epochs: {levels}, teacher.epochs: {levels}, objective.cktf.dim: {levels}}}"
    message = "grid: must have 10000 or fewer combinations of levels; got 1000000000"
    assert message in refused(TEXT, "ablate=null", grid)


def test_a_value_that_may_be_of_two_kinds_is_named_by_its_key_alone() -> None:
    said = refused(TEXT, "reference={source: Some 2023, values: {baseline: high}, teacher: high}")
    assert "reference.values.baseline: must be a finite number; got 'high'" in said
    assert "reference.teacher: must be a finite number; got 'high', or must be a mapping" in said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs: 2", "epochs: 0", "x.yaml, line 10: baseline.epochs: must be 1 or more; got 0"),
        (
            "epochs: 2",
            "epohs: 2",
            "x.yaml, line 10: baseline.epohs: unknown key. Did you mean 'epochs'? Known here: task, data",
        ),
        ("resnet8}", "resnet9}", "x.yaml, line 5: baseline.student.model: unknown model 'resnet9'"),
        (
            "student: {model: resnet8}",
            "student: resnet8",
            "x.yaml, line 5: baseline.student: must be a mapping of keys to values; got 'resnet8'",
        ),
        ("  student: {model: resnet8}\n", "", "x.yaml, line 2: baseline.student: is required, and missing"),
        (
            "theta: [0.0, 1e-2]",
            "theta: [0.0, -0.5]",
            "x.yaml, line 12: ablate.objective.cktf.theta[1]: must be 0 or more; got -0.5",
        ),
        ("theta: [0.0, 1e-2]", "teta: [0.0]", "x.yaml, line 12: ablate.objective.cktf.teta: no such path"),
        ("seeds: 2", "seed: 2", "x.yaml, line 13: seed: unknown key. Did you mean 'seeds'?"),
        ("seeds: 2", "seeds: 2\nseeds: 3", "x.yaml, line 14: the key 'seeds' stands twice, first on line 13"),
        ("seeds: 2", "seeds: [2", "x.yaml, line 14: not valid YAML"),
        ("baseline:", "baselin:", "x.yaml: baseline: is required, and missing"),
        ("name: digits", "name: digitz", "x.yaml, line 3: baseline.data.name: "),
        ("beta: 0.8", "beta: .nan", "x.yaml, line 8: baseline.objective.cktf.beta: must be "),
    ],
)
def test_what_is_wrong_is_named_with_file_line_key_and_value(old: str, new: str, message: str) -> None:
    assert old in TEXT
    assert message in refused(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective.ofd.kernel_size=2", "baseline.objective.ofd.kernel_size: must be one of 1, 3, 5; got 2"),
        (
            "objective.kd.temperature={learn: false, start: 2, min: 1, max: 4}",
            "baseline.objective.kd.temperature.learn: must be one of true; got false",
        ),
        ("step=egaer", "step: must be one of auto, eager; got 'egaer'. Did you mean 'eager'?"),
    ],
)
def test_the_values_that_are_allowed_are_named_whatever_their_kind(override: str, message: str) -> None:
    assert message in refused(TEXT, override)


def test_all_problems_are_listed_one_a_line() -> None:
    text = TEXT.replace("epochs: 2", "epochs: 0").replace("seeds: 2", "seeds: none").replace("theta: 0.1", "theta: x")
    assert [line.split(": ")[1] for line in refused(text).splitlines()] == [
        "baseline.objective.cktf.theta", "baseline.epochs", "seeds",
    ]  # fmt: skip


def test_messages_speak_no_pydantic() -> None:
    said = refused(TEXT.replace("epochs: 2", "epochs: {a: 1}").replace("seeds: 2", "seeds: 2\nkeep: 3"))
    for word in ("pydantic", "http", "validation error", "Value error", "input_type", "Traceback"):
        assert word not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml: is empty; a study has at least 'baseline:'"),
        ("# only a comment\n", "x.yaml: is empty"),
        ("- a\n- b\n", 'x.yaml: must be a mapping with \'baseline:\' and others; got ["a", "b"]'),
        ("just words", "x.yaml: must be a mapping with 'baseline:' and others; got 'just words'"),
    ],
)
def test_what_is_no_study_is_named(text: str, message: str) -> None:
    assert refused(text).startswith(message)


def test_only_the_member_of_a_union_that_a_mapping_is_meant_for_complains_about_what_is_in_it() -> None:
    said = refused(TEXT, "reference={source: Some 2023, values: {VGG: {baseline: 54.61, kd: many}}}")
    assert said.splitlines() == [
        "x.yaml, --set 'reference={source: Some 2023, values: {VGG: {baseline: 54.6...: "
        "reference.values.VGG.kd: must be a finite number; got 'many'"
    ]


def test_the_file_is_blamed_for_what_is_wrong_without_an_override_too() -> None:
    said = refused(TEXT.replace("epochs: 2", "epochs: 0"), "seeds=x").splitlines()
    assert said[0].startswith("x.yaml, line 10: baseline.epochs: must be 1 or more; got 0")
    assert said[1].startswith("x.yaml, --set seeds=x: seeds: must be a whole number of seeds")


@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_what_could_be_read_for_ever_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as stream:
            stream.truncate(2**40)
    with pytest.raises(StudyError, match=r"study\.yaml: (there is no such file|is larger than 500 kB)"):
        load_study(file)
    with pytest.raises(StudyError, match=r"there is no such file|cannot be read"):
        load_study(f"{file}\0")


def test_long_and_invisible_values_are_cut_and_shown() -> None:
    for change in ("student: {model: %s}", "student: {model: resnet8, ? %s : 1}"):
        said = refused(TEXT.replace("student: {model: resnet8}", change % ("x" * 20_000)))
        assert f"{'x' * 59}..." in said
        assert max(map(len, said.splitlines())) < 1000
    assert r"unknown model 'a\u200bb'" in refused(TEXT.replace("{model: resnet8}", "{model: a\u200bb}"))


def test_a_file_that_cannot_be_read_is_named(study_file: Write, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no such file"):
        load_study(tmp_path / "missing.yaml")
    with pytest.raises(StudyError, match="there is no such file"):
        load_study(tmp_path)
    file = study_file("")
    with pytest.raises(StudyError, match=r"there is no such file|cannot be read"):
        load_study(file / "below.yaml")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="is not UTF-8 text"):
        load_study(file)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_text(TEXT, encoding="utf-8-sig")
    assert load_study(file).question == "Does the contrast need its stages?"


SHIPPED = {
    "cifar100_cktf_ablation": ("one_at_a_time", 33),
    "cifar100_modern": ("compare", 71),
    "cifar100_table1": ("compare", 118),
    "digits_ablation": ("one_at_a_time", 6),
    "digits_compression": ("search", 1),
    "digits_contrast": ("one_at_a_time", 12),
    "digits_fractional": ("fractional", 16),
    "digits_methods": ("compare", 5),
    "digits_recipe": ("one_at_a_time", 15),
    "digits_search": ("search", 1),
    "digits_transfer": ("compare", 5),
    "fashion_mnist_ablation": ("one_at_a_time", 9),
    "fashion_mnist_methods": ("compare", 5),
    "table2_cktf_on_top": ("compare", 40),
    "tiny_imagenet_table1": ("compare", 64),
    "tiny_imagenet_to_stl10": ("compare", 4),
}
"""Each study in search_spaces/ to its design and number of arms."""


@pytest.mark.parametrize("file", sorted(SEARCH_SPACES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_shipped_studies_are_right(file: Path) -> None:
    spec = load_study(file)
    assert spec.name == file.stem
    assert (spec.design, len(plan_arms(spec))) == SHIPPED[file.stem]
    assert spec.question.endswith("?")
