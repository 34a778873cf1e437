"""Templates in this folder: prose, and HTML pages, which contain their styles and scripts and so load nothing."""

from functools import cache
from pathlib import Path
from typing import Any


def rendered(template: str, values: dict[str, Any]) -> str:
    """Return a template of this folder filled with values; in HTML all but the result of `libraries` are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


@cache
def libraries() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; nothing in it comes from a study."""
    import vl_convert
    from markupsafe import Markup

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")  # visible to a page's own script
    assert "</script" not in bundle
    return Markup(bundle)  # noqa: S704
