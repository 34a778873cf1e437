"""What a driver's Ray finds in the environment. In processes of their own, for Ray looks while it is imported."""

import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import os, sys
{before}
from cktf.cluster.environment import prepare
warning = prepare(is_local={is_local})
assert bool(warning) == (os.environ.get("RAY_AUTH_MODE") == "disabled"), warning
print(os.environ.get("RAY_AUTH_MODE"), len(os.environ.get("RAY_AUTH_TOKEN", "")))
"""


@pytest.mark.parametrize(
    ("before", "is_local", "found"),
    [
        ("", True, "token 64"),
        ("", False, "None 0"),
        ("os.environ['RAY_AUTH_MODE'] = 'disabled'", True, "disabled 0"),
        ("sys.modules['ray'] = None", True, "None 0"),
    ],
)
def test_a_ray_of_our_own_lets_in_only_who_has_its_token(before: str, is_local: bool, found: str) -> None:
    program = PROGRAM.format(before=before, is_local=is_local)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={})
    assert result.stdout.strip() == found


UNKNOWN_USER = """
import getpass, os, pwd
def unknown(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = unknown
from cktf.errors import ClusterNotFound
from cktf.cluster.environment import prepare
try:
    prepare(is_local=True)
    print(getpass.getuser() == f"user{os.getuid()}")
except ClusterNotFound as error:
    print(error)
"""


@pytest.mark.parametrize(("env", "said"), [({"HOME": "/h"}, "True"), ({}, "has no home folder; set HOME to a folder")])
def test_a_user_that_the_machine_does_not_know_needs_a_home_and_no_name(env: dict[str, Any], said: str) -> None:
    found = subprocess.run([sys.executable, "-c", UNKNOWN_USER], capture_output=True, text=True, check=True, env=env)
    assert said in found.stdout
