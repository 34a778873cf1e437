"""What a driver's Ray finds in the environment. In processes of their own, for Ray looks while it is imported."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
{before}
from cktf.search.environment import prepare
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
def test_a_ray_of_our_own_lets_in_only_who_has_its_token(before, is_local, found):
    program = PROGRAM.format(before=before, is_local=is_local)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={}
    )
    assert result.stdout.strip() == found
