"""Plug-ins of a run: stored in its directory, registered from there, and refused once they have changed."""

from importlib import resources
from pathlib import Path

import pytest

from cktf.errors import InputError, StudyDiffers
from cktf.plugins import ORIGINS, file_plugin
from cktf.run.directory import require_same, stored_study, write_what_was_asked
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.plugins import register_stored, require_same_code, store, stored_plugin
from cktf.storage import Storage
from cktf.study.load import Study, load_study

pytestmark = pytest.mark.usefixtures("plain_registries")

TEXT = (resources.files("cktf.templates") / "objective.py").read_text()
STUDY = """
plugins: [objective.py]
baseline: {data: {name: digits}, student: {model: resnet5}, teacher: {model: resnet8}, objective: {cross_entropy: {}}}
compare: {directions: {objective: {directions: {}}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Study:
    (tmp_path / "objective.py").write_text(TEXT)
    (tmp_path / "study.yaml").write_text(STUDY)
    return load_study(tmp_path / "study.yaml")


@pytest.fixture
def run(tmp_path: Path, spec: Study) -> Storage:
    run = Storage(tmp_path / "run")
    with Ledger(run) as ledger:
        write_what_was_asked(spec, run, ledger)
    return run


def test_a_run_has_the_file_and_is_read_with_it_wherever_the_original_is(
    spec: Study, run: Storage, tmp_path: Path
) -> None:
    (tmp_path / "objective.py").unlink()
    assert stored_study(run) == spec
    assert stored_plugin(run, "objective.py") == spec.plugins[0]
    register_stored(run, {"objective.py": spec.plugins[0].version})
    assert ORIGINS["OBJECTIVES", "directions"] == spec.plugins[0]


def test_a_changed_file_in_the_run_is_refused_by_a_resume_and_by_a_worker(spec: Study, run: Storage) -> None:
    require_same_code(spec.plugins, read_ledger(run), run)
    store([file_plugin("objective.py", TEXT.replace("Exponent", "The exponent").encode())], run)
    stored = stored_study(run)
    assert stored is not None
    with pytest.raises(StudyDiffers, match=r"plug-in objective\.py has changed since the last launch: it was"):
        require_same_code(stored.plugins, read_ledger(run), run)
    with pytest.raises(InputError, match=r"plugins: objective\.py is sha256 \w+ here, and sha256 \w+ where the study"):
        register_stored(run, {"objective.py": spec.plugins[0].version})


def test_a_launch_with_changed_code_is_another_study(spec: Study, run: Storage, tmp_path: Path) -> None:
    before = [spec.arm(name).trial_id for name in ("baseline", "directions")]
    (tmp_path / "objective.py").write_text(TEXT.replace("Exponent", "The exponent"))
    changed = load_study(tmp_path / "study.yaml")
    assert changed.arm("baseline").trial_id == before[0]
    assert changed.arm("directions").trial_id != before[1]
    stored = stored_study(run)
    assert stored is not None
    with pytest.raises(StudyDiffers, match="a study that differs in: plugins"):
        require_same(changed, stored, run)


def test_a_file_that_is_gone_is_named(run: Storage) -> None:
    run.child("plugins").delete("objective.py")
    with pytest.raises(InputError, match=r"run/plugins/objective\.py: the plug-in's file is gone"):
        stored_plugin(run, "objective.py")
