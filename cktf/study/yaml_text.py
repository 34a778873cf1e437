"""YAML with the plain values of version 1.2, without tags and repeated keys, and with the line of every key."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from cktf.errors import InputError, shown, visible
from cktf.study.paths import Location, spelled

_TAG = "tag:yaml.org,2002:"

# YAML 1.1, which PyYAML reads, takes 1e-4 for text, `on` for true, 010 for eight and 1:30 for ninety. A number of
# thousands of digits, which Python does not print, stays a text.
_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]{1,100}|0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own attribute

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse tags, so that all values are of kinds that JSON has too."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if tag := getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(problem=f"the tag {tag.replace(_TAG, '!!')}", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number; leading zeros are ignored."""
        return int(node.value, 0) if node.value[:2] in ("0o", "0x") else int(node.value)


_Loader.add_constructor(f"{_TAG}int", _Loader.construct_int)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write equal parts out in full."""
        return True


for _name, (_pattern, _first) in _PLAIN.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)

MOST_ENTRIES = 100_000
"""Largest number of keys and list entries of a text with all aliases and merge keys written out; aliases of aliases can
make billions out of ten lines."""


@dataclass(frozen=True)
class Document:
    """A parsed YAML text: its value, and the location of each key or list entry to its line, from 1."""

    value: Any
    lines: dict[Location, int]


def parse(text: str) -> Document:
    """Return the value and lines of a YAML text of one document.

    Raises:
        InputError: If it is no YAML, has a tag, a key that is there twice or is no text, or a character that no text
            may have; the message begins with the line.
    """
    lines: dict[Location, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        for number, (where, entry) in enumerate(_entries(node, (), frozenset())):
            lines[where] = entry.start_mark.line + 1
            if number > MOST_ENTRIES:
                raise InputError(f"line 1: has more than {MOST_ENTRIES:,} entries with all aliases written out")
        return Document(None if node is None else loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"line {mark.line + 1 if mark else 1}: not valid YAML: {visible(said)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        sign = ascii(text[error.position])
        raise InputError(f"line {line}: not valid YAML: it holds {sign}, a character that YAML has not") from None
    except RecursionError:
        raise InputError("line 1: not valid YAML: nested too deeply") from None


def _entries(node: yaml.Node | None, where: Location, above: frozenset[int]) -> Iterator[tuple[Location, yaml.Node]]:
    """Yield the location of each key and list entry with its node, and check them; merged keys come before own ones."""
    if id(node) in above:
        raise _refused(node, where, "an alias stands within what it is an alias of")
    above |= {id(node)}
    if isinstance(node, yaml.ScalarNode):
        # JSON, which is YAML, escapes a character beyond 16 bits as a pair of surrogates.
        node.value = node.value.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
        if re.search("[\0\ud800-\udfff]", node.value):
            raise _refused(node, where, f"{shown(node.value)} holds NUL, or half of a surrogate pair")
    elif isinstance(node, yaml.SequenceNode):
        for row, entry in enumerate(node.value):
            yield (*where, row), entry
            yield from _entries(entry, (*where, row), above)
    elif isinstance(node, yaml.MappingNode):
        own: dict[str, yaml.Node] = {}
        for key, value in sorted(node.value, key=lambda pair: pair[0].tag != f"{_TAG}merge"):
            if key.tag == f"{_TAG}merge":
                for part in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
                    yield (*where, "<<"), key
                    yield from _entries(part, where, above)
                continue
            if key.tag != f"{_TAG}str":
                raise _refused(key, where, f"keys must be text, in quotes where needed; got {shown(str(key.value))}")
            if key.value in own:
                line = own[key.value].start_mark.line + 1
                raise _refused(key, where, f"the key {shown(key.value)} stands twice, first on line {line}")
            own[key.value] = key
            yield (*where, key.value), key
            yield from _entries(key, where, above)
            yield from _entries(value, (*where, key.value), above)


def _refused(node: yaml.Node | None, where: Location, what: str) -> InputError:
    line = node.start_mark.line + 1 if node else 1
    return InputError(f"line {line}: {f'{spelled(where)}: ' if where else ''}{what}")


def dump(value: Any) -> str:
    """Return YAML that `parse` reads back to an equal value, with keys in order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def in_one_line(value: Any) -> str:
    """Return a value in YAML on one line."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text.removesuffix("\n").removesuffix("\n...")
