"""The base of every object in `sweep_summary.json`."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of every object in the summary: unknown keys are kept, not refused."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        defer_build=True,
        protected_namespaces=(),
    )


@cache
def describe_parts() -> None:
    """Give each field of all parts the text beneath it in the source as description.

    For the schema and the docs. Not done when a class is made: reading sources takes
    longer than showing a sweep.
    """
    parts = list(_parts_below(Part))
    for part in parts:
        for kind in part.__mro__:
            for name, text in _texts_beneath(kind).items():
                field = part.model_fields.get(name)
                if field is not None and field.description is None:
                    field.description = text
    for part in parts:
        part.model_rebuild(force=True)


def _parts_below(part: type[Part]) -> Iterator[type[Part]]:
    for one in part.__subclasses__():
        yield one
        yield from _parts_below(one)


@cache
def _texts_beneath(kind: type) -> dict[str, str]:
    """Attribute -> the text that stands beneath it in the body of its class."""
    if not issubclass(kind, Part):
        return {}
    module = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    found = {}
    for node in module.body:
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            for one, after in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(one, ast.AnnAssign)
                    and isinstance(one.target, ast.Name)
                    and isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                    and isinstance(after.value.value, str)
                ):
                    found[one.target.id] = inspect.cleandoc(after.value.value)
    return found
