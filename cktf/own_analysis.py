"""Check that ``import analysis`` finds the package that makes reports, and not another module of that name."""

import sys
from importlib.util import find_spec
from pathlib import Path

from cktf.errors import UserError


def require_own_analysis() -> None:
    """If another module called ``analysis`` hides ours, raise a UserError that names that module's file."""
    own = Path(__file__).resolve().parents[1] / "analysis" / "__init__.py"
    loaded = sys.modules.get("analysis")
    spec = loaded.__spec__ if loaded else find_spec("analysis")
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else [getattr(loaded, "__file__", None)]
    place = next(filter(None, places), None)
    if place and Path(place).resolve() != own:
        raise UserError(
            f"{place}: this module is called analysis and hides {own.parent}, which the report is made by; rename "
            "it, or run the command 'cktf' in another folder"
        )
