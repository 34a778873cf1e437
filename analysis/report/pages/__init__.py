"""HTML pages: the templates of this folder, whose styles and scripts they hold, for they load nothing."""

from functools import cache
from pathlib import Path
from typing import Any

EXPOSE = "window.vegaEmbed = vegaEmbed;"
"""What a page's own script sees of the bundled libraries."""


def html_page(template: str, values: dict[str, Any]) -> str:
    """Return a template of this folder with these values, all of them escaped but what `libraries` gives."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values)


@cache
def libraries() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which nothing of a study is in."""
    import vl_convert
    from markupsafe import Markup

    bundle = vl_convert.javascript_bundle(EXPOSE)
    assert "</script" not in bundle
    return Markup(bundle)  # noqa: S704
