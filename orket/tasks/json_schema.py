"""JSON Schema 2020-12 with two doors shut: no remote references, no slow patterns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator, extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from orket.tasks.checks import is_found


def _match_pattern(
    validator: Any, pattern: str, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not is_found(pattern, instance):
        yield ValidationError(f"does not match {pattern!r}")


def _match_unique(
    validator: Any, unique: bool, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    # The library compares each with each: an answer could make that take hours.
    if unique and isinstance(instance, list):
        keys = [_key(item) for item in instance]
        if len(set(keys)) != len(keys):
            yield ValidationError("has items that are equal")


def _key(value: Any) -> Any:
    """Equal for equal JSON values: 1 is 1.0, true is no 1."""
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return (list, *map(_key, value))
    if isinstance(value, dict):
        return frozenset((name, _key(inner)) for name, inner in value.items())
    return value


def _follow(
    validator: Any, reference: str, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    _steps_left.set(_steps_left.get() - 1)
    if _steps_left.get() < 0:
        raise _TooLong
    yield from _REFERENCE(validator, reference, instance, schema)


class _TooLong(Exception):
    """A schema that refers to itself more often than any answer needs."""


_MAX_STEPS = 20_000
_steps_left: ContextVar[int] = ContextVar("steps_left", default=_MAX_STEPS)
_REFERENCE = Draft202012Validator.VALIDATORS["$ref"]
_Validator = extend(
    Draft202012Validator,
    {"pattern": _match_pattern, "uniqueItems": _match_unique, "$ref": _follow},
)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    """A validator that never fetches anything."""
    empty: Registry[Any] = Registry()
    return _Validator(json.loads(schema), registry=empty)


def fits_schema(schema: str, value: Any) -> bool:
    """Whether the schema allows the value; a schema that never ends allows nothing.

    Nor does it allow a number that is too large to be compared.
    """
    _steps_left.set(_MAX_STEPS)
    try:
        return bool(_validator(schema).is_valid(value))
    except (RecursionError, OverflowError, Unresolvable, _TooLong):
        return False
