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
        ("a: 1\n'a ': 2\n", "line 2: the keys 'a', on line 1, and 'a ' are one name"),
        ("é: 1\nb: 1\ne\u0301: 2\n", r"line 3: the keys '\xe9', on line 1, and 'e\u0301' are one name"),
        ("a: {b: 1, b: 2}\n", "line 1: the key 'b' stands twice"),
        ("a: 1\n2: 3\n", "line 2: keys must be text; put quotes around '2'"),
        ("a: 1\n---\nb: 1\n", "line 2: not valid YAML"),
        ("a: !!python/object:os.system {}\n", "line 1: a: the tag '!!python/object:os.system' is not known here"),
        ("a: 1\nb: \x00\n", r"line 2: not valid YAML: it holds '\x00', a character that YAML has not"),
        ('a: ["x\\0"]\n', r"line 1: a[0]: 'x\x00' holds NUL"),
        ('"a\\ud800": 1\n', r"line 1: 'a\ud800' holds half of a surrogate pair"),
        ("a: {x: &b {y: *b}}\n", "line 1: a.x.y: an alias stands within what it is an alias of"),
        ("[" * 3000, "line 1: not valid YAML: nested too deeply"),
        ("a:\n  b: !!bool foo\n", "line 2: a.b: 'foo' is not what the tag !!bool says"),
        ("a: !!float x\n", "line 1: a: 'x' is not what the tag !!float says"),
        ("a: !!int\n", "line 1: a: '' is not what the tag !!int says"),
        ("a: !!int 1_000\n", "line 1: a: '1_000' is not what the tag !!int says"),
        ("a: !!null x\n", "line 1: a: 'x' is not what the tag !!null says"),
        ("a: !!timestamp foo\n", "line 1: a: the tag '!!timestamp' is not known here; write none, or where it fits"),
        ("a: !!set {b, c}\n", "line 1: a: the tag '!!set' is not known here"),
        ("a: !!binary x\n", "line 1: a: the tag '!!binary' is not known here"),
        ("a: [!mine 1]\n", "line 1: a[0]: the tag '!mine' is not known here"),
        ("a: !!map 1\n", "line 1: a: the tag '!!map' is not known here"),
        ("a: !!int {b: 1}\n", "line 1: a: the tag '!!int' is not known here"),
        ("a: {<<: {1: 2}}\n", "line 1: a: keys must be text; put quotes around '1'"),
        ("a: {<<: 1}\n", "line 1: a: '<<' must have a mapping, or a list of mappings"),
        ("a: {<<: [{b: 1}, 2]}\n", "line 1: a: '<<' must have a mapping, or a list of mappings"),
        (f"a: {'9' * 5000}\n", f"line 1: a: a whole number may have 100 digits; got '{'9' * 59}..."),
        (f"a: 0x{'f' * 5000}\n", "line 1: a: a whole number may have 100 digits; got '0xf"),
        ("a:\xa01\nb: 2\n", r"line 2: not valid YAML: mapping values are not allowed here; '\xa0' stands there (no-b"),
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


def test_tags_that_say_what_is_there_are_read() -> None:
    text = "a: !!int '7'\nb: !!float 7\nc: !!str 7\nd: !!bool TRUE\ne: !!null ''\nf: !!seq [!!map {g: .inf}]\n"
    assert parse(text).value == {"a": 7, "b": 7.0, "c": "7", "d": True, "e": None, "f": [{"g": float("inf")}]}


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


def test_keys_are_names_wherever_they_stand() -> None:
    document = parse('"a ": {"e\u0301": 1, list: [{" b": 2}]}\nc: {<<: {"d ": 3}, e: 4}\n')
    assert document.value == {"a": {"é": 1, "list": [{"b": 2}]}, "c": {"d": 3, "e": 4}}
    assert ("a", "list", 0, "b") in document.lines
