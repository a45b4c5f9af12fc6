"""What is imported is declared, what is declared is imported, nothing lies idle."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import orket
from tests.places import ROOT

PACKAGE = Path(orket.__file__).parent
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
DECLARED = tomllib.loads(PROJECT)["project"]

MODULE_OF = {
    "backports.zstd": "backports",
    "nvidia-ml-py": "pynvml",
    "pydantic-core": "pydantic_core",
    "pydantic-monty": "pydantic_monty",
    "vl-convert-python": "vl_convert",
}
"""Distribution -> module, where the two are spelled differently."""
BY_NAME = {"backports", "pynvml"}
"""Modules that are imported by name at run time."""
EXTRAS = ("embedded", "report", "sandbox", "nvidia")
"""Extras that the package itself imports; the others are for notebooks and tests."""


def module_of(requirement: str) -> str:
    name = re.split(r"[\s<>=!~\[;]", requirement, maxsplit=1)[0]
    return MODULE_OF.get(name, name.replace("-", "_"))


CORE = {module_of(line) for line in DECLARED["dependencies"]}
OPTIONAL = {
    module_of(line)
    for extra in EXTRAS
    for line in DECLARED["optional-dependencies"][extra]
}


def third_party(path: Path) -> Iterator[tuple[str, bool]]:
    """Imported module, and whether the import waits: in a function, or for a type."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) or _is_for_types(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "orket":
                yield top, node in inside


def _is_for_types(node: ast.AST) -> bool:
    """Whether it is `if TYPE_CHECKING:`, which no run ever enters."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


IMPORTS = [
    (path, name, is_lazy)
    for path in sorted(PACKAGE.rglob("*.py"))
    for name, is_lazy in third_party(path)
]


def test_every_import_is_declared():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, name, _ in IMPORTS
        if name not in CORE | OPTIONAL
    ]
    assert wrong == []


def test_every_dependency_is_imported():
    assert {name for _, name, _ in IMPORTS} | BY_NAME == CORE | OPTIONAL


def test_an_extra_is_imported_only_where_it_is_asked_for():
    eager = {
        path.name for path, name, is_lazy in IMPORTS if name in OPTIONAL and not is_lazy
    }
    assert eager == set()


def test_every_dependency_says_what_it_is_for():
    block = PROJECT[PROJECT.index("dependencies = [") :].partition("]")[0]
    lines = [line.strip() for line in block.splitlines()[1:] if line.strip()]
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if line.startswith('"') and not before.startswith("#")
    ]
    assert bare == []


SOURCES = {
    path: path.read_text(encoding="utf-8")
    for folder in ("orket", "benchmarks", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
WORDS = {path: re.findall(r"\w+", text) for path, text in SOURCES.items()}
CALLED_BY_DECORATION = {"command", "group"}
"""A function so decorated is a verb: the table of verbs or its group calls it."""


def definitions() -> Iterator[tuple[Path, str]]:
    for path, text in SOURCES.items():
        if PACKAGE not in path.parents:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign):
                targets = [name for name in node.targets if isinstance(name, ast.Name)]
                yield from ((path, name.id) for name in targets)
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            decorators = {
                part.attr
                for decorator in node.decorator_list
                for part in ast.walk(decorator)
                if isinstance(part, ast.Attribute)
            }
            if not node.name.startswith("__") and not decorators & CALLED_BY_DECORATION:
                yield path, node.name


def test_nothing_is_defined_that_nobody_uses():
    """Tests do not count: what only a test calls serves nobody."""
    spelled: dict[str, int] = {}
    for words in WORDS.values():
        for word in words:
            spelled[word] = spelled.get(word, 0) + 1
    idle = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in definitions()
        if spelled[name] < 2
    ]
    assert idle == []
