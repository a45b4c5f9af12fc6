"""What a task can ask of its answer: the kinds of check as they stand in a bank.

The field names here are the keys a task bank uses. A kind whose content is itself a
language (a pattern, JSON, a JSON Schema, a Python call) is proven when the bank is
loaded, so that a check can later fail on an answer but never on itself.
"""

from __future__ import annotations

import ast
import json
import math
from functools import lru_cache
from typing import Any, ClassVar

import msgspec

from orket.tasks.answer import parse_code

_UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
"""What Python's own reader raises on a text that it cannot read."""


class Check(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    # A field added later must not change the revision of a task that lacks it.
    omit_defaults=True,
    tag_field="kind",
):
    """One requirement on an answer."""

    needs_sandbox: ClassVar[bool] = False

    def prove(self) -> None:
        """Raise ValueError when the check itself cannot work."""


class Exact(Check, frozen=True, tag="exact"):
    """The whole answer is `expected`."""

    expected: str
    ignore_case: bool = False
    bare: bool = False
    """Quotes, emphasis and a full stop around the answer do not count."""


class Contains(Check, frozen=True, tag="contains"):
    """`expected` stands somewhere in the answer."""

    expected: str
    ignore_case: bool = False

    def prove(self) -> None:
        """An empty text is in every answer."""
        if not self.expected.strip():
            raise ValueError("`expected` is empty")


class Excludes(Check, frozen=True, tag="excludes"):
    """`expected` stands nowhere in the answer."""

    expected: str
    ignore_case: bool = False

    def prove(self) -> None:
        """An empty text is in every answer."""
        if not self.expected.strip():
            raise ValueError("`expected` is empty")


class Regex(Check, frozen=True, tag="regex"):
    """The pattern `expected` is found in the answer."""

    expected: str

    def prove(self) -> None:
        """Compile the pattern."""
        compile_pattern(self.expected)


class Numeric(Check, frozen=True, tag="numeric"):
    """A number of the answer is `expected`, within the tolerances."""

    expected: int | float
    tolerance: int | float = 0
    relative_tolerance: int | float = 0
    read: str = "last"
    """`last`: the last number of the answer; `whole`: the answer is the number."""

    def prove(self) -> None:
        """Numbers are finite and tolerances not negative."""
        for name in ("expected", "tolerance", "relative_tolerance"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"`{name}` is not a finite number")
        if self.tolerance < 0 or self.relative_tolerance < 0:
            raise ValueError("a tolerance is negative")
        if self.read not in ("last", "whole"):
            raise ValueError('`read` is neither "last" nor "whole"')


class JsonEqual(Check, frozen=True, tag="json_equal"):
    """The answer is JSON of the same value as the JSON text `expected`."""

    expected: str

    def prove(self) -> None:
        """Read the expected JSON."""
        read_bank_json(self.expected)


class JsonSchema(Check, frozen=True, tag="json_schema"):
    """The answer is JSON that the JSON Schema in the text `expected` allows."""

    expected: str

    def prove(self) -> None:
        """Read the schema and refuse what could hang or reach the network."""
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator

        schema = read_bank_json(self.expected)
        if not isinstance(schema, dict):
            raise ValueError("the JSON Schema is not an object")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            at = "/".join(str(part) for part in error.absolute_path) or "its top"
            raise ValueError(f"bad JSON Schema at {at}: {error.message}") from None
        prove_schema_parts(schema)


class Case(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """One call of the answer's code, and what must come back."""

    call: str
    """A Python expression."""
    expected: str | None = None
    """A Python literal."""
    raises: str | None = None
    """The name of the exception that must be raised instead."""

    def prove(self) -> None:
        """The call parses and the outcome is stated once."""
        prove_expression(self.call)
        if (self.expected is None) == (self.raises is None):
            raise ValueError("a case needs either `expected` or `raises`")
        if self.expected is not None:
            try:
                ast.literal_eval(self.expected)
            except _UNREADABLE:
                raise ValueError(
                    f"`expected` of the case {self.call!r} is not a Python literal"
                ) from None


class PythonCases(Check, frozen=True, tag="python_cases"):
    """The answer's code gives the right result in every case."""

    needs_sandbox: ClassVar[bool] = True
    cases: list[Case]

    def prove(self) -> None:
        """There are cases, and each can be run."""
        if not self.cases:
            raise ValueError("`cases` is empty")
        for case in self.cases:
            case.prove()


class PythonEquivalent(Check, frozen=True, tag="python_equivalent"):
    """The answer's code behaves like `reference` in every call."""

    needs_sandbox: ClassVar[bool] = True
    reference: str
    calls: list[str]

    def prove(self) -> None:
        """The reference and the calls parse."""
        try:
            parse_code(self.reference)
        except ValueError as error:
            raise ValueError(f"`reference` is not Python: {error}") from None
        if not self.calls:
            raise ValueError("`calls` is empty")
        for call in self.calls:
            prove_expression(call)


class PythonDefines(Check, frozen=True, tag="python_defines"):
    """The answer's code defines these names, and none of the absent ones."""

    names: list[str]
    """Functions, classes, methods as `Class.method`, module level variables."""
    absent: list[str] = []

    def prove(self) -> None:
        """There is something to look for."""
        if not self.names and not self.absent:
            raise ValueError("`names` and `absent` are both empty")


class PythonRenamed(Check, frozen=True, tag="python_renamed"):
    """In the answer's code the identifier `old` is gone and `new` is there."""

    old: str
    new: str

    def prove(self) -> None:
        """Both are identifiers, and they differ."""
        for name in (self.old, self.new):
            if not name.isidentifier():
                raise ValueError(f"{name!r} is not a Python identifier")
        if self.old == self.new:
            raise ValueError("`old` and `new` are the same name")


class PythonShape(Check, frozen=True, tag="python_shape"):
    """The answer's code has the required syntax nodes and none of the forbidden."""

    requires: list[str] = []
    """Names of `ast` node classes, such as `ListComp`."""
    forbids: list[str] = []
    max_nesting: int | None = None
    """Deepest nesting of if, for, while, with and try inside one function."""

    def prove(self) -> None:
        """Every name is an `ast` node class."""
        if not self.requires and not self.forbids and self.max_nesting is None:
            raise ValueError("`requires`, `forbids` and `max_nesting` are all missing")
        for name in (*self.requires, *self.forbids):
            node = getattr(ast, name, None)
            if not (isinstance(node, type) and issubclass(node, ast.AST)):
                raise ValueError(f"{name!r} is not a node class of Python's ast module")
        if self.max_nesting is not None and self.max_nesting < 0:
            raise ValueError("`max_nesting` is negative")


KINDS: dict[str, type[Check]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        Exact,
        Contains,
        Excludes,
        Regex,
        Numeric,
        JsonEqual,
        JsonSchema,
        PythonCases,
        PythonEquivalent,
        PythonDefines,
        PythonRenamed,
        PythonShape,
    )
}


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Any:
    """Compile for the linear-time engine: no answer can make a pattern hang.

    Raises ValueError on what that engine lacks: look-around and backreferences.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError as error:
        said = " ".join(str(error).split())
        reason = said.rpartition("error: ")[2].removeprefix("SchemaError: ")
        raise ValueError(f"bad pattern {pattern!r}: {reason}") from None


def is_found(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text."""
    return bool(compile_pattern(pattern).isinstance_python(text))


def read_bank_json(text: str) -> Any:
    """Read JSON of a task bank. Raises ValueError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"`expected` is not JSON: {error}") from None


def prove_expression(call: str) -> None:
    """Raise ValueError when `call` is not one Python expression."""
    try:
        ast.parse(call, mode="eval")
    except _UNREADABLE:
        raise ValueError(f"{call!r} is not a Python expression") from None


def prove_schema_parts(schema: Any) -> None:
    """Refuse remote references and patterns that the linear-time engine lacks."""
    if isinstance(schema, list):
        for part in schema:
            prove_schema_parts(part)
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key in ("$ref", "$dynamicRef") and not str(value).startswith("#"):
            raise ValueError(f"bad JSON Schema: {key} leaves the schema")
        if key == "patternProperties":
            raise ValueError("bad JSON Schema: patternProperties is not supported")
        if key == "pattern" and isinstance(value, str):
            compile_pattern(value)
        prove_schema_parts(value)
