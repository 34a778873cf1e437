"""Results -> one figure -> a file: vector, pixels, an interactive page, or its Vega-Lite specification."""

import json
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from analysis.figures import FIGURES
from analysis.figures.theme import themed
from analysis.folder import open_folder, write
from analysis.report.pages import html_page, libraries
from analysis.report.unmade import noted
from analysis.results import Results
from cktf.errors import InputError

WITHOUT_FIGURE = "--out and --factor are of one figure: name it by --figure"
"""What a command line is told that has these alone."""

NOT_DRAWABLE = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd"
)
"""Characters that XML, and so SVG, does not have, and what is drawn in their place."""

IN_NO_FONT = "\U0010fffe"
"""A character that no font has."""

PNG_SCALE = 2
"""Pixels of a PNG for one of the page."""


@dataclass(frozen=True)
class Drawing:
    """A figure of a run, ready to be drawn.

    Attributes:
        title: Its heading.
        caption: What to read.
        specification: Vega-Lite, its data included.
    """

    title: str
    caption: str
    specification: dict[str, Any]

    @cached_property
    def svg(self) -> str:
        """The vector file, of which the others are made."""
        import vl_convert

        # White paper, for a file may be laid on anything. Nothing may be fetched.
        text: str = vl_convert.vegalite_to_svg(
            self.specification | {"background": "white"}, allowed_base_urls=[]
        )
        return text


def write_figure(
    results: Results, name: str, out: str | os.PathLike[str], factors: Sequence[str] = ()
) -> str:
    """Write one figure of a run, and return its place.

    Args:
        results: As `analysis.load` gives them, of a run directory or of Parquet tables alone.
        name: A key of `analysis.figures.FIGURES`.
        out: The file, of which the suffix decides what is written: a key of `RENDER`.
        factors: Those to look at, where the figure lets them be chosen.

    Raises:
        ValueError: If the suffix, the name or a factor is unknown, or the figure does not apply to the run; what is
            allowed is named.
    """
    place = os.fspath(out)
    folder, slash, file = place.rpartition("/")
    kind = file.rpartition(".")[2]
    if kind not in RENDER or kind == file:
        known = ", ".join(f".{suffix}" for suffix in RENDER)
        raise InputError(f"{place}: the suffix of a figure's file is one of {known}")
    content = RENDER[kind](drawing(results, name, factors))
    write(open_folder(folder or slash or "."), file, content)
    return place


def drawing(results: Results, name: str, factors: Sequence[str] = ()) -> Drawing:
    """Return one figure.

    Raises:
        ValueError: If the name or a factor is unknown, or the figure does not apply; it names what is allowed.
    """
    if name not in FIGURES:
        raise InputError(f"no figure is called {name!r}; those that apply: {_applicable(results)}")
    if factors:
        _check_factors(results, name, factors)
    if drawn := _drawn(results, name, factors):
        return drawn
    needs = FIGURES[name].needs
    if factors:
        raise InputError(f"figure {name!r} cannot show {', '.join(factors)}: it needs {needs}")
    raise InputError(
        f"figure {name!r} does not apply: it needs {needs}; those that apply: {_applicable(results)}"
    )


def all_drawings(results: Results) -> tuple[dict[str, Drawing], dict[str, str]]:
    """Return the figures that apply, by name, and of those that could not be made, the reason."""
    drawings: dict[str, Drawing] = {}
    why_not: dict[str, str] = {}
    for name in FIGURES:
        with noted(why_not, name):
            if drawn := _drawn(results, name):
                drawings[name] = drawn
    return drawings, why_not


def applicable(results: Results) -> dict[str, str]:
    """Return the names of the figures that apply, with their titles.

    Raises:
        ValueError: If there is none.
    """
    if titles := _titles(results):
        return titles
    raise InputError("no figure applies: each needs complete trials, and most need several arms")


def _drawn(results: Results, name: str, factors: Sequence[str] = ()) -> Drawing | None:
    figure = FIGURES[name]
    record = figure.record(results, factors) if factors else figure.record(results)
    if record is None:
        return None
    return Drawing(figure.title, record.caption, _drawable(themed(figure.chart(record))))


def _drawable(value: Any) -> Any:
    """Return a specification without characters at which the drawing library would end the process."""
    if isinstance(value, str):
        return value.translate(NOT_DRAWABLE)
    if isinstance(value, dict):
        return {_drawable(key): _drawable(below) for key, below in value.items()}
    return [_drawable(entry) for entry in value] if isinstance(value, list) else value


def _titles(results: Results) -> dict[str, str]:
    """Return the titles of the figures that apply, by name; of one that cannot be made, the reason."""
    titles: dict[str, str] = {}
    for name, figure in FIGURES.items():
        with noted(titles, name):
            if figure.record(results) is not None:
                titles[name] = figure.title
    return titles


def _applicable(results: Results) -> str:
    return ", ".join(_titles(results)) or "none"


def _check_factors(results: Results, name: str, factors: Sequence[str]) -> None:
    count, known = FIGURES[name].num_factors, results.facts.study.factors
    for factor in factors:
        if factor not in known:
            raise InputError(f"the study has no factor {factor!r}; it has: {', '.join(known) or 'none'}")
    if len(set(factors)) != count or len(factors) != count:
        takes = f"{count} different factors" if count > 1 else "one factor" if count else "no factors"
        raise InputError(f"figure {name!r} takes {takes}; got: {', '.join(factors)}")


def _svg(drawing: Drawing) -> bytes:
    return drawing.svg.encode()


def _png(drawing: Drawing) -> bytes:
    import vl_convert

    content: bytes = vl_convert.svg_to_png(_with_known_letters(drawing.svg), scale=PNG_SCALE)
    return content


def _with_known_letters(svg: str) -> str:
    """Return a vector file in which letters that no font here has, of which boxes would be drawn, are numbers."""
    for letter in {*svg}:
        is_seen = unicodedata.category(letter)[0] not in "MCZ"
        if not letter.isascii() and is_seen and _pixels(letter) == _pixels(IN_NO_FONT):
            svg = svg.replace(letter, f"(U+{ord(letter):04X})")
    return svg


@cache
def _pixels(letter: str) -> bytes:
    """Return the picture of a letter by itself."""
    import vl_convert

    attributes = 'x="2" y="22" font-size="18" font-family="sans-serif"'
    content: bytes = vl_convert.svg_to_png(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="30"><text {attributes}>{letter}</text></svg>'
    )
    return content


def _pdf(drawing: Drawing) -> bytes:
    import vl_convert

    content: bytes = vl_convert.svg_to_pdf(_with_known_letters(drawing.svg))
    return content


def _html(drawing: Drawing) -> bytes:
    return html_page("figure.html", {"drawing": drawing, "libraries": libraries()}).encode()


def _json(drawing: Drawing) -> bytes:
    return json.dumps(drawing.specification, indent=1, ensure_ascii=False).encode()


RENDER: dict[str, Callable[[Drawing], bytes]] = {
    "svg": _svg,
    "pdf": _pdf,
    "png": _png,
    "html": _html,
    "json": _json,
}
"""Suffix to what makes the file; HTML is interactive and needs no network."""
