"""``python -m cktf.cli``."""

from cktf.cli.app import main

main()
