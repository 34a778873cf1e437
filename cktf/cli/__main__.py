"""``cktf``, and ``python -m cktf.cli``: a signal that ends a driver ends it like Ctrl-C, also while it imports."""

import os
import sys

from cktf.cluster.signals import as_ctrl_c
from cktf.errors import INTERRUPTED, LOST_CLUSTER


def main() -> None:
    """Enter the command line."""
    with as_ctrl_c():
        try:
            from cktf.cli import app  # here: its imports take a while too

            app.main()
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            sys.exit(INTERRUPTED)
        except SystemExit as end:
            if end.code == LOST_CLUSTER:  # at the interpreter's end Ray would wait for the cluster once more
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(LOST_CLUSTER)
            raise


if __name__ == "__main__":
    main()
