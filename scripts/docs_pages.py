"""Pages of the documentation that are made of the code: mkdocs calls this file (see mkdocs.yml); nothing is stored."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COLUMNS = DOCS / "reference" / "columns.yaml"

SCHEDULE = {"from": 0.1, "to": 1, "over": [0, 0.25]}
LEARNED = {"learn": True, "start": 0.1, "min": 0.05, "max": 1}
"""Keys of a number that changes or is learned: told once, for all numbers that may."""

EXAMPLES: dict[str, Any] = {
    **SCHEDULE,
    **LEARNED,
    **{"name": "first_try", "question": "Does KD help?", "root": "/data/images", "content": 16 * "3f1a", "fold": 0},
    **{"per_class": 20, "crop_from": 96, "stem": "conv1", "penultimate": "global_pool", "weights": "default"},
    **{"weights_sha256": 16 * "3f1a", "sha256": 16 * "3f1a", "stages": [["layer1"], ["layer2"]], "width": 512},
    **{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "head_learning_rate": 0.01, "clip_norm": 5},
    **{"initial_learning_rate": 0.01, "stop_after": 30, "crop": 4, "resized_crop": True, "flip": True, "delta": 0.5},
    **{
        "margin": -0.5,
        "expect_sd": 0.6,
        "slots": 2,
        "warm_start": "runs/first",
        "plugins": ["objective.py"],
        "checkpoint": "wrn_40_2.pth",
    },
    **{"contexts": {"vgg13/vgg8": {"teacher": {"model": "vgg13"}, "student": {"model": "vgg8"}}}, "classes": 1000},
    **{"epoch": 60, "teachers": {"a": {"model": "wrn_40_2"}, "b": {"model": "resnet56"}}, "teacher_threshold": 0.9},
    **{"ablate": {"objective.kd.temperature": [1, 8]}, "grid": {"objective.kd.weight": [0, 1]}, "teacher_seeds": 3},
    **{"compare": {"kd": {"objective": {"kd": {}}}}, "leave_one_out": {"objective.kd.weight": 0}, "gpus": 0.5},
    **{"fractional": {"objective.kd.weight": [0, 1]}, "search": {"objective.kd.temperature": {"float": [1, 8]}}},
    **{"skip": {"vgg13/vgg8": ["fsp"]}, "measures": ["top5", {"ece": {"bins": 10}}], "values": {"baseline": 73.26}},
}
"""Last part of a path to an example, where no study shows one and the default is null."""


def cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return text.replace("|", r"\|").replace("\n", " ")


def table(*rows: tuple[str, ...]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *others = ("| " + " | ".join(map(cell, row)) + " |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def shown_values(texts: list[str]) -> dict[str, Any]:
    """Return path to the first value that these studies, or parts of studies, give it."""
    found: dict[str, Any] = {}

    def walk(value: Any, at: str) -> None:
        found.setdefault(at, value)
        if isinstance(value, dict):
            for key, entry in value.items():
                walk(entry, f"{at}.{key}" if at else str(key))

    for study in map(yaml.safe_load, texts):
        walk(study, "" if "baseline" in study else "baseline")
        for part in ("contexts", "compare"):
            for patch in (study.get(part) or {}).values():
                walk(patch, "baseline")
        for part in ("ablate", "grid", "fractional", "leave_one_out"):
            for path, levels in (study.get(part) or {}).items():
                for level in levels if isinstance(levels, list) else [levels]:
                    walk(level, f"baseline.{path}")
    return found


def examples() -> dict[str, Any]:
    """Return path to an example of each key of a study; of a section, which its keys show, to None or a default."""
    from cktf.study.reference import keys

    shown = shown_values([file.read_text() for file in sorted((ROOT / "search_spaces").glob("*.yaml"))])
    found: dict[str, Any] = {}
    for key in keys():
        name, default = key.path.rpartition(".")[2], yaml.safe_load(key.default or "null")
        if isinstance(default, str) and re.fullmatch(r"\d+e-\d+", default):  # which YAML takes for a text
            default = float(default)
        value = shown.get(key.path)
        if value is None or isinstance(value, dict):
            value = not default if isinstance(default, bool) else default
        if value in (None, []):
            value = EXAMPLES.get(name, default)
        if value is not None:
            found[key.path] = value
    return found


def study_page() -> str:
    """Return the reference of a study file's keys, section by section."""
    from cktf.study.reference import keys
    from cktf.study.yaml_text import in_one_line

    every, example = list(keys()), examples()
    sections = {key.path for key in every if any(each.path.startswith(f"{key.path}.") for each in every)}
    changing = {key.path for key in every if f"{key.path}.over" in {each.path for each in every}}
    lines = [
        "# The study file: every key",
        "",
        "`cktf explain KEY` prints the same in a terminal. A path such as `objective.kd.temperature` names a key below "
        "`baseline`; it is what `ablate`, `grid`, `search` and `--set` take. A default of `none` means that the key "
        "must be given, or is filled in from elsewhere, as its meaning says.",
    ]

    def rows(below: str) -> Iterator[tuple[str, ...]]:
        for key in every:
            above, _, name = key.path.rpartition(".")
            if above != below:
                continue
            values = key.values.replace(" | ", " or ")
            if key.path in changing:
                values = values.replace("mapping", "[schedule](#schedules-and-learned-temperatures)")
            elif key.path in sections:
                values = values.replace("mapping", f"[section](#{anchor(key.path)})")
            default = f"`{key.default}`" if key.default and len(key.default) < 40 else "" if key.default else "none"
            given = f"`{name}: {in_one_line(example[key.path])}`" if key.path in example else ""
            yield f"`{name}`", values, default, given, key.meaning

    head = ("key", "values", "default", "example", "meaning")
    for section in ["", *(key.path for key in every if key.path in sections - changing)]:
        meaning = next((key.meaning for key in every if key.path == section), "")
        title = f"`{section}`" if section else "The file"
        lines += ["", f"## {title} {{#{anchor(section) or 'file'}}}", "", meaning, "", table(head, *rows(section))]
    learned = next(path for path in changing if f"{path}.learn" in {each.path for each in every})
    lines += [
        *("", "## Schedules and learned temperatures", ""),
        "In place of a number; see [objectives](../how-to/objectives.md). The bounds are those of the number.",
        *("", table(head, *rows(learned))),
    ]
    return "\n".join(lines) + "\n"


def anchor(path: str) -> str:
    """Return the anchor of a section."""
    return path.replace(".", "-")


def commands_page() -> str:
    """Return the reference of the commands: arguments, options, what they do."""
    import typer.main

    from cktf.cli.app import app

    group: Any = typer.main.get_command(app)  # of the click that typer has inside, whose types it does not tell
    context = group.make_context("cktf", [], resilient_parsing=True)
    said = "`cktf COMMAND --help` prints the same; [exit codes](../how-to/clusters.md#how-a-driver-ends)."
    lines = ["# Commands", "", said, ""]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        pieces = " ".join(command.collect_usage_pieces(context))
        usage = re.sub(r"[{[]\w+[]}]", lambda piece: piece[0].upper().strip("{}"), pieces)
        lines += [f"## cktf {name}", "", command.help or "", "", f"Usage: `cktf {name} {usage}`", ""]
        rows = []
        for parameter in command.params:
            record = parameter.get_help_record(context)
            named, text = record or (parameter.human_readable_name, getattr(parameter, "help", "") or "")
            rows.append((f"`{named}`", re.sub(r"\s+", " ", text)))
        lines += [table(("argument or option", "meaning"), *rows), ""] if rows else []
    return "\n".join(lines)


def columns_of(name: str) -> dict[str, str]:
    """Return column to its unit and meaning, of one table; those that have the same meaning everywhere among them."""
    every = yaml.safe_load(COLUMNS.read_text())
    return {**every["everywhere"], **{column: text for column, text in every[name].items() if column}}


def tables_page() -> str:
    """Return the reference of the columns of a report's tables."""
    every = yaml.safe_load(COLUMNS.read_text())
    lines = [
        "# The tables of a report",
        "",
        "`RUN/report/NAME.parquet`, which any reader of Parquet opens; in Python `analysis.load(RUN).NAME`. `[metric]` "
        "is the unit of the study's metric; of an accuracy it is per cent, and of its differences percentage points. "
        "Columns that mean the same in all tables stand first.",
    ]
    for name, columns in every.items():
        title = "Columns of several tables" if name == "everywhere" else f"`{name}`"
        lines += ["", f"## {title} {{#{name}}}", "", columns.get("", ""), ""]
        rows = []
        for column, text in columns.items():
            if column and (parts := re.fullmatch(r"(?:\[([^]]+)\] )?(.*)", text)):
                rows.append((f"`{column}`", parts[1] or "", parts[2]))
        lines.append(table(("column", "unit", "meaning"), *rows))
    return "\n".join(lines) + "\n"


def home_page() -> str:
    """Return the README as the site's first page."""
    return (ROOT / "README.md").read_text().replace("](docs/", "](").replace('src="docs/', 'src="')


PAGES = {
    "index.md": home_page,
    "reference/study-file.md": study_page,
    "reference/commands.md": commands_page,
    "reference/tables.md": tables_page,
}
"""Page to what makes it."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site (an event of mkdocs)."""
    from mkdocs.structure.files import File

    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001
    """Return a page whose links to files that are not on the site name them instead (an event of mkdocs)."""
    is_home = page.file.src_uri == "index.md"
    here = DOCS if is_home else (DOCS / page.file.src_uri).parent

    def link(match: "re.Match[str]") -> str:
        label, target = match.groups()
        place = (here / target.partition("#")[0]).resolve()
        if is_home and not place.exists():
            place = ROOT / target
        if "://" in target or place.is_relative_to(DOCS) or not place.exists():
            return match[0]
        name = str(place.relative_to(ROOT))
        return f"`{name}`" if label.strip("`") == name else f"{label} (`{name}` in the repository)"

    return re.sub(r"(?<!!)\[([^]]+)\]\(([^)\s]+)\)", link, markdown)
