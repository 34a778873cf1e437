"""Settings that Ray reads from environment variables alone, some of them when it is imported."""

import getpass
import os
import secrets
import sys
from pathlib import Path

from cktf.errors import ClusterNotFound

_TUNE = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path in a study means the same on a worker as here
    "RAY_AIR_NEW_OUTPUT": "0",  # the older output is the one that can be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are rows of the ledger
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # nothing is to be saved at Ctrl-C; all is in the ledger
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
}


def prepare(*, is_local: bool) -> str:
    """Set the environment of a driver's Ray, before Ray is imported; return a warning for the user, or an empty text.

    ``is_local`` says whether this process will start Ray: the settings of a running cluster stay.
    """
    os.environ.update(_TUNE)
    _require_home()
    if not is_local or "ray" in sys.modules:
        return ""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's ports listen on every interface: without this token nobody may run code through them.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"] == "token":
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        return ""
    return (
        f"RAY_AUTH_MODE={os.environ['RAY_AUTH_MODE']} in the environment: whoever reaches this machine's ports may run "
        "code through them while the study runs; unset it, and a token keeps them out"
    )


def _require_home() -> None:
    """Set a user's name if the machine knows none; refuse to go on without a home folder. Ray needs both at import."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        os.environ["USER"] = f"user{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        raise ClusterNotFound(
            f"user {os.getuid()} has no home folder; set HOME to a folder that can be written to"
        ) from None
