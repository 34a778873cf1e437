"""The examples for SLURM and KubeRay: the batch script's own steps, with stand-ins for the commands that it calls."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "examples"

COMMANDS = {
    # Runs its step, as SLURM would on the node that is named.
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "scontrol": 'echo "scontrol $*" >> "$CALLS"; [ "$1" != show ] || printf "127.0.0.1\\nnode2\\n"',
    "ray": 'echo "ray $*" >> "$CALLS"; case "$*" in *--head*) exec "$PYTHON" -c "$HEAD" ;; *) sleep 60 & wait ;; esac',
    "cktf": 'echo "cktf $*" >> "$CALLS"; trap "exit 130" USR1; [ -z "${CODE:-}" ] || exit "$CODE"; '
    "while sleep 0.1; do :; done",
}
HEAD = "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); time.sleep(60)"


@pytest.mark.parametrize(("code", "is_requeued"), [(None, True), ("0", False), ("1", False), ("3", True)])
def test_a_slurm_job_starts_its_nodes_passes_the_warning_on_and_is_requeued(
    code: Any, is_requeued: bool, tmp_path: Path
) -> None:
    for name, text in COMMANDS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"
    env = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        **{"CALLS": str(calls), "PYTHON": sys.executable, "HEAD": HEAD, "CODE": code or ""},
        **{"STUDY": "s.yaml", "RUN": "/shared/run", "PORT": str(21000 + os.getpid() % 9000)},
        **{"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CPUS_PER_TASK": "4"},
    }
    job = subprocess.Popen(["bash", ROOT / "slurm/study.sbatch"], env=env, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (calls.exists() and "cktf launch" in calls.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if code is None:
            time.sleep(0.3)
            job.send_signal(signal.SIGUSR1)
        assert job.wait(60) == int(code or 130)
    finally:
        os.killpg(job.pid, signal.SIGKILL) if job.poll() is None else None
    said = calls.read_text()
    assert f"cktf launch s.yaml --run-dir /shared/run --address 127.0.0.1:{env['PORT']}" in said
    assert said.count("ray start --head") == said.count("ray start --address") == 1
    assert ("scontrol requeue 7" in said) == is_requeued


# What KubeRay's types allow: ray-operator/apis/ray/v1/raycluster_types.go, rayjob_types.go, of the fields that the
# examples use; a type, or a table of fields, of which those with a star are required.
CONTAINER = {"name*": str, "image": str, "resources": {"limits": dict, "requests": dict}}
GROUP = {"rayStartParams*": dict, "template*": {"spec*": {"containers*": [CONTAINER]}}}
WORKERS = {**GROUP, "groupName*": str, "replicas": int, "minReplicas*": int, "maxReplicas*": int, "numOfHosts": int}
ALLOWED = {
    "RayCluster": {
        "headGroupSpec*": {**GROUP, "serviceType": str, "enableIngress": bool},
        "workerGroupSpecs": [WORKERS],
        "rayVersion": str,
        "enableInTreeAutoscaling": bool,
        "autoscalerOptions": {"idleTimeoutSeconds": int, "upscalingMode": str, "image": str},
        "authOptions": {"mode": str},  # disabled or token
    },
    "RayJob": {
        "clusterSelector": dict,
        "entrypoint": str,
        "submissionMode": str,
        "activeDeadlineSeconds": int,
        "runtimeEnvYAML": str,
    },
}


def against(allowed: Any, found: Any, place: str = "") -> list[str]:
    """Return what is wrong with a resource."""
    if isinstance(allowed, list):
        return [fault for item in found for fault in against(allowed[0], item, f"{place}[]")]
    if isinstance(allowed, type):
        return [] if type(found) is allowed else [f"{place} is no {allowed.__name__}"]
    known = {name.rstrip("*"): kind for name, kind in allowed.items()}
    missing = [f"{place}.{name[:-1]} is missing" for name in allowed if name.endswith("*") and name[:-1] not in found]
    unknown = [f"{place}.{name} is unknown" for name in found if name not in known]
    inside = [(known[name], item, f"{place}.{name}") for name, item in found.items() if name in known]
    return [*missing, *unknown, *(fault for item in inside for fault in against(*item))]


@pytest.mark.parametrize("name", ["cluster.yaml", "study.yaml"])
def test_the_kuberay_examples_have_only_fields_that_its_types_allow(name: str) -> None:
    """Compared once with KubeRay's own schema, its CRD of RayCluster (v1) at commit 017710c025a8.

    There `rayStartParams` is not required, as it is in older ones. What the operator itself refuses was read beside it
    (validation.go at 0074504f84f2): with `authOptions` a `rayVersion` below 2.52, and a name that is no DNS label.
    """
    found = yaml.safe_load((ROOT / "kuberay" / name).read_text())
    allowed = ALLOWED[found["kind"]]
    assert (found["apiVersion"], against(allowed, found["spec"])) == ("ray.io/v1", [])


def test_a_field_that_kuberay_does_not_know_misses_or_has_as_another_type_is_found() -> None:
    spec = {"headGroupSpec": {"rayStartParams": {}}, "rayVersion": 2, "replica": 1}
    assert against(ALLOWED["RayCluster"], spec) == [
        ".replica is unknown",
        ".headGroupSpec.template is missing",
        ".rayVersion is no str",
    ]


def test_the_kuberay_examples_have_what_its_resources_need() -> None:
    cluster, job = (yaml.safe_load((ROOT / "kuberay" / name).read_text()) for name in ("cluster.yaml", "study.yaml"))
    assert (cluster["apiVersion"], cluster["kind"]) == (job["apiVersion"], "RayCluster")
    assert (job["kind"], job["spec"]["clusterSelector"]) == ("RayJob", {"ray.io/cluster": cluster["metadata"]["name"]})
    assert "backoffLimit" not in job["spec"], "a retry would delete the cluster that the job selects"
    (workers,) = cluster["spec"]["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["spec"]["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert all(isinstance(value, str) for value in container["resources"]["limits"].values())
    locked = (ROOT.parent / "requirements.lock").read_text()
    assert f"ray=={cluster['spec']['rayVersion']}\n" in locked.replace("ray[data,train,tune]", "ray")
