"""The problems of a study in plain words: place, value, and what is allowed."""

import re
from collections.abc import Callable, Sequence
from typing import Self

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from cktf.errors import UserError, shown
from cktf.study.paths import Location, section_at, spelled, suggestion, types_at


class StudyError(UserError):
    """A study cannot be used as it is written; the text names file, line, key, value and what is allowed."""

    problems: Sequence[tuple[Location, str]] = ()
    """Location and message of each problem; empty if only the text is known."""

    @classmethod
    def of(cls, problems: Sequence[tuple[Location, str]], place: Callable[[Location], str] = lambda _: "") -> Self:
        """Return the error of these problems: one line each, which begins with its `place` in a file."""
        lines = (filter(None, (place(where), spelled(where), said)) for where, said in problems)
        error = cls("\n".join(map(": ".join, lines)))
        error.problems = problems
        return error


UNION_TAG = "member"
"""Last word of each union member's tag, so that no tag is taken for a key, even where any key is allowed."""

WORDS = {
    "greater_than": "must be greater than {gt:.10g}",
    "greater_than_equal": "must be {ge:.10g} or more",
    "less_than": "must be less than {lt:.10g}",
    "less_than_equal": "must be {le:.10g} or less",
    "int_parsing_size": "must be a smaller whole number",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_type": "must be text",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "must be a finite number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be a mapping of keys to values"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
}
"""Pydantic's error type to the text that says what is allowed; braces name fields of the error's context."""


def refusal(*problems: tuple[Location, str]) -> ValidationError:
    """Return the exception that a validator raises for problems below it, each with its location and text."""
    # The text is passed as a value, because braces in it would be taken for placeholders.
    details = [
        InitErrorDetails(type=PydanticCustomError("study", "{message}", {"message": text}), loc=where, input=None)
        for where, text in problems
    ]
    return ValidationError.from_exception_data("study", details)


def explain(error: ValidationError, model: type[BaseModel]) -> list[tuple[Location, str]]:
    """Return location and message of each problem that pydantic found in a model's input."""
    found: dict[Location, str] = {}
    all_details = error.errors(include_url=False)
    locations = [_without_tags(details, model) for details in all_details]
    for details, location in zip(all_details, locations, strict=True):
        if isinstance(details["input"], dict | list) and details["type"].endswith("_type"):
            depth = len(location)
            if any(len(other) > depth and other[:depth] == location for other in locations):
                continue  # another member of the union takes a mapping and reports the problem within it
        message = _plain_words(details, location, model)
        if location in found:  # each member of a union reports the same value
            message = found[location] if message in found[location] else f"{found[location]}, or {message}"
        found[location] = message
    return list(found.items())


def _without_tags(details: ErrorDetails, model: type[BaseModel]) -> Location:
    """Return the location of an error without the names of union members that pydantic inserts."""
    *above, last = details["loc"] or ("",)
    kept: Location = ()
    for key in above:
        kept = (*kept, key) if _may_stand_at(kept, key, model) else kept
    is_key = details["type"] in ("extra_forbidden", "missing") or _may_stand_at(kept, last, model)
    return (*kept, last) if is_key else kept


def _may_stand_at(above: Location, key: int | str, model: type[BaseModel]) -> bool:
    if str(key).endswith(f" {UNION_TAG}"):
        return False
    members = types_at(above, model)
    # A mapping takes any key, so it would also take the names of members of its union.
    tags = [m.__name__ if isinstance(m, type) else str(m).replace(" ", "") for m in members]
    return bool(types_at((*above, key), model)) and not (len(members) > 1 and key in tags)


def _plain_words(details: ErrorDetails, location: Location, model: type[BaseModel]) -> str:
    kind, message, value = details["type"], details["msg"], details["input"]
    context = details.get("ctx", {})
    got = f"; got {shown(value)}"
    match kind:
        case "study":
            return message
        case "missing":
            return "is required, and missing"
        case "extra_forbidden":
            known = section_at(location[:-1], model)
            return f"unknown key{suggestion(str(location[-1]), known) or '.'} Known here: {', '.join(known)}"
        case "value_error" | "assertion_error":
            if not isinstance(context["error"], UserError):
                raise context["error"]  # a fault of this program in a validator
            return str(context["error"])
        case "literal_error" | "enum":
            literals = re.split(", | or ", context["expected"])  # 'a', 'b' or 'c'; 1, 3 or 5; True, in a file true
            allowed = [word.strip("'") if word.startswith("'") else word.lower() for word in literals]
            return f"must be one of {', '.join(allowed)}{got}{suggestion(str(value), allowed)}"
    words = WORDS[kind].format_map(context) if kind in WORDS else message[0].lower() + message[1:]
    return words + got
