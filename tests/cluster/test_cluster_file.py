"""cluster.yaml, by the rules of Ray's own launcher and by those that it does not check."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOKEN = "~/.ray/auth_token"  # noqa: S105  # where the token is, not what it is


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return read


def test_the_launcher_accepts_it(cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(cluster))


def test_every_kind_of_node_says_what_machine_it_is(cluster: dict[str, Any]) -> None:
    for name, kind in cluster["available_node_types"].items():
        assert kind["node_config"].get("InstanceType"), name
        assert kind["node_config"].get("BlockDeviceMappings"), name


def test_what_is_copied_to_the_nodes_exists(cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for source in cluster["file_mounts"].values():
        assert source == TOKEN or Path(source).exists(), source
    assert (ROOT / "pyproject.toml").is_file()


def test_every_node_gets_the_locked_versions(cluster: dict[str, Any]) -> None:
    assert (ROOT / "requirements.lock").is_file()
    assert any("-r ~/cktf/requirements.lock" in command for command in cluster["setup_commands"])


def test_every_node_is_started_with_the_token(cluster: dict[str, Any]) -> None:
    assert cluster["file_mounts"][TOKEN] == TOKEN
    for role in ("head", "worker"):
        (start,) = [command for command in cluster[f"{role}_start_ray_commands"] if " start " in command]
        assert start.startswith("RAY_AUTH_MODE=token ")


def test_the_head_runs_no_trials_and_workers_have_gpus_and_scale_from_nothing(cluster: dict[str, Any]) -> None:
    kinds = cluster["available_node_types"]
    assert kinds[cluster["head_node_type"]]["resources"] == {"CPU": 0, "GPU": 0}
    workers = [kind for name, kind in kinds.items() if name != cluster["head_node_type"]]
    assert workers
    for kind in workers:
        assert kind["resources"]["GPU"] >= 1
        assert kind["min_workers"] == 0 < kind["max_workers"] <= cluster["max_workers"]


def test_the_project_is_installed_on_every_node(cluster: dict[str, Any]) -> None:
    commands = cluster["setup_commands"]
    assert any("--editable ~/cktf" in command for command in commands)
    assert "~/cktf" in cluster["file_mounts"]
