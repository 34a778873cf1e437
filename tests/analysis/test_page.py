"""The page as a reader meets it, in a real browser, opened from a file."""

import base64
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.figures.drawing import all_drawings, drawing
from analysis.report.drawing import RENDER
from analysis.report.write import page
from cktf.rows import Status
from tests.analysis.chromium import EXECUTABLE, Tab, open_tab
from tests.analysis.ledgers import write_ablation

needs_chromium = pytest.mark.skipif(EXECUTABLE is None, reason="no Chromium is installed: apt install chromium")

HOSTILE = "<img src=x onerror=\"document.title='broken'\"></script><b>bold</b>&amp;"
READABLE = 4.5
"""Contrast of text that the Web Content Accessibility Guidelines ask for (level AA)."""

CONTRASTS = """
(() => {
  const channel = (value) => (value > 10.31 ? ((value / 255 + 0.055) / 1.055) ** 2.4 : value / 255 / 12.92);
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = parts(colour).map(channel);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const shown = [...document.querySelectorAll("body *:not(script, style, noscript, :disabled)")].filter(
    (element) => own(element) && element.getClientRects().length,
  );
  const measured = shown.map((element) => {
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [colour, behind(element)].map(luminance).sort((one, other) => other - one);
    return [(light + 0.05) / (dark + 0.05), element.textContent.trim().slice(0, 40), colour];
  });
  return { texts: measured.length, page: behind(document.body), all: measured };
})()
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_tab(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of 32 trials; the arm whose name is markup fails at one seed, for a reason that is markup."""
    folder = tmp_path_factory.mktemp("report")
    ledger = write_ablation(folder / "run", question=HOSTILE, study=HOSTILE, machine=HOSTILE)
    for seed in range(6):
        ledger.train(ledger.plan(HOSTILE, seed, {"objective.cktf.pairing": HOSTILE}), 80.0 + seed**2 / 10)
    failed = ledger.plan("theta=0.0", 6, {"objective.cktf.theta": 0.0})
    ledger.train(failed, 9.0, epochs=1, status=Status.FAILED, reason=HOSTILE, tests=False)
    (ledger.close() / "study.yaml").write_text(f"# {HOSTILE}\n")
    return written(ledger.run, folder)


def written(run: Path, folder: Path) -> Path:
    results = load(run)
    path = folder / "report.html"
    path.write_text(page(results, *all_drawings(results), {}))
    return path


def column(tab: Tab, name: str) -> list[str]:
    """Return the cells of one column of the trials that are shown."""
    index = tab.run(
        f"[...document.querySelectorAll('#trials th')].findIndex(head => head.textContent === {name!r}) + 1"
    )
    cells: list[str] = tab.run(
        f"[...document.querySelectorAll('#trials td:nth-child({index})')].map(cell => cell.textContent)"
    )
    return cells


def click(tab: Tab, name: str) -> None:
    tab.run(f"[...document.querySelectorAll('#trials button')].find(one => one.textContent === {name!r}).click()")


def enter(tab: Tab, selector: str, value: str) -> None:
    tab.run(
        f"(() => {{ const field = document.querySelector('#trials {selector}'); field.value = {value!r};"
        " for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind)); })()"
    )


def shown(tab: Tab) -> str:
    text: str = tab.run("document.querySelector('#trials output').textContent")
    return text


def point_at_the_last_effect(tab: Tab) -> None:
    """Move the mouse onto a figure's point, so that it says what it is."""
    where = tab.run(
        "(() => { const mark = [...document.querySelectorAll('#effects .mark-symbol.role-mark path')].at(-1);"
        " mark.scrollIntoView({block: 'center'}); const box = mark.getBoundingClientRect();"
        " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
    )
    tab.ask("Input.dispatchMouseEvent", type="mouseMoved", **where)
    tab.run("new Promise(moved => requestAnimationFrame(() => requestAnimationFrame(moved)))")


@needs_chromium
def test_it_opens_from_a_file_asks_for_nothing_and_has_nothing_to_complain_of(report: Path, tab: Tab) -> None:
    tab.look(width=1280, scheme="light")
    tab.open(report)
    assert tab.requests == [report.as_uri()]
    assert tab.complaints == []
    drawn = tab.run("[...document.querySelectorAll('svg.marks')].map(svg => svg.closest('section').id)")
    assert {"effects", "paired_slopes", "learning_curves"} <= set(drawn)
    assert tab.run("document.querySelector('main section').id") == "verdict"
    too_wide = "[...document.querySelectorAll('.chart')].filter(chart => chart.scrollWidth > chart.clientWidth)"
    assert tab.run(f"{too_wide}.map(chart => chart.dataset.figure)") == []


@needs_chromium
def test_names_with_markup_stay_text_in_tables_and_figures(report: Path, tab: Tab) -> None:
    tab.look(width=1280, scheme="light")
    tab.open(report)
    assert tab.run("document.querySelectorAll('img, main b b').length") == 0
    assert tab.run("document.title") == f"{HOSTILE}: {HOSTILE}"
    assert tab.run("document.querySelector('h1').textContent") == HOSTILE
    enter(tab, "input", "onerror")
    assert column(tab, "arm") == [*[HOSTILE] * 6, "theta=0.0"]
    assert column(tab, "reason")[-1] == HOSTILE
    point_at_the_last_effect(tab)
    tip = tab.run("document.querySelector('#vg-tooltip-element.visible').textContent")
    assert HOSTILE in tip
    assert tab.run("document.querySelectorAll('#vg-tooltip-element img').length") == 0
    assert tab.complaints == []


@needs_chromium
def test_trials_are_sorted_by_any_column_what_is_missing_last(report: Path, tab: Tab) -> None:
    tab.open(report)
    assert column(tab, "trial") == [str(number) for number in range(1, 26)]
    click(tab, "test accuracy (%)")
    enter(tab, "input", "theta")
    scores = column(tab, "test accuracy (%)")
    assert scores[-1] == "–"
    assert scores[:-1] == sorted(scores[:-1], key=float)
    assert len(scores) == 6
    click(tab, "test accuracy (%)")
    assert column(tab, "test accuracy (%)") == [*reversed(scores[:-1]), "–"]
    assert tab.run("document.querySelector('#trials th[aria-sort=descending]').textContent") == "test accuracy (%)"
    enter(tab, "input", "")
    click(tab, "arm")
    names = [name for name, _ in itertools.groupby(column(tab, "arm"))]
    assert names == [HOSTILE, "baseline", "pairing=first", "temperature=0.5", "temperature=0.05"]


@needs_chromium
def test_trials_are_found_by_words_and_status_and_shown_a_part_at_a_time(report: Path, tab: Tab) -> None:
    tab.open(report)
    assert shown(tab) == "1 to 25 of 32"
    click(tab, "Next")
    assert shown(tab) == "26 to 32 of 32"
    assert column(tab, "trial") == [str(number) for number in range(26, 33)]
    click(tab, "Previous")
    assert column(tab, "trial")[0] == "1"
    enter(tab, "input", "TEMPERATURE 0.05")
    assert shown(tab) == "1 to 5 of 5 found, 32 in all"
    assert set(column(tab, "arm")) == {"temperature=0.05"}
    enter(tab, "input", "")
    enter(tab, "select", "failed")
    assert column(tab, "status") == ["failed"]
    enter(tab, "input", "baseline")
    assert shown(tab) == "none of 0 found, 32 in all"
    assert tab.run("[...document.querySelectorAll('.pager button')].every(button => button.disabled)")


@needs_chromium
def test_a_printed_page_has_every_trial_nothing_to_click_and_no_figure_that_is_cut(report: Path, tab: Tab) -> None:
    tab.look(width=1280, scheme="light")
    tab.open(report)
    rows, heads = (tab.run(f"document.querySelectorAll('{part}').length") for part in ("tr", "#trials th"))
    pdf = base64.b64decode(tab.ask("Page.printToPDF", generateTaggedPDF=True)["data"])
    assert pdf.count(b"/S /TR") == rows + 32 - 25
    assert pdf.count(b"/S /Form") == heads, "they sort on a screen, and are words on paper"
    assert pdf.count(b"/S /Link") == 0
    assert shown(tab) == "1 to 25 of 32", "and then the page is what it was"
    tab.look(width=700, scheme="light")
    tab.ask("Emulation.setEmulatedMedia", media="print")
    clickable = "[...document.querySelectorAll('a, input, select, .controls button, summary')]"
    assert tab.run(f"{clickable}.filter(one => one.getClientRects().length).length") == 0
    assert tab.run("getComputedStyle(document.querySelector('th button'), '::after').display") == "none"
    # Chromium leaves buttons, and what sticks, out of the head that it repeats on every sheet of a table.
    assert tab.run("getComputedStyle(document.querySelector('th button')).display") == "contents"
    assert tab.run("getComputedStyle(document.querySelector('th')).position") == "static"
    charts = "[...document.querySelectorAll('.chart')].map(chart => [chart, chart.querySelector('svg.marks')])"
    assert tab.run(f"{charts}.filter(([chart, svg]) => svg.clientWidth > chart.clientWidth).length") == 0
    tab.ask("Emulation.setEmulatedMedia")


@needs_chromium
@pytest.mark.parametrize("run", ["ablation", "contexts", "grid", "confirmed_search"])
def test_a_telephone_scrolls_wide_tables_and_never_the_page(
    run: str, tab: Tab, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tab.look(width=375, scheme="light")
    tab.open(written(request.getfixturevalue(run), tmp_path))
    assert tab.complaints == []
    assert tab.run("[innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]") == [375] * 3
    boxes = tab.run(
        "[...document.querySelectorAll('.scroll')].map(box => [box.scrollWidth > box.clientWidth, box.clientWidth])"
    )
    assert any(is_wide for is_wide, _ in boxes)
    assert all(width <= 375 for _, width in boxes)
    words = (
        "[...document.querySelectorAll('#verdict tbody tr')]"
        ".map(row => row.innerText.match(/helps|hurts|equivalent|undecided/g))"
    )
    seen = [found for found in tab.run(words) if found]
    assert seen
    assert all(len(found) == 1 for found in seen), "a verdict stands once in its row"
    right = (
        "[...document.querySelectorAll('#verdict .beside-the-name')].map(word => word.getBoundingClientRect().right)"
    )
    assert all(0 < edge <= 375 for edge in tab.run(right)), "and is seen without scrolling"


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(scheme: str, report: Path, tab: Tab) -> None:
    tab.look(width=1280, scheme=scheme)
    tab.open(report)
    point_at_the_last_effect(tab)
    found = tab.run(CONTRASTS)
    assert found["page"] == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[scheme]
    assert found["texts"] > 300
    assert "undecided" in [text for _, text, _ in found["all"]], "what a point says is read, too"
    assert [text for text in found["all"] if text[0] < READABLE] == []


@needs_chromium
def test_a_figure_of_its_own_is_interactive_and_asks_for_nothing(grid: Path, tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "marginal.html"
    path.write_bytes(RENDER["html"](drawing(load(grid), "marginal")))
    tab.look(width=1280, scheme="dark")
    tab.open(path)
    assert (tab.requests, tab.complaints) == ([path.as_uri()], [])
    assert tab.run("document.querySelectorAll('svg.marks .mark-symbol.role-mark path').length") == 3


def test_the_page_of_a_thousand_long_trials_is_small(ablation_writer: Callable[..., Any], tmp_path: Path) -> None:
    ledger = ablation_writer(arms=[])
    for number in range(1000):
        seed, arm = divmod(number, 100)
        name = f"temperature={arm / 100}, theta=0.1, pairing=last" if arm else "baseline"
        params = {"objective.cktf.temperature": arm / 100} if arm else {}
        ledger.train(ledger.plan(name, seed, params), 80 + (number * 7919 % 1000) / 100, epochs=20)
    path = written(ledger.close(), tmp_path)
    assert 1e6 < path.stat().st_size < 5e6
