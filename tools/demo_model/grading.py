"""Check an answer against the checks of the task bank.

Small on purpose and independent of the package: the gates of the model must not
move when the package's own judge does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

TYPES = {"object": dict, "array": list, "string": str, "integer": int}


def passes_all(answer: str, checks: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether an answer meets every check of a task."""
    return all(passes(answer, check) for check in checks)


def passes(answer: str, check: Mapping[str, Any]) -> bool:
    """Tell whether an answer meets one check."""
    expected = check["expected"]
    match check["kind"]:
        case "exact":
            return answer.strip() == str(expected).strip()
        case "contains":
            return str(expected) in answer
        case "regex":
            return re.search(expected, answer) is not None
        case "numeric":
            return near(answer, expected, check.get("tolerance", 0.0))
        case "json_equal":
            return parsed(answer) == (json.loads(expected),)
        case "json_schema":
            value = parsed(answer)
            return bool(value) and fits(value[0], json.loads(expected))
        case kind:
            raise ValueError(f"unknown kind of check: {kind}")


def near(answer: str, expected: float, tolerance: float) -> bool:
    """Compare an answer that must be nothing but a number."""
    try:
        return abs(float(answer) - expected) <= tolerance
    except ValueError:
        return False


def parsed(answer: str) -> tuple[Any, ...]:
    """Return the JSON value in a tuple, which is empty for text that is not JSON."""
    try:
        return (json.loads(answer),)
    except ValueError:
        return ()


def fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Check the few schema words that the bank uses."""
    if not isinstance(value, TYPES[schema["type"]]):
        return False
    if isinstance(value, list):
        return all(fits(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        inner = schema["properties"].items()
        present = all(key in value for key in schema["required"])
        return present and all(fits(value[key], part) for key, part in inner)
    return True
