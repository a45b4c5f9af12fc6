"""Says an answer's code in words that monty knows, where that changes no meaning.

What is left out is never run or never looked at: imports that nothing but annotations
uses, and what stands below a test for `__main__`. What is rewritten means the same: the
base `object`, `del` of an item, a constant of `string`. And what monty takes for a list
(a generator expression, `map`, `zip`, ...) is made the iterator that it is.
"""

from __future__ import annotations

import ast
import importlib
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any

from orket.tasks.answer import parse_code

HARMLESS = frozenset((
    "__future__", "abc", "array", "ast", "base64", "bisect", "builtins", "calendar",
    "cmath", "collections", "collections.abc", "contextlib", "copy", "csv",
    "dataclasses", "datetime", "decimal", "enum", "fractions", "functools",
    "hashlib", "heapq", "inspect", "io", "itertools", "json", "logging", "math",
    "numbers", "operator", "os", "os.path", "pathlib", "pprint", "queue", "random",
    "re", "statistics", "string", "struct", "sys", "textwrap", "time", "timeit",
    "traceback", "types", "typing", "unicodedata", "unittest", "uuid", "warnings",
))  # fmt: skip
"""Modules of CPython that do nothing when they are imported."""

_LAZY = frozenset({"enumerate", "filter", "map", "reversed", "zip"})
_CONSTANTS = {
    name: value
    for name, value in vars(string).items()
    if isinstance(value, str) and not name.startswith("_")
}


def adapt_code(code: str) -> str:
    """The code for monty. Raises ValueError where CPython cannot parse it."""
    # A second parse: the first one's tree is shared, and this one is changed.
    tree = ast.parse(ast.unparse(parse_code(code)))
    # A class may hear `del`, and a deque has no pop of a place.
    can_pop = "class " not in code and "deque" not in code
    rewriter = _Rewriter(Counter(_bound_names(tree)), can_pop)
    tree = ast.fix_missing_locations(rewriter.visit(tree))
    # Twice: what a type variable used is used no more without it.
    for _ in range(2):
        _drop_unused(tree, set(_used_names(tree)))
    return ast.unparse(ast.fix_missing_locations(tree))


def has_member(module: str, name: str) -> bool:
    """Whether CPython's module has this name; False for modules not known here."""
    if module not in HARMLESS:
        return False
    found = importlib.import_module(module)
    return hasattr(found, name) or f"{module}.{name}" in HARMLESS


class _Rewriter(ast.NodeTransformer):
    """Rewrites what monty lacks, where the same can be said otherwise."""

    def __init__(self, bound: Counter[str], can_pop: bool) -> None:
        self._bound = bound
        self._can_pop = can_pop
        self._has_string = bound["string"] == 1

    def visit_If(self, node: ast.If) -> Any:
        """What is only for the command line is never run."""
        if ast.unparse(node.test) in (
            "__name__ == '__main__'",
            "'__main__' == __name__",
        ):
            return [self.visit(part) for part in node.orelse] or ast.Pass()
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """Every class is an object."""
        if not self._bound["object"]:
            node.bases = [base for base in node.bases if not _is_name(base, "object")]
        return self.generic_visit(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> Any:
        """An iterator, and no list."""
        self.generic_visit(node)
        if self._bound["iter"] or any(part.is_async for part in node.generators):
            return node
        return _call("iter", ast.ListComp(node.elt, node.generators))

    def visit_Call(self, node: ast.Call) -> Any:
        """The same for the built-ins that give iterators."""
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _LAZY and not self._bound[name] and not self._bound["iter"]:
            return _call("iter", node)
        return node

    def visit_Delete(self, node: ast.Delete) -> Any:
        """`del x[i]` is `x.pop(i)`, and `del x[a:b]` is `x[a:b] = []`."""
        self.generic_visit(node)
        if not self._can_pop:
            return node
        done: list[ast.stmt] = []
        for target in node.targets:
            if not isinstance(target, ast.Subscript):
                return node
            if not isinstance(target.slice, ast.Slice):
                pop = ast.Attribute(target.value, "pop", ast.Load())
                done.append(ast.Expr(ast.Call(pop, [target.slice], [])))
            elif target.slice.step is None:
                place = ast.Subscript(target.value, target.slice, ast.Store())
                done.append(ast.Assign([place], ast.List([], ast.Load())))
            else:
                return node
        return done

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """A constant of the module `string`."""
        self.generic_visit(node)
        if self._has_string and _is_name(node.value, "string"):
            value = _CONSTANTS.get(node.attr)
            if value is not None and isinstance(node.ctx, ast.Load):
                return ast.Constant(value)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """Constants of the module `string` by name."""
        if node.module != "string" or node.level:
            return node
        if not all(alias.name in _CONSTANTS for alias in node.names):
            return node
        return [
            ast.Assign(
                [ast.Name(alias.asname or alias.name, ast.Store())],
                ast.Constant(_CONSTANTS[alias.name]),
            )
            for alias in node.names
        ]


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _call(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


def _bound_names(tree: ast.AST) -> Iterator[str]:
    """Names that the code gives a meaning of its own, anywhere."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg(arg=name):
                yield name
            case ast.alias():
                yield (node.asname or node.name).partition(".")[0]
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name


def _used_names(tree: ast.AST) -> Iterator[str]:
    """Names that are read when the code runs: monty reads no annotation."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Store):
                yield node.id
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns"):
                parts = value if isinstance(value, list) else [value]
                waiting += [part for part in parts if isinstance(part, ast.AST)]


def _drop_unused(tree: ast.AST, used: set[str]) -> None:
    """Leave out imports from CPython's library, and type variables, never used."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                kept = [part for part in body if not _is_unused(part, used)]
                body[:] = kept or ([ast.Pass()] if body else [])


def _is_unused(node: ast.AST, used: set[str]) -> bool:
    """Whether a statement binds only names that nothing uses; narrows an import."""
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        # A type variable that nothing but annotations uses.
        target = node.targets[0]
        is_variable = _is_name(node.value.func, "TypeVar")
        return is_variable and isinstance(target, ast.Name) and target.id not in used
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        module = node.module or ""
        node.names = [
            alias
            for alias in node.names
            if (alias.asname or alias.name) in used
            or alias.name == "*"
            or not has_member(module, alias.name)
        ]
        return not node.names
    if isinstance(node, ast.Import):
        node.names = [
            alias
            for alias in node.names
            if (alias.asname or alias.name.partition(".")[0]) in used
            or alias.name not in HARMLESS
        ]
        return not node.names
    return False
