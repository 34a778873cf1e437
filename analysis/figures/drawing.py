"""Results -> one figure, ready to be drawn: its caption and its Vega-Lite specification."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from analysis.figures import FIGURES, module_of
from analysis.study_tables import StudyTables
from analysis.unmade import noted
from cktf.errors import InputError

NOT_DRAWABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
"""Characters that XML, and so SVG, does not allow -> what is drawn in their place."""

_INK = {"labelColor": "currentColor", "titleColor": "currentColor"}

LOOK = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        **_INK,
        **{"domainColor": "currentColor", "tickColor": "currentColor", "gridColor": "currentColor"},
        **{"gridOpacity": 0.12, "domainOpacity": 0.5, "tickOpacity": 0.5},
        **{"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8},
        **{"labelLimit": 320, "labelFlush": False},
    },
    "header": {**_INK, "labelFontSize": 12, "labelLimit": 210, "title": None},
    "legend": {**_INK, "orient": "top", "title": None, "labelFontSize": 12, "labelLimit": 400},
    "text": {"color": "currentColor"},
    "title": {"color": "currentColor", "fontSize": 12, "fontWeight": "normal"},
}
"""Configuration that all figures share; ``currentColor`` is the page's own text colour."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a run, ready to be drawn.

    Attributes:
        title: Its heading.
        caption: Text below it.
        specification: Vega-Lite, its data included.
    """

    title: str
    caption: str
    specification: dict[str, Any]

    @cached_property
    def svg(self) -> str:
        """The figure as SVG, from which the other formats are made."""
        import vl_convert

        # A white background, since a file may be placed on any page. Nothing may be fetched.
        text: str = vl_convert.vegalite_to_svg(self.specification | {"background": "white"}, allowed_base_urls=[])
        return text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return the figure with its caption as a notebook shows it: on white, on dark pages too."""
        paper = "margin: 0; padding: 1em; max-width: 60em; color: black; background: white"
        return {
            "text/plain": f"{self.title}. {self.caption}",
            "text/html": f'<figure style="{paper}">{self.svg}<figcaption>{escape(self.caption)}</figcaption></figure>',
        }


def themed(chart: Any) -> dict[str, Any]:
    """Return the specification of an Altair chart with the shared look."""
    return {**chart.to_dict(), "background": None, "config": LOOK}


def drawing(results: StudyTables, name: str, factors: Sequence[str] = ()) -> Drawing:
    """Return one figure; see `analysis.results.Results.figure`."""
    if name not in FIGURES:
        raise InputError(f"no figure is called {name!r}; there are: {', '.join(FIGURES)}")
    figure, known = FIGURES[name], results.facts.study.factors
    for factor in factors:
        if factor not in known:
            raise InputError(f"the study has no factor {factor!r}; it has: {', '.join(known) or 'none'}")
    if factors and not len(set(factors)) == len(factors) == figure.num_factors:
        takes = ("no factors", "one factor", "2 different factors")[figure.num_factors]
        raise InputError(f"figure {name!r} takes {takes}; got: {', '.join(factors)}")
    if drawn := _drawn(results, name, factors):
        return drawn
    of_factors = f" to {', '.join(factors)}" if factors else ""
    raise InputError(f"figure {name!r} does not apply{of_factors}: it needs {figure.needs}")


def all_drawings(results: StudyTables) -> tuple[dict[str, Drawing], dict[str, str]]:
    """Return name -> figure for those that apply, and name -> reason for those that could not be made."""
    drawings: dict[str, Drawing] = {}
    why_not: dict[str, str] = {}
    for name in FIGURES:
        with noted(why_not, name):
            if drawn := _drawn(results, name):
                drawings[name] = drawn
    return drawings, why_not


def applicable(results: StudyTables) -> dict[str, str]:
    """Return name -> title for the figures that apply, and name -> reason for those that cannot be made.

    Raises:
        InputError: If there is none.
    """
    drawings, why_not = all_drawings(results)
    if titles := {name: drawing.title for name, drawing in drawings.items()} | why_not:
        return titles
    raise InputError("no figure applies: each needs complete trials, and most need several arms")


def _drawn(results: StudyTables, name: str, factors: Sequence[str] = ()) -> Drawing | None:
    module = module_of(name)
    record = module.record(results, factors) if factors else module.record(results)
    if record is None:
        return None
    title, caption = FIGURES[name].title, record.caption
    if afterthought := results.facts.afterthought:
        title, caption = f"Afterthought: {title}", f"{afterthought} {caption}"
    return Drawing(title, caption, _drawable(themed(module.chart(record))))


def _drawable(value: Any) -> Any:
    """Return a specification without characters at which the drawing library would end the process."""
    if isinstance(value, str):
        return value.translate(NOT_DRAWABLE)
    if isinstance(value, dict):
        return {_drawable(key): _drawable(below) for key, below in value.items()}
    return [_drawable(entry) for entry in value] if isinstance(value, list) else value
