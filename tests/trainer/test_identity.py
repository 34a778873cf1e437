import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel, Field, create_model
from pydantic_core import to_jsonable_python

import cktf
from cktf.objectives import ObjectivesConfig
from cktf.objectives.kd import KD
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Row
from cktf.settings import Settings, union_members
from cktf.study.load import load_study
from cktf.trainer.config import TrialConfig
from cktf.trainer.frozen_defaults import FROZEN_DEFAULTS
from cktf.trainer.identity import differing, identity
from cktf.trial.teachers import teacher_trial
from tests.kinds import MakeTrial
from tests.trainer.identities import STUDIES, identities

PINS = Path(__file__).parent / "identities.json"


def test_the_identities_of_shipped_studies_do_not_move() -> None:
    found, pinned = identities(), json.loads(PINS.read_text(encoding="utf-8"))
    assert found == pinned, (
        "trials, arms or teachers that people have already trained would be trained again. Only where the study "
        "files themselves were changed: python -m tests.trainer.identities > tests/trainer/identities.json"
    )


def with_changes(place: Path, changes: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Copy the package, changed, and return the environment in which Python imports the copy."""
    shutil.copytree(Path(cktf.__file__).parent, place / "cktf", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in changes.items():
        file = place / "cktf" / name
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has no longer one {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(place)}


def asked(environment: dict[str, str], *arguments: object) -> Any:
    """Return what `tests/trainer/identities.py` prints there."""
    script = Path(__file__).parent / "identities.py"
    command = [sys.executable, "-P", str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a package finds with one more objective, network and data set, and with settings that it did not have.

    One process is asked for all of it, for it imports for longer than it works.
    """
    changes = {
        "objectives/registry.py": ('    "kd": KD,\n', '    "aaa": KD,\n    "kd": KD,\n'),
        "models/build.py": (
            '    "resnet8x4": ',
            '    "aaa": partial(ResNet, num_blocks=(1, 1, 1)),\n    "resnet8x4": ',
        ),
        "data/sets/__init__.py": ('    "digits": (', '    "aaa": (load_digits, DIGITS_KIND),\n    "digits": ('),
        "data/config.py": ("    download: bool", "    grey: bool = False\n\n    download: bool"),
        "objectives/objective.py": ("    weight: Weight", '    decay: str = "none"\n\n    weight: Weight'),
        "trainer/config.py": ("    compile: bool", "    patience: int = 7\n\n    compile: bool"),
        "trainer/optimizer.py": ("    momentum: float", "    dampening: float = 0.25\n\n    momentum: float"),
        "trainer/teacher.py": ("    checkpoint: str", "    tone: float | None = None\n\n    checkpoint: str"),
    }
    place = tmp_path_factory.mktemp("grown")
    study, ledger = STUDIES / "digits_ablation.yaml", place / "ledger.jsonl"
    rows: list[str] = []
    Planner(load_study(study), lambda row: rows.append(row.to_json()))
    assert len(rows) == 73, "72 students and their teacher"
    ledger.write_text("\n".join(rows))
    return asked(with_changes(place, changes), ledger, study)


def test_no_identity_moves_with_a_new_objective_network_data_set_or_defaulted_setting(found: Any) -> None:
    assert found[0] == json.loads(PINS.read_text(encoding="utf-8"))


def test_a_run_that_is_resumed_with_one_more_objective_plans_no_new_trial(found: Any) -> None:
    assert found[1] == []


def defaults(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and default of every setting of a model that has one; a section's is ``{}``."""
    for name, field in model.model_fields.items():
        if not field.is_required():
            default = field.get_default(call_default_factory=True)
            yield f"{above}{name}", {} if isinstance(default, BaseModel) else to_jsonable_python(default)
        for suffix, member in members(field.annotation):
            if isinstance(member, type) and issubclass(member, BaseModel):
                yield from defaults(member, f"{above}{name}{suffix}.")


def members(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the types that a setting, or each entry of a list of them, may have."""
    for member in union_members(annotation):
        if get_origin(member) in (tuple, list, dict):
            for entry in get_args(member):
                yield from ((f"[]{suffix}", below) for suffix, below in members(entry))
        else:
            yield "", member


def test_every_setting_with_a_default_stands_among_the_frozen_defaults() -> None:
    # Each of several teachers is compared with the defaults of a single one.
    all_defaults = ((path.replace("teachers[].", "teacher."), default) for path, default in defaults(TrialConfig))
    missing = {path: default for path, default in all_defaults if path not in FROZEN_DEFAULTS}
    del missing["seed"]  # which is always part of the identity
    lines = "".join(f"\n    {json.dumps(path)}: {default!r}," for path, default in missing.items())
    assert not missing, (
        f"add to FROZEN_DEFAULTS in cktf/trainer/frozen_defaults.py, and never edit what is there:{lines}"
    )


def test_the_frozen_defaults_are_never_edited() -> None:
    pinned = json.loads((Path(__file__).parent / "frozen_defaults.json").read_text(encoding="utf-8"))
    moved = {
        path: (default, FROZEN_DEFAULTS.get(path, "none"))
        for path, default in pinned.items()
        if path not in FROZEN_DEFAULTS or json.dumps(FROZEN_DEFAULTS[path]) != json.dumps(default)
    }
    assert not moved, (
        "an entry of FROZEN_DEFAULTS was changed or taken away, which gives trials that people have already run other "
        f"identities; changed defaults are changed in the code alone: {moved}"
    )
    assert not FROZEN_DEFAULTS.keys() - pinned, "new settings get a line in tests/trainer/frozen_defaults.json too"


def test_a_default_that_the_code_changes_makes_another_trial_and_its_old_value_the_old_one(tiny: MakeTrial) -> None:
    colder = create_model("Colder", __base__=KD.Config, temperature=(float, 2.0))
    changed = create_model("Changed", __base__=ObjectivesConfig, kd=(colder | None, None))
    later = create_model("Later", __base__=TrialConfig, objective=(changed, ...), epochs=(int, 120))
    values = tiny(objective={"kd": {}}).model_dump(mode="json", exclude={"objective", "epochs"})

    def before(**changes: Any) -> str:
        return TrialConfig.model_validate({**values, **changes}).arm_id

    def now(**changes: Any) -> str:
        return later.model_validate({**values, **changes}).arm_id

    warm, cold = {"kd": {"temperature": 4}}, {"kd": {"temperature": 2}}
    assert now(objective=warm, epochs=240) == before(objective={"kd": {}}) == before(objective=warm)
    assert now(objective={"kd": {}}) == now(objective=cold, epochs=120) == before(objective=cold, epochs=120)
    assert len({now(objective={"kd": {}}), now(objective=warm), now(objective=cold, epochs=240)}) == 3


def test_a_new_setting_counts_only_where_it_has_not_its_default(tiny: MakeTrial) -> None:
    class Wider(TrialConfig):
        patience: int = 7
        corners: tuple[float, ...] = (0.5, 1.0)

    values = tiny().model_dump(mode="json")
    assert Wider.model_validate(values).trial_id == tiny().trial_id
    assert Wider.model_validate({**values, "patience": 7, "corners": [0.5, 1]}).trial_id == tiny().trial_id
    assert Wider.model_validate({**values, "patience": 8}).trial_id != tiny().trial_id
    assert Wider.model_validate({**values, "corners": [0.5]}).trial_id != tiny().trial_id


def test_a_subclass_of_a_method_s_settings_gives_the_same_identity_where_it_changes_nothing(tiny: MakeTrial) -> None:
    class Wider(KD.Config):
        sharpness: float = 3.0

    def with_kd(settings: Any) -> TrialConfig:
        return tiny(objective=ObjectivesConfig.model_validate({"kd": settings}))

    assert with_kd(Wider()).arm_id == with_kd(KD.Config()).arm_id
    assert with_kd(Wider(sharpness=2)).arm_id != with_kd(KD.Config()).arm_id


def test_an_optional_section_counts_where_it_is_there_and_not_where_it_is_null(tiny: MakeTrial) -> None:
    assert tiny(objective={"cross_entropy": {}, "kd": None}).arm_id == tiny(objective={"cross_entropy": {}}).arm_id
    with_kd = tiny(objective={"cross_entropy": {}, "kd": {}})
    assert with_kd.arm_id != tiny(objective={"cross_entropy": {}}).arm_id
    assert with_kd.arm_id == tiny(objective={"cross_entropy": {}, "kd": {"weight": 1, "temperature": 4}}).arm_id
    assert differing(with_kd)["objective.kd"] == {}
    assert tiny(optimizer={}).arm_id == tiny().arm_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"weight": 0}, {"weight": 0.0}),
        ({"weight": 0.0}, {"weight": -0.0}),
        ({"weight": 0.0}, {"weight": "-0.0"}),
        ({"temperature": 4}, {"temperature": 4.0}),
        ({"temperature": 3}, {"temperature": 3.0}),
        ({"weight": 1e3}, {"weight": 1000}),
    ],
)
def test_equal_numbers_are_one(tiny: MakeTrial, one: dict[str, Any], other: dict[str, Any]) -> None:
    arms = [tiny(objective={"cross_entropy": {}, "kd": settings}) for settings in (one, other)]
    assert arms[0].arm_id == arms[1].arm_id
    assert arms[0].model_dump_json() == arms[1].model_dump_json()


def test_what_is_no_number_is_not_taken_for_one() -> None:
    class Anything(Settings):
        level: Any = None

    levels = [0, 1, 2, "1", "1.0", True, False, None, [], [1], "", "true", {}]
    assert len({identity(Anything(level=level)) for level in levels}) == len(levels)


def test_settings_in_a_list_count_by_what_they_change(tiny: MakeTrial) -> None:
    def pairs(*pairs: Any) -> str:
        return tiny(objective={"cross_entropy": {}, "cktf": {"pairs": pairs}}).arm_id

    pair = {"student": "stage1", "teacher": "stage1"}
    assert pairs(pair) == pairs({**pair, "weight": 1})
    assert len({pairs(), pairs(pair), pairs(pair, {**pair, "student": "stem"}), pairs({**pair, "weight": 2})}) == 4


@pytest.mark.parametrize("study", ["digits_ablation", "digits_transfer", "table2_cktf_on_top"])
def test_what_is_read_back_from_a_row_has_the_identity_of_what_was_planned(study: str) -> None:
    rows: list[Row] = []
    Planner(load_study(STUDIES / f"{study}.yaml"), rows.append)
    for row in rows:
        assert isinstance(row, PlannedRow)
        dumped = json.loads(row.to_json())["config"]
        config = TrialConfig.model_validate(dumped)
        assert (config.trial_id, config.arm_id) == (row.trial_id, row.arm_id)
        assert TrialConfig.model_validate(whole_numbers(dumped)).trial_id == row.trial_id
        if row.teacher_id:
            assert config.teacher is not None
            assert teacher_trial(config.teacher, config.teacher_data).trial_id == row.teacher_id


def whole_numbers(value: Any) -> Any:
    """Write 4.0 as 4, as other writers of JSON do."""
    if isinstance(value, dict):
        return {key: whole_numbers(below) for key, below in value.items()}
    if isinstance(value, list):
        return [whole_numbers(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_a_teacher_has_no_identity_of_its_students_things(tiny: MakeTrial) -> None:
    def teacher_of(**changes: Any) -> str:
        config = tiny(**changes)
        assert config.teacher is not None
        return teacher_trial(config.teacher, config.teacher_data).trial_id

    changes: list[dict[str, Any]] = [
        {"data": {"name": "digits", "train_fraction": 0.5, "per_class": 9, "root": "/elsewhere", "download": True}},
        {"student": {"model": "resnet14"}},
        {"objective": {"cross_entropy": {}, "kd": {"temperature": 2}}},
        {"augmentation": {"flip": True}},
        {"optimizer": {"learning_rate": 0.3}},
        {"epochs": 7, "batch_size": 8, "precision": "float32", "compile": True, "seed": 3},
    ]
    assert {teacher_of(**change) for change in changes} == {teacher_of()}
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"epochs": 2},
        {"batch_size": 32},
        {"optimizer": {"momentum": 0.8}},
        {"train_fraction": 0.5},
    ]
    teachers = [teacher_of(teacher={"model": "resnet8", "epochs": 1, **other}) for other in others]
    assert len({teacher_of(), *teachers}) == 1 + len(others)
    for setting in ({"side": 16}, {"noise": 0.2}, {"tail": 10}):
        assert teacher_of(data={"name": "digits", **setting}) != teacher_of()


def test_a_default_that_is_made_anew_counts_as_one(tiny: MakeTrial) -> None:
    class Wider(TrialConfig):
        tags: list[str] = Field(default_factory=list)

    assert Wider.model_validate(tiny().model_dump(mode="json")).trial_id == tiny().trial_id
