"""Says an answer's code in words that monty knows, where that changes no meaning.

What is left out is never run or never looked at: imports that nothing but annotations
uses, and what stands below a test for `__main__`. What is rewritten means the same: the
base `object`, `del` of an item, a constant of `string`, a method of a built-in type as
a function, and the parts of CPython's library that `monty_library` has in plain Python.
And what monty takes for a list (a generator expression, `map`, `zip`, ...) is made the
iterator that it is.
"""

from __future__ import annotations

import ast
import importlib
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any

from orket.tasks.answer import parse_code
from orket.tasks.monty_library import (
    REPLACED_MODULES,
    has_function,
    has_method,
    name_of,
    source_of,
)

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
_KEY_METHODS = frozenset({"count", "find", "get", "index", "rfind"})
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
    rewriter = _Rewriter(tree, can_pop)
    tree = ast.fix_missing_locations(rewriter.visit(tree))
    # Twice: what a type variable used is used no more without it.
    for _ in range(2):
        _drop_unused(tree, set(_used_names(tree)))
    return source_of(rewriter.asked) + ast.unparse(ast.fix_missing_locations(tree))


def has_member(module: str, name: str) -> bool:
    """Whether CPython's module has this name; False for modules not known here."""
    if module not in HARMLESS:
        return False
    found = importlib.import_module(module)
    return hasattr(found, name) or f"{module}.{name}" in HARMLESS


class _Rewriter(ast.NodeTransformer):
    """Rewrites what monty lacks, where the same can be said otherwise."""

    def __init__(self, tree: ast.AST, can_pop: bool) -> None:
        self._bound = bound = Counter(_bound_names(tree))
        self._can_pop = can_pop
        self._has_string = bound["string"] == 1
        self._modules = _once(_bound_modules(tree), bound)
        self._patterns = _once(_bound_patterns(tree), bound)
        self.asked: set[tuple[str, str]] = set()
        """Functions of the library that the code needs in plain Python."""

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
        if substituting := self._find_substitution(node):
            node = substituting
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _LAZY and not self._bound[name] and not self._bound["iter"]:
            return _call("iter", node)
        return node

    def visit_keyword(self, node: ast.keyword) -> Any:
        """A bound method of a name as a key: `max(d, key=d.get)`."""
        self.generic_visit(node)
        bound = node.value
        if (
            node.arg == "key"
            and self._can_pop
            and isinstance(bound, ast.Attribute)
            and isinstance(bound.value, ast.Name)
            and bound.attr in _KEY_METHODS
        ):
            item = "_orket_item"
            said = ast.Call(bound, [ast.Name(item, ast.Load())], [])
            node.value = ast.Lambda(_one_argument(item), said)
        return node

    def _find_substitution(self, node: ast.Call) -> ast.Call | None:
        """A call of `sub` whose replacement is no text: monty knows texts alone."""
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr != "sub":
            return None
        of, args = func.value, list(node.args)
        if isinstance(of, ast.Name) and self._modules.get(of.id) == "re":
            place = 1
        elif isinstance(of, ast.Name) and of.id in self._patterns:
            place = 0
            args.insert(0, of)
        else:
            return None
        if len(node.args) <= place or isinstance(
            node.args[place], ast.Constant | ast.JoinedStr | ast.Starred
        ):
            return None
        return ast.Call(self._ask("re", "sub"), args, node.keywords)

    def _ask(self, place: str, name: str) -> ast.Name:
        """The name of a function in plain Python, which is now needed."""
        self.asked.add((place, name))
        return ast.Name(name_of(place, name), ast.Load())

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
        """A constant of `string`, a function of the library, a method as a function."""
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            place, name = node.value.id, node.attr
            module = self._modules.get(place, "")
            if module in REPLACED_MODULES and has_function(module, name):
                return self._ask(module, name)
            if not self._bound[place] and has_method(place, name):
                return self._ask(place, name)
        if self._has_string and _is_name(node.value, "string"):
            value = _CONSTANTS.get(node.attr)
            if value is not None and isinstance(node.ctx, ast.Load):
                return ast.Constant(value)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """Constants of `string` and functions of the library by name."""
        said = [self._say_import(node, alias) for alias in node.names]
        if None in said:
            return node
        return [
            ast.Assign([ast.Name(alias.asname or alias.name, ast.Store())], value)
            for alias, value in zip(node.names, said, strict=True)
            if value is not None
        ]

    def _say_import(self, node: ast.ImportFrom, alias: ast.alias) -> ast.expr | None:
        """What an imported name stands for; None where monty has to import it."""
        module, name = node.module or "", alias.name
        if node.level:
            return None
        if module == "string" and name in _CONSTANTS:
            return ast.Constant(_CONSTANTS[name])
        if module in REPLACED_MODULES and has_function(module, name):
            return self._ask(module, name)
        return None


def _once(found: Iterator[tuple[str, str]], bound: Counter[str]) -> dict[str, str]:
    """What the names stand for that the code binds once, and to nothing else."""
    return {name: what for name, what in found if bound[name] == 1}


def _bound_modules(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names of whole modules, each with its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if "." not in alias.name:
                    yield alias.asname or alias.name, alias.name


def _bound_patterns(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names of compiled patterns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            is_compiled = ast.unparse(node.value.func) == "re.compile"
            names = [part for part in node.targets if isinstance(part, ast.Name)]
            yield from ((name.id, "pattern") for name in names if is_compiled)


def _one_argument(name: str) -> ast.arguments:
    return ast.arguments([], [ast.arg(name)], None, [], [], None, [])


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
