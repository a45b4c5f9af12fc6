"""Checks of code answers: what the syntax tree says, and what the code does.

Names and shape are read from the syntax tree: the code is parsed, never run. Only a
sandbox runs code.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from typing import Any

from orket.tasks import checks as kinds
from orket.tasks.answer import Answer, parse_code, read_code
from orket.tasks.finding import FAILED, PASSED, UNSUPPORTED, Finding, verdict
from orket.tasks.sandbox import RAISED, STOPPED, VALUE, Outcome, Sandbox
from orket.tasks.sandbox import UNSUPPORTED as NOT_RUN
from orket.tasks.values import OPAQUE, same_value

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
_NAME_ERRORS = ("NameError", "Exception", "BaseException")
_UNSEEN = frozenset(
    {
        "__builtins__",
        "__dict__",
        "__import__",
        "builtins",
        "eval",
        "exec",
        "globals",
        "importlib",
        "locals",
        "setattr",
        "sys",
        "vars",
    }
)
"""Names by which code can change its own module without writing so."""
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
    if isinstance(check, kinds.PythonEquivalent):
        return _try_equivalent(check, code, tree, sandbox)
    assert isinstance(check, kinds.PythonCases)
    return _try_cases(check, code, tree, sandbox)


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


def _try_cases(
    check: kinds.PythonCases, code: str, tree: ast.Module, sandbox: Sandbox | None
) -> Finding:
    expected = [
        Outcome(RAISED, error=(case.raises,))
        if case.raises is not None
        else Outcome(VALUE, ast.literal_eval(case.expected or "None"))
        for case in check.cases
    ]
    calls = [case.call for case in check.cases]
    if not may_be_right(tree, calls, expected):
        return Finding(FAILED, "NAME_MISSING")
    if sandbox is None:
        return Finding(UNSUPPORTED, "NO_SANDBOX")
    return _compare(run_code(sandbox, code, calls), expected)


def _try_equivalent(
    check: kinds.PythonEquivalent,
    code: str,
    tree: ast.Module,
    sandbox: Sandbox | None,
) -> Finding:
    # What the reference does not define either says nothing about the answer.
    known = set(find_module_names(parse_code(check.reference)))
    calls = [call for call in check.calls if find_needed_names(call) <= known]
    anything = [Outcome(VALUE)] * len(calls)
    if not may_be_right(tree, calls, anything):
        return Finding(FAILED, "NAME_MISSING")
    if sandbox is None:
        return Finding(UNSUPPORTED, "NO_SANDBOX")
    expected = run_code(sandbox, check.reference, check.calls)
    if any(_is_unclear(outcome) for outcome in expected):
        return Finding(UNSUPPORTED, "REFERENCE_NOT_RUN")
    return _compare(run_code(sandbox, code, check.calls), expected)


def _is_unclear(outcome: Outcome) -> bool:
    """Whether nothing can be compared with what a reference did."""
    if outcome.kind == VALUE:
        return outcome.value is OPAQUE
    return outcome.kind != RAISED


def run_code(sandbox: Sandbox, code: str, calls: Sequence[str]) -> list[Outcome]:
    """One outcome per call, whatever the sandbox does with foreign code."""
    try:
        return sandbox.run(code, calls)
    except BaseException as error:
        # A panic in Rust is no Exception; Ctrl-C is none either, and goes on.
        if not isinstance(error, Exception) and not _is_panic(error):
            raise
        reason = f"SANDBOX_FAILED: {type(error).__name__}"
        return [Outcome(NOT_RUN, reason=reason)] * len(calls)


def _is_panic(error: BaseException) -> bool:
    return type(error).__module__ == "pyo3_runtime"


def may_be_right(
    tree: ast.Module, calls: Sequence[str], expected: Sequence[Outcome]
) -> bool:
    """False where a call surely fails: the code defines no such name at all."""
    if _can_define_unseen(tree):
        return True
    known = set(find_module_names(tree))
    return all(
        find_needed_names(call) <= known
        or (outcome.kind == RAISED and outcome.error[0] in _NAME_ERRORS)
        for call, outcome in zip(calls, expected, strict=True)
    )


def find_needed_names(call: str) -> set[str]:
    """Names that a call takes from the code it is made on."""
    nodes = list(ast.walk(ast.parse(call, mode="eval")))
    own = {n.id for n in nodes if isinstance(n, ast.Name) and _is_stored(n)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    read = {n.id for n in nodes if isinstance(n, ast.Name) and not _is_stored(n)}
    return {name for name in read - own if not hasattr(builtins, name)}


def _is_stored(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def find_module_names(tree: ast.Module) -> Iterator[str]:
    """Names that a module may have once it has run; rather too many than too few."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _SCOPES):
            yield node.name
            continue
        if isinstance(node, ast.Name) and _is_stored(node):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        for field in ("name", "rest"):
            if isinstance(value := getattr(node, field, None), str):
                yield value
        waiting += ast.iter_child_nodes(node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names


def _can_define_unseen(tree: ast.Module) -> bool:
    """Whether the code could give its module names that are not written in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and node.name in ("*", *_UNSEEN):
            return True
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        if name in _UNSEEN:
            return True
    return False


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
