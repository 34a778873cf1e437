"""YAML as people mean it: version 1.2's plain values, no key twice, and the line of every key."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from cktf.errors import InputError
from cktf.names import as_name

# YAML 1.1, which PyYAML reads, takes 1e-4 for text, `on` for true, 010 for eight and 1:30 for ninety.
_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own attribute


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Write equal parts out in full."""
        return True


for _tag, (_pattern, _first) in _PLAIN.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)

MOST_ENTRIES = 100_000
"""Keys and list entries of one text, those behind aliases counted wherever they are used: aliases of aliases can make
billions out of ten lines."""


@dataclass(frozen=True)
class Document:
    """What a YAML text says.

    Attributes:
        value: The value.
        lines: Keys from the top to the line, from 1, on which the key or list entry stands.
    """

    value: Any
    lines: dict[tuple[str | int, ...], int]


def parse(text: str) -> Document:
    """Read a YAML text of one document.

    Raises:
        ValueError: If it is no YAML, or a key stands twice or is no text; the message begins with the line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(None, {})
        lines = dict(itertools.islice(_lines(node, ()), MOST_ENTRIES + 1))
        if len(lines) > MOST_ENTRIES:
            raise InputError(f"line 1: has more than {MOST_ENTRIES:,} entries with all aliases written out")
        _name_keys(node, set())
        return Document(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"line {mark.line + 1 if mark else 1}: not valid YAML: {said}") from None
    except yaml.YAMLError as error:
        raise InputError(f"line 1: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError("line 1: not valid YAML: nested too deeply, or an alias within itself") from None


def dump(value: Any) -> str:
    """Return YAML that `parse` reads back to an equal value, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _lines(node: yaml.Node, above: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield (*above, index), entry.start_mark.line + 1
            yield from _lines(entry, (*above, index))
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, tuple[str, int]] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                hint = f"; put quotes around {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
                raise InputError(f"line {line}: keys must be text{hint}")
            name = as_name(key.value)
            if name in seen:
                first, its_line = seen[name]
                if first == key.value:
                    raise InputError(f"line {line}: the key {name!r} stands twice, first on line {its_line}")
                raise InputError(
                    f"line {line}: the keys {first!a}, on line {its_line}, and {key.value!a} are one name, for blanks "
                    "around it and how its accents are encoded do not count"
                )
            seen[name] = key.value, line
            yield (*above, name), line
            yield from _lines(value, (*above, name))


def _name_keys(node: yaml.Node, seen: set[int]) -> None:
    """Write every key of a document as `as_name` has it; those of merged mappings too."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.value = as_name(key.value)
            _name_keys(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _name_keys(entry, seen)


def in_one_line(value: Any) -> str:
    """Return a value as it may stand behind a key of a study file."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text.removesuffix("\n").removesuffix("\n...")
