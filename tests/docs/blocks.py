"""The code blocks of README and docs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md"))]
LANGUAGES = {"": "commands", "yaml": "studies or parts of one", "python": "Python", "text": "nothing that is run"}

FENCE = re.compile(r"(?:^<!-- needs: ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        page: Its path in the repository.
        language: A key of `LANGUAGES`.
        text: What is between the fences.
        needs: What has to be there to run it, such as a cluster; empty if nothing.
    """

    page: str
    language: str
    text: str
    needs: str


def blocks(language: str, page: str = "") -> Iterator[Block]:
    """Yield the blocks of one language, of all pages or of one."""
    for path in [ROOT / page] if page else PAGES:
        name = str(path.relative_to(ROOT))
        for needs, found, text in FENCE.findall(path.read_text()):
            if found == language:
                yield Block(name, found, text, needs)
