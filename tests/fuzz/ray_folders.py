"""Folders of Ray Tune, a real one, in which JSON, tables and texts are damaged."""

import json
from functools import cache
from pathlib import Path
from random import Random

from analysis.foreign import read
from cktf.foreign_options import Options
from tests.fuzz.driver import Case
from tests.fuzz.mutations import HALF_A_PAIR, ODD_TEXTS, changed, changed_bytes, changed_text, odd_value
from tests.fuzz.reading import read_through

REAL = Path(__file__).parents[1] / "analysis" / "data" / "ray_tune"


@cache
def _files() -> dict[str, bytes]:
    read_through(read("ray-tune", str(REAL), Options(metric="accuracy")))  # so that no case pays for what is imported
    return {str(path.relative_to(REAL)): path.read_bytes() for path in sorted(REAL.rglob("*")) if path.is_file()}


def ray_folders(draws: Random, folder: Path) -> Case:
    """Return an experiment in which one or two files were changed, and how it is read."""
    files, words = dict(_files()), []
    for _ in range(draws.choice((0, 1, 1, 1, 2))):
        name = draws.choice(list(files))
        if draws.random() < 0.1:
            del files[name]
            words.append(f"{name} is gone")
        else:
            files[name], what = _damaged(name, files[name], draws)
            words.append(f"{name}: {what}")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    metric = "accuracy" if draws.random() < 0.9 else draws.choice((*ODD_TEXTS, "nested/loss", "training_iteration"))
    options = Options(metric=metric, maximise=draws.random() < 0.8)
    return Case(
        f"{', '.join(words)}; metric {metric[:40]!a}",
        lambda: read_through(read("ray-tune", str(folder), options)),
        (str(folder), "--metric", "--minimise"),
    )


def _damaged(name: str, content: bytes, draws: Random) -> tuple[bytes, str]:
    text = content.decode()
    if not name.endswith(".json") or draws.random() < 0.3:
        if draws.random() < 0.5:
            return changed_bytes(content, draws)
        text, what = changed_text(text, draws, ("null", "[" * 2000, "9" * 400, "NaN", "Infinity", '"x"'))
        return text.encode(errors="surrogatepass"), what
    lines = text.splitlines() if name.endswith("result.json") else [text]
    row = draws.randrange(len(lines)) if lines else 0
    try:
        value = json.loads(lines[row])
    except (ValueError, IndexError):
        return content, "nothing more"
    if isinstance(value, dict) and value and draws.random() < 0.5:
        key = draws.choice(list(value))
        value[key] = draws.choice((odd_value(draws), HALF_A_PAIR))
        what = f"{key} is another"
    else:
        value, what = changed(value, draws)
    lines[row] = json.dumps(value, ensure_ascii=draws.random() < 0.5)
    return ("\n".join(lines) + "\n").encode(errors="surrogatepass"), f"line {row + 1}: {what}"
