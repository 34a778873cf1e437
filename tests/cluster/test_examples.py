"""The examples for SLURM and KubeRay: the batch script's own steps, with stand-ins for the commands that it calls."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
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


def closed(*required: str, **fields: Any) -> dict[str, Any]:
    """Return the schema of an object that has these fields and no others."""
    return {"type": "object", "properties": fields, "required": [*required], "additionalProperties": False}


TEXT, WHOLE, SWITCH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
QUANTITY = {"type": ["integer", "string"], "pattern": r"^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE])?$"}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
CONTAINER = closed("name", name=TEXT, image=TEXT, resources=closed(limits=QUANTITIES, requests=QUANTITIES))
TEMPLATE = closed(spec=closed("containers", containers={"type": "array", "items": CONTAINER}))
GROUP = {"rayStartParams": TEXTS, "template": TEMPLATE}
WORKERS = closed(
    *("groupName", "maxReplicas", "minReplicas", "rayStartParams", "template"),
    **{**GROUP, "groupName": TEXT, "replicas": WHOLE, "minReplicas": WHOLE, "maxReplicas": WHOLE, "numOfHosts": WHOLE},
)
SPECS = {
    "RayCluster": closed(
        "headGroupSpec",
        headGroupSpec=closed("rayStartParams", "template", **GROUP, serviceType=TEXT, enableIngress=SWITCH),
        workerGroupSpecs={"type": "array", "items": WORKERS},
        rayVersion=TEXT,
        enableInTreeAutoscaling=SWITCH,
        autoscalerOptions=closed(
            idleTimeoutSeconds=WHOLE, image=TEXT, upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]}
        ),
        authOptions=closed(mode={"enum": ["disabled", "token"]}),
    ),
    "RayJob": closed(
        clusterSelector=TEXTS,
        entrypoint=TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        activeDeadlineSeconds=WHOLE,
        runtimeEnvYAML=TEXT,
    ),
}
"""Schemas of KubeRay's resources, as its CRDs (v1) have them, of the fields that the examples use or may come to use.

In newer ones `rayStartParams` is not required. What the operator refuses besides: with `authOptions` a `rayVersion`
below 2.52, and a name that is no DNS label.
"""


def faults(kind: str, spec: dict[str, Any]) -> list[str]:
    """Return what is wrong with a resource's spec."""
    found = jsonschema.Draft202012Validator(SPECS[kind]).iter_errors(spec)
    return sorted(f"{error.json_path}: {error.message}" for error in found)


@pytest.mark.parametrize("name", ["cluster.yaml", "study.yaml"])
def test_the_kuberay_examples_fit_the_schemas_of_its_resources(name: str) -> None:
    found = yaml.safe_load((ROOT / "kuberay" / name).read_text())
    assert (found["apiVersion"], faults(found["kind"], found["spec"])) == ("ray.io/v1", [])


def test_a_field_that_kuberay_does_not_know_misses_or_has_as_another_type_is_found() -> None:
    spec = {"headGroupSpec": {"rayStartParams": {}}, "rayVersion": 2, "replica": 1}
    assert faults("RayCluster", spec) == [
        "$.headGroupSpec: 'template' is a required property",
        "$.rayVersion: 2 is not of type 'string'",
        "$: Additional properties are not allowed ('replica' was unexpected)",
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
