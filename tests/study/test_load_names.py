"""Names in study files: of contexts, arms and files."""

from cktf.study.designs import plan_arms
from cktf.study.load import dump_study, load_study, read_study
from tests.study.texts import TEXT, Write, refused

CONTEXTS = (
    TEXT[: TEXT.index("ablate:")]
    + """\
contexts:
  wrn/8.1: {student: {model: resnet8}}
  wrn/14: {student: {model: resnet14}}
compare:
  kd: {objective: {kd: {weight: 1.0}}}
  alone: {objective: {cktf: null}}
skip: {wrn/14: [alone]}
reference: {source: "Some 2023", values: {wrn/14: {kd: 74.92}}}
"""
)


def test_contexts_are_dumped_and_overridden_by_their_names() -> None:
    spec = read_study(
        CONTEXTS, "x.yaml", ["contexts.wrn/8.1.student.model=resnet20", "skip.wrn/14=[kd]", "reference=null"]
    )
    assert spec.baseline_configs["wrn/8.1"].student.model == "resnet20"
    assert [arm.label for arm in plan_arms(spec)][-1] == "wrn/14: alone"
    spec = read_study(CONTEXTS, "x.yaml")
    assert read_study(dump_study(spec), "study.yaml").model_dump() == spec.model_dump()


def test_what_is_wrong_in_a_context_is_named_with_its_line() -> None:
    wrong = CONTEXTS.replace("resnet14", "resnet13").replace("[alone]", "[alon]")
    assert refused(wrong).startswith("x.yaml, line 17: skip.wrn/14[0]: no such arm. Did you mean 'alone'?")
    wrong = CONTEXTS.replace("resnet14", "resnet13")
    assert refused(wrong).startswith("x.yaml, line 13: contexts.wrn/14.student.model: unknown model 'resnet13'")


def test_names_of_files_are_taken_letter_by_letter(study_file: Write) -> None:
    file, folder = "/weights/caf\u0065\u0301 .pth ", "/images/e\u0301 "
    spec = load_study(study_file(TEXT), [f'teacher={{model: resnet20, checkpoint: "{file}"}}', f'data.root="{folder}"'])
    assert spec.baseline_config.teacher is not None
    assert (spec.baseline_config.teacher.checkpoint, spec.baseline_config.data.root) == (file, folder)
    grown = TEXT.replace("objective.cktf.theta: [0.0, 1e-2]", f'data.root: ["{folder}"]\n  epochs: [3]')
    assert read_study(grown, "x.yaml").ablate == {"data.root": [folder], "epochs": [3]}


def test_an_invisible_character_in_a_key_is_shown() -> None:
    assert r"line 10: baseline.'\u200bepochs': unknown key. Did you mean 'epochs'?" in refused(
        TEXT.replace("  epochs: 2", "  \u200bepochs: 2")
    )
