"""YAML with 1.2's plain values, no key twice, and lines."""

from itertools import pairwise
from typing import Any

import pytest

from cktf.study.yaml_text import dump, in_one_line, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5E-4", 5e-4),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("0.1", 0.1),
        ("-3", -3),
        ("010", 10),
        ("0x10", 16),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("true", True),
        ("False", False),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("null", None),
        ("~", None),
        ("e4", "e4"),
        ("9" * 5000, "9" * 5000),
        ("1e-4x", "1e-4x"),
    ],
)
def test_plain_values_mean_what_they_look_like(text: str, value: Any) -> None:
    read = parse(f"key: {text}").value["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("value", [1e-4, 1e22, 5, True, None, "1e-4", "on", "true", "10", "null", "a: b", "# c", ""])
def test_what_is_dumped_reads_back(value: Any) -> None:
    read = parse(dump({"key": value, "list": [value, value]})).value
    assert read == {"key": value, "list": [value, value]}
    assert type(read["key"]) is type(value)


def test_every_key_and_entry_knows_its_line() -> None:
    lines = parse("# question\na:\n  b.c: [1,\n    2]\nd: 1\n").lines
    assert lines == {("a",): 2, ("a", "b.c"): 3, ("a", "b.c", 0): 3, ("a", "b.c", 1): 4, ("d",): 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1\n", "line 3: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice, first on line 1"),
        ("a: {b: 1, b: 2}\n", "line 1: a: the key 'b' stands twice"),
        ("a: 1\n2: 3\n", "line 2: keys must be text, in quotes where needed; got '2'"),
        ("a: 1\n---\nb: 1\n", "line 2: not valid YAML"),
        ("a: !!python/object:os.system {}\n", "line 1: not valid YAML: the tag !!python/object:os.system"),
        ("a: 1\nb: \x00\n", r"line 2: not valid YAML: it holds '\x00', a character that YAML has not"),
        ('a: ["x\\0"]\n', r"line 1: a[0]: 'x\x00' holds NUL"),
        ('"a\\ud800": 1\n', r"line 1: 'a\ud800' holds NUL, or half of a surrogate pair"),
        ("a: {x: &b {y: *b}}\n", "line 1: a.x.y: an alias stands within what it is an alias of"),
        ("[" * 3000, "line 1: not valid YAML: nested too deeply"),
        ("a:\n  b: !!bool true\n", "line 2: not valid YAML: the tag !!bool"),
        ("a: [!mine 1]\n", "line 1: not valid YAML: the tag !mine"),
        ("a: {<<: {1: 2}}\n", "line 1: a: keys must be text, in quotes where needed; got '1'"),
        ("a: {<<: 1}\n", "line 1: not valid YAML: while constructing a mapping, expected a mapping"),
        ("a: {<<: [{b: 1}, 2]}\n", "line 1: not valid YAML: while constructing a mapping, expected a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert str(error.value).startswith(message)


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory() -> None:
    tenfold = [f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]" for below, name in pairwise("abcdefghij")]
    with pytest.raises(ValueError, match="line 1: has more than 100,000 entries with all aliases written out"):
        parse("a: &a x\n" + "\n".join(tenfold))


@pytest.mark.parametrize("first", ["{x: 1}", "{}"])
def test_merge_keys_of_merge_keys_are_refused_likewise(first: str) -> None:
    tenfold = [f"{name}: &{name} {{<<: [{', '.join([f'*{below}'] * 10)}]}}" for below, name in pairwise("abcdefghij")]
    with pytest.raises(ValueError, match="line 1: has more than 100,000 entries"):
        parse(f"a: &a {first}\n" + "\n".join(tenfold))


def test_an_empty_text_is_nothing() -> None:
    assert parse("# a comment alone\n").value is None


def test_merge_keys_still_work() -> None:
    value = parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n").value
    assert value["b"] == {"x": 1, "y": 3}
    document = parse("a: {<<: [{x: 1, y: 2},\n {y: 3, z: 4}], z: 5}\n")
    assert document.value == {"a": {"x": 1, "y": 2, "z": 5}}
    assert (document.lines["a", "y"], document.lines["a", "z"]) == (1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (False, "false"),
        (0.5, "0.5"),
        ("last", "last"),
        ("0.5", "'0.5'"),
        ({"float": [0.02, 1.0], "log": True}, "{float: [0.02, 1.0], log: true}"),
    ],
)
def test_one_line_says_what_it_was_made_of(value: Any, text: str) -> None:
    assert in_one_line(value) == text
    assert parse(f"key: {text}").value == {"key": value}
