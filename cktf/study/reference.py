"""The keys of a study file, each with its values, default and meaning, from the settings' own declarations."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from cktf.errors import InputError, shown
from cktf.names import BASELINE
from cktf.objectives import OBJECTIVES
from cktf.settings import Settings
from cktf.study.paths import suggestion
from cktf.study.spec import StudySpec
from cktf.study.yaml_text import in_one_line
from cktf.trainer.config import TrialConfig

BOUNDS = {
    "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
    "minItems": "entries at least", "maxItems": "entries at most",
}  # fmt: skip
"""Keyword of JSON schema to its words."""

TYPES = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list",
    "object": "mapping", "null": "null",
}  # fmt: skip
"""Type of JSON schema to what YAML's users call it."""


@dataclass(frozen=True)
class Key:
    """One key of a study file; ``path`` has the keys from the top of the file to it, joined by dots.

    ``values`` states its allowed values and bounds, ``default`` its value if it is left out, empty if it is required.
    """

    path: str
    values: str
    default: str
    meaning: str


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of study files, by which editors check and complete them."""
    schema = StudySpec.model_json_schema(schema_generator=SchemaOfFiles)
    trial = TrialConfig.model_json_schema(schema_generator=SchemaOfFiles)
    parts = schema["$defs"] | trial.pop("$defs")
    for part in (trial, *(parts[name] for name in parts if name.endswith("Config"))):
        part.pop("required", None)  # contexts may complete a section
    schema["properties"][BASELINE] |= {key: trial[key] for key in ("properties", "additionalProperties")}
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "$defs": parts, "required": [BASELINE]}


class SchemaOfFiles(GenerateJsonSchema):
    """Makes the JSON schema of study files: every key with its docstring as description."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:  # noqa: ARG002
        """Return a schema that allows anything, for a type that only code can check."""
        return {}

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Return the schema of a section, its keys with their docstrings.

        Pydantic would read these where a class is made, which takes every process half a second.
        """
        found = super().model_schema(schema)
        for base in reversed(schema["cls"].__mro__):
            for name, text in _docstrings(base).items() if issubclass(base, Settings) else ():
                if field := schema["cls"].model_fields.get(name):
                    found["properties"][field.alias or name]["description"] = text
        return found


def _docstrings(section: type[Settings]) -> dict[str, str]:
    """Return the docstrings of a class's fields; none if it has no source, as a class that pydantic made."""
    try:
        source = inspect.getsource(section)
    except (OSError, TypeError):
        return {}
    if source[0].isspace():  # a class within another one; lines of its texts may begin without a space
        source = f"if True:\n{source}"
    declared = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    found = {}
    for field, below in pairwise(declared.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


def keys() -> Iterator[Key]:
    """Yield every key of a study file, in the order of their declaration."""
    schema = json_schema()
    yield from _below(schema, schema["$defs"], "")


def explained(path: str) -> tuple[Key | None, list[Key]]:
    """Return a key, None for the file itself, and the keys one level below it; ``baseline.`` may be left out."""
    known = {key.path: key for key in keys()}
    found = next((at for at in (path, f"{BASELINE}.{path}") if at in known), "")
    if path and not found:
        raise InputError(f"{shown(path)}: a study has no such key{suggestion(path, known)}")
    return known.get(found), [key for at, key in known.items() if at.rpartition(".")[0] == found]


def _below(section: dict[str, Any], parts: dict[str, Any], above: str) -> Iterator[Key]:
    for name, given in section["properties"].items():
        members = list(_members(given, parts))
        words = list(dict.fromkeys(_words(member, parts) for member in members))
        default = in_one_line(given["default"]) if "default" in given else ""
        yield Key(above + name, " | ".join(words), default, " ".join(_meaning(name, [given, *members]).split()))
        for member in members:
            if "properties" in member:
                yield from _below(member, parts, f"{above}{name}.")


def _meaning(name: str, schemas: list[dict[str, Any]]) -> str:
    described = (schema["description"] for schema in schemas if "description" in schema)
    of_class = OBJECTIVES[name].__doc__ or "" if name in OBJECTIVES else ""  # an objective's section has its name
    return next(described, of_class.partition("\n\n")[0])


def _members(schema: dict[str, Any], parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives of a schema, with references resolved."""
    if "$ref" in schema:
        yield from _members(parts[schema["$ref"].rpartition("/")[2]], parts)
    elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
        for each in alternatives:
            yield from _members(each, parts)
    else:
        yield schema


def _words(schema: dict[str, Any], parts: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " | ".join(map(in_one_line, schema.get("enum", [schema.get("const")])))
    kind = TYPES.get(schema.get("type", ""), "anything")
    if "items" in schema:
        kind += " of " + " | ".join(_words(member, parts) for member in _members(schema["items"], parts))
    bounds = [f"{words} {in_one_line(schema[keyword])}" for keyword, words in BOUNDS.items() if keyword in schema]
    return ", ".join([kind, *bounds])
