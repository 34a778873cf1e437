"""YAML with the plain values of version 1.2, without repeated keys, and with the line of every key."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import yaml

from cktf.errors import InputError, shown, visible
from cktf.names import as_name
from cktf.study.paths import Location, spelled

_TAG = "tag:yaml.org,2002:"

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


for _name, (_pattern, _first) in _PLAIN.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _first)

MOST_ENTRIES = 100_000
"""Largest number of keys and list entries of a text with all aliases and merge keys written out; aliases of aliases can
make billions out of ten lines."""

MOST_DIGITS = 100
"""Largest number of digits of a whole number; Python does not print one of thousands."""


@dataclass(frozen=True)
class Document:
    """A parsed YAML text.

    Attributes:
        value: The value.
        lines: Location of a key or list entry to its line, from 1.
    """

    value: Any
    lines: dict[Location, int]


def parse(text: str) -> Document:
    """Return the value and lines of a YAML text of one document.

    Raises:
        InputError: If it is no YAML, has an unknown tag or an invalid value, or a key is there twice or is no text; the
            message begins with the line.
    """
    try:
        node = _Loader(text).get_single_node()
        reader = _Reader()
        return Document(None if node is None else reader.value(node, ()), reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"line {line}: not valid YAML: {visible(said)}{_odd_blank(text, line)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        sign = ascii(text[error.position])
        raise InputError(f"line {line}: not valid YAML: it holds {sign}, a character that YAML has not") from None
    except RecursionError:
        raise InputError("line 1: not valid YAML: nested too deeply") from None


def dump(value: Any) -> str:
    """Return YAML that `parse` reads back to an equal value, with keys in order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Reader:
    """Converts the nodes of one document to its value, and collects `Document.lines`."""

    def __init__(self) -> None:
        self.lines: dict[Location, int] = {}
        self._entries = 0
        self._above: set[int] = set()

    def value(self, node: yaml.Node, where: Location) -> Any:
        """Return the value of the node at a location."""
        if id(node) in self._above:
            raise _refused(node, where, "an alias stands within what it is an alias of")
        self._above.add(id(node))
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.ScalarNode):
            value: Any = _scalar(node, where, kind)
        elif isinstance(node, yaml.MappingNode) and kind == "map":
            value = self._mapping(node, where)
        elif isinstance(node, yaml.SequenceNode) and kind == "seq":
            value = [self._entry(entry, entry, (*where, row)) for row, entry in enumerate(node.value)]
        else:
            raise _unknown_tag(node, where)
        self._above.discard(id(node))
        return value

    def _entry(self, marked: yaml.Node, node: yaml.Node, where: Location) -> Any:
        self._count()
        self.lines[where] = marked.start_mark.line + 1
        return self.value(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Location) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged |= self._merged(value, where)
        seen: dict[str, tuple[str, int]] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                continue
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
                hint = f"; put quotes around {shown(key.value)}" if isinstance(key, yaml.ScalarNode) else ""
                raise _refused(key, where, f"keys must be text{hint}")
            name = as_name(_characters(key, where))
            if name in seen:
                first, its_line = seen[name]
                if first == key.value:
                    raise InputError(f"line {line}: the key {shown(name)} stands twice, first on line {its_line}")
                raise InputError(
                    f"line {line}: the keys {first!a}, on line {its_line}, and {key.value!a} are one name, for blanks "
                    "around it and how its accents are encoded do not count"
                )
            seen[name] = key.value, line
            own[name] = self._entry(key, value, (*where, name))
        return {**merged, **own}

    def _merged(self, node: yaml.Node, where: Location) -> dict[str, Any]:
        """Return the mapping of a merge key; in a list of mappings the first that has a key decides."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(part, yaml.MappingNode) for part in parts):
            raise _refused(node, where, "'<<' must have a mapping, or a list of mappings")
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            self._count()  # a mapping without keys takes time too
            merged |= self.value(part, where)
        return merged

    def _count(self) -> None:
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise InputError(f"line 1: has more than {MOST_ENTRIES:,} entries with all aliases written out")


def _scalar(node: yaml.ScalarNode, where: Location, kind: str) -> Any:
    """Return the value of a scalar whose tag or form is of a kind."""
    text = _characters(node, where)
    if kind == "str" or (kind == "merge" and node.style is None):
        return text
    kinds = ("int", "float") if kind == "float" else (kind,)
    if kind not in _PLAIN or kind == "merge":
        raise _unknown_tag(node, where)
    if not any(re.fullmatch(_PLAIN[each][0], text) for each in kinds):
        raise _refused(node, where, f"{shown(text)} is not what the tag !!{kind} says")
    if kind == "int":
        if len(text) > MOST_DIGITS:
            raise _refused(node, where, f"a whole number may have {MOST_DIGITS} digits; got {shown(text)}")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if kind == "float":
        return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return None if kind == "null" else text.lower() == "true"


def _characters(node: yaml.ScalarNode, where: Location) -> str:
    """Return a scalar's text, with each surrogate pair (as in JSON) as one character."""
    text: str = node.value
    if text.isascii():
        joined = text
    else:
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    wrong = next((sign for sign in joined if sign == "\0" or "\ud800" <= sign <= "\udfff"), None)
    if wrong is not None:
        what = "NUL" if wrong == "\0" else "half of a surrogate pair, which is no character"
        raise _refused(node, where, f"{shown(joined)} holds {what}")
    return joined


def _refused(node: yaml.Node, where: Location, what: str) -> InputError:
    """Return the exception for a node at a location."""
    place = f"{spelled(where)}: " if where else ""
    return InputError(f"line {node.start_mark.line + 1}: {place}{what}")


def _unknown_tag(node: yaml.Node, where: Location) -> InputError:
    tag = node.tag.replace(_TAG, "!!")
    known = ", ".join(f"!!{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map"))
    return _refused(node, where, f"the tag {shown(tag)} is not known here; write none, or where it fits one of {known}")


def _odd_blank(text: str, line: int) -> str:
    """Return a remark on an invisible character on a line, or the one before it, that is no blank in YAML."""
    for row in text.split("\n")[max(0, line - 2) : line]:
        for sign in row:
            if not sign.isascii() and not sign.isprintable():
                name = unicodedata.name(sign, "a control character").lower()
                return f"; {sign!a} stands there ({name}), which is no blank to YAML"
    return ""


def in_one_line(value: Any) -> str:
    """Return a value in YAML on one line."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text.removesuffix("\n").removesuffix("\n...")
