"""What is wrong with a study, in plain words: where it stands, the value, and what is allowed."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from cktf.errors import UserError
from cktf.study.paths import section_at, suggestion, types_at

LONGEST_VALUE = 60
"""Characters of a wrong value that are shown."""

Location = tuple[str | int, ...]


class StudyError(UserError):
    """A study cannot be used as it is written; the text names file, line, key, value and what is allowed."""


def problem(location: Location, message: str) -> InitErrorDetails:
    """Return one problem in the form that pydantic collects, so that all are reported together."""
    # The text is passed as a value, for braces in it would be taken for placeholders.
    kind = PydanticCustomError("study", "{message}", {"message": message})
    return InitErrorDetails(type=kind, loc=location, input=None)


def refusal(problems: Sequence[InitErrorDetails]) -> ValidationError:
    """Return the exception that carries these problems out of a validator."""
    return ValidationError.from_exception_data("study", list(problems))


def explain(error: ValidationError, model: type[BaseModel]) -> list[tuple[Location, str]]:
    """Return location and message of each problem that pydantic found in a model's input."""
    found: dict[Location, str] = {}
    for details in error.errors(include_url=False):
        location = _without_tags(details, model)
        message = _plain_words(details, location, model)
        if location in found:  # the members of a union complain one by one about the same value
            message = found[location] if message in found[location] else f"{found[location]}, or {message}"
        found[location] = message
    return list(found.items())


def spelled(location: Location) -> str:
    """Return a location as a person writes it: ``ablate.objective.cktf.theta[0]``."""
    words = (key if isinstance(key, int) or key.isprintable() else ascii(key) for key in location)
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in words)
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """Return a value nearly as it stands in YAML, shortened where it is long."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _without_tags(details: ErrorDetails, model: type[BaseModel]) -> Location:
    """Drop the names of union members that pydantic puts between a key and what stands below it."""
    *above, last = details["loc"] or ("",)
    kept: Location = ()
    for key in above:
        kept = (*kept, key) if _may_stand_at(kept, key, model) else kept
    is_key = details["type"] in ("extra_forbidden", "missing") or _may_stand_at(kept, last, model)
    return (*kept, last) if is_key else kept


def _may_stand_at(above: Location, key: int | str, model: type[BaseModel]) -> bool:
    members = types_at(above, model)
    # A mapping takes any key, so that it would also take the names of the union of which it is a member.
    tags = [m.__name__ if isinstance(m, type) else str(m).replace(" ", "") for m in members]
    return bool(types_at((*above, key), model)) and not (len(members) > 1 and key in tags)


def _plain_words(details: ErrorDetails, location: Location, model: type[BaseModel]) -> str:
    context = details.get("ctx", {})
    got = f"; got {shown(details['input'])}"
    match details["type"]:
        case "missing":
            return "is required, and missing"
        case "extra_forbidden":
            key, known = str(location[-1]), section_at(location[:-1], model)
            *sections, last = key.split(".")
            if sections and sections[0] in known:  # a path, as factors are named; here stand sections
                nested = "".join(f"{section}: {{" for section in sections)
                value = f"{last}: {shown(details['input'])}{'}' * len(sections)}"
                return f"is a path; write its sections one within the other: {nested}{value}"
            return f"unknown key{suggestion(key, known) or '.'} Known here: {', '.join(known)}"
        case "value_error":
            return str(context["error"])
        case "greater_than":
            return f"must be greater than {context['gt']:.10g}{got}"
        case "greater_than_equal":
            return f"must be {context['ge']:.10g} or more{got}"
        case "less_than":
            return f"must be less than {context['lt']:.10g}{got}"
        case "less_than_equal":
            return f"must be {context['le']:.10g} or less{got}"
        case "literal_error" | "enum":
            allowed = re.findall(r"'([^']*)'", context["expected"])
            return f"must be one of {', '.join(allowed)}{got}{suggestion(str(details['input']), allowed)}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number{got}"
        case "int_parsing_size":
            return f"must be a smaller whole number{got}"
        case "string_pattern_mismatch":
            return f"must match the pattern {context['pattern']}{got}"
        case "float_type" | "float_parsing" | "finite_number":
            return f"must be a finite number{got}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false{got}"
        case "string_type":
            return f"must be text{got}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping of keys to values{got}"
        case "list_type" | "tuple_type":
            return f"must be a list{got}"
        case "too_short":
            return f"must have {context['min_length']} or more entries{got}"
        case "too_long":
            return f"must have {context['max_length']} or fewer entries{got}"
        case "study":
            return details["msg"]
        case _:
            return f"{details['msg'][0].lower()}{details['msg'][1:]}{got}"
