"""What is wrong with a study, in plain words: where it stands, the value, and what is allowed."""

import re
from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from cktf.errors import UserError, shown
from cktf.study.paths import Location, section_at, spelled, suggestion, types_at


class StudyError(UserError):
    """A study cannot be used as it is written; the text names file, line, key, value and what is allowed."""

    problems: Sequence[tuple[Location, str]] = ()
    """Location and message of each, where they are known one by one."""

    @classmethod
    def of(cls, problems: Sequence[tuple[Location, str]]) -> Self:
        """Return the error of these problems: one line each."""
        error = cls("\n".join(": ".join(filter(None, (spelled(where), said))) for where, said in problems))
        error.problems = problems
        return error


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
    all_details = error.errors(include_url=False)
    locations = [_without_tags(details, model) for details in all_details]
    for details, location in zip(all_details, locations, strict=True):
        if isinstance(details["input"], dict | list) and details["type"].endswith("_type"):
            depth = len(location)
            if any(len(other) > depth and other[:depth] == location for other in locations):
                continue  # the member of a union that a mapping is meant for says what is wrong within it
        message = _plain_words(details, location, model)
        if location in found:  # the members of a union complain one by one about the same value
            message = found[location] if message in found[location] else f"{found[location]}, or {message}"
        found[location] = message
    return list(found.items())


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
        case "value_error" | "assertion_error":
            if not isinstance(context["error"], UserError):
                raise context["error"]  # a fault of ours in a validator
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
