"""Checks of code answers: what the syntax tree says, and what the code does.

Names and shape are read from the syntax tree: the code is parsed, never run. Only a
sandbox runs code.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from typing import Any

from orket.tasks import checks as kinds
from orket.tasks.answer import Answer, parse_code, read_code
from orket.tasks.finding import FAILED, PASSED, UNSUPPORTED, Finding, verdict
from orket.tasks.sandbox import RAISED, STOPPED, VALUE, Outcome, Sandbox
from orket.tasks.sandbox import UNSUPPORTED as NOT_RUN

_BLOCKS = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.Match,
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def try_code(check: kinds.Check, answer: Answer, sandbox: Sandbox | None) -> Finding:
    """Try one check of a code answer."""
    code = read_code(answer)
    try:
        tree = parse_code(code)
    except ValueError as error:
        return Finding(FAILED, str(error))
    match check:
        case kinds.PythonDefines():
            return _try_defines(check, tree)
        case kinds.PythonRenamed():
            return _try_renamed(check, tree)
        case kinds.PythonShape():
            return _try_shape(check, tree)
    if sandbox is None:
        return Finding(UNSUPPORTED, "NO_SANDBOX")
    if isinstance(check, kinds.PythonEquivalent):
        return _try_equivalent(check, code, sandbox)
    assert isinstance(check, kinds.PythonCases)
    return _try_cases(check, code, sandbox)


def _try_defines(check: kinds.PythonDefines, tree: ast.Module) -> Finding:
    defined = set(find_definitions(tree.body))
    if not defined.issuperset(check.names):
        return Finding(FAILED, "NAME_MISSING")
    return verdict(defined.isdisjoint(check.absent), "NAME_PRESENT")


def _try_renamed(check: kinds.PythonRenamed, tree: ast.Module) -> Finding:
    used = set(find_identifiers(tree))
    if check.old in used:
        return Finding(FAILED, "OLD_NAME_PRESENT")
    return verdict(check.new in used, "NEW_NAME_MISSING")


def _try_shape(check: kinds.PythonShape, tree: ast.Module) -> Finding:
    nodes = {type(node).__name__ for node in ast.walk(tree)}
    if not nodes.issuperset(check.requires):
        return Finding(FAILED, "SHAPE_MISSING")
    if not nodes.isdisjoint(check.forbids):
        return Finding(FAILED, "SHAPE_FORBIDDEN")
    if check.max_nesting is None:
        return Finding(PASSED)
    return verdict(find_nesting(tree) <= check.max_nesting, "NESTED_TOO_DEEPLY")


def find_definitions(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Names a body defines: functions, classes with their members, variables."""
    for node in body:
        if isinstance(node, _SCOPES):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from find_definitions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    yield prefix + part.id


def find_identifiers(tree: ast.AST) -> Iterator[str]:
    """Every identifier in the code; what stands in texts and comments is none."""
    for node in ast.walk(tree):
        for field in ("id", "name", "attr", "arg", "asname", "rest", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield from value.split(".")
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names


def find_nesting(tree: ast.AST) -> int:
    """Deepest nesting of blocks inside one function; an elif is no level."""
    deepest = 0
    # The parser allows at most 100 levels of indentation, but expressions nest
    # deeper: so no recursion.
    waiting: list[tuple[ast.AST, int, bool]] = [(tree, 0, False)]
    while waiting:
        node, depth, is_elif = waiting.pop()
        if isinstance(node, (*_SCOPES, ast.Lambda)):
            depth = 0
        elif isinstance(node, _BLOCKS) and not is_elif:
            depth += 1
            deepest = max(deepest, depth)
        for child in ast.iter_child_nodes(node):
            chained = (
                isinstance(node, ast.If)
                and isinstance(child, ast.If)
                and node.orelse == [child]
                and child.col_offset == node.col_offset
            )
            waiting.append((child, depth, chained))
    return deepest


def _try_cases(check: kinds.PythonCases, code: str, sandbox: Sandbox) -> Finding:
    outcomes = sandbox.run(code, [case.call for case in check.cases])
    expected = [
        Outcome(RAISED, error=(case.raises,))
        if case.raises is not None
        else Outcome(VALUE, ast.literal_eval(case.expected or "None"))
        for case in check.cases
    ]
    return _compare(outcomes, expected)


def _try_equivalent(
    check: kinds.PythonEquivalent, code: str, sandbox: Sandbox
) -> Finding:
    expected = sandbox.run(check.reference, check.calls)
    if any(outcome.kind not in (VALUE, RAISED) for outcome in expected):
        return Finding(UNSUPPORTED, "REFERENCE_NOT_RUN")
    return _compare(sandbox.run(code, check.calls), expected)


def _compare(outcomes: Sequence[Outcome], expected: Sequence[Outcome]) -> Finding:
    """Passed when every outcome is the expected one; a sure failure goes first."""
    right = [same_outcome(*pair) for pair in zip(outcomes, expected, strict=True)]
    detail: dict[str, Any] = {"cases": len(right), "cases_passed": sum(right)}
    wrong = [o for o, is_right in zip(outcomes, right, strict=True) if not is_right]
    failures = [outcome for outcome in wrong if outcome.kind != NOT_RUN]
    if failures:
        return Finding(FAILED, _reason(failures[0]), detail)
    if wrong:
        return Finding(UNSUPPORTED, "CHECK_UNSUPPORTED", {"lacks": wrong[0].reason})
    return Finding(PASSED, None, detail)


def _reason(outcome: Outcome) -> str:
    if outcome.kind == STOPPED:
        return outcome.reason or "STOPPED"
    return "CODE_RAISED" if outcome.kind == RAISED else "DIFFERENT_RESULT"


def same_outcome(found: Outcome, expected: Outcome) -> bool:
    """Whether a call did what it should."""
    if found.kind != expected.kind:
        return False
    if expected.kind == RAISED:
        return expected.error[0] in found.error
    return same_value(found.value, expected.value)


def same_value(found: Any, expected: Any) -> bool:
    """Equality of results: a list is no tuple, True is no 1, floats are near enough."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    if isinstance(expected, float) or isinstance(found, float):
        is_real = isinstance(found, int | float) and isinstance(expected, int | float)
        return is_real and _near(found, expected)
    for kind in (list, tuple):
        if isinstance(expected, kind):
            return (
                isinstance(found, kind)
                and len(found) == len(expected)
                and all(map(same_value, found, expected))
            )
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(same_value(found[key], value) for key, value in expected.items())
        )
    for plain in (int, str, bytes, complex, set | frozenset, type(None)):
        if isinstance(expected, plain):
            return isinstance(found, plain) and bool(found == expected)
    return False


def _near(found: float, expected: float) -> bool:
    try:
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:
        return False
