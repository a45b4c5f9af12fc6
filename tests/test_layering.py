"""Imports point downward only: the picture in docs/architecture.md stays true."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import orket

PACKAGE = Path(orket.__file__).parent

FLOORS = {
    "cli": 4,
    "exports": 4,
    "sweep": 3,
    "ingest": 3,
    "baselines": 3,
    "providers": 2,
    "tasks": 2,
    "machine": 2,
    "sidecars": 2,
    "mockserver": 2,
    "records": 1,
    "warehouse": 1,
    "quants": 1,
    "identity": 1,
    "errors": 1,
    "resources": 1,
}

SIDEWAYS = {
    ("cli", "exports"),  # a verb prints what an exporter rendered
    ("providers", "machine"),  # an engine that Orket starts is pinned and observed
}
"""Imports on one floor that are allowed; floor 1 is one ground."""

OWNERS = {
    "httpx": {"providers"},
    "duckdb": {"warehouse"},
    "pyarrow": {"warehouse"},
    "rich": {"cli"},
    "click": {"cli"},
}
"""Library -> the rooms that may import it."""

PUBLIC = (PACKAGE / "__init__.py", PACKAGE / "__main__.py")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path not in PUBLIC)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of all imports, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module
            if node.module == "orket":
                yield from (f"orket.{name.name}" for name in node.names)
            else:
                yield node.module


IMPORTS = [(path, name) for path in MODULES for name in imports_of(path)]


def is_downward(room: str, target: str) -> bool:
    same_ground = FLOORS[room] == FLOORS[target] == 1
    return same_ground or FLOORS[target] < FLOORS[room]


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} <= set(FLOORS)


def test_imports_point_downward():
    wrong = []
    for path, name in IMPORTS:
        top, _, rest = name.partition(".")
        room, target = room_of(path), rest.partition(".")[0]
        if top != "orket" or target in (room, "__version__"):
            continue
        if not is_downward(room, target) and (room, target) not in SIDEWAYS:
            wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_libraries_stay_in_their_rooms():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path, name in IMPORTS
        if room_of(path) not in OWNERS.get(name.partition(".")[0], {room_of(path)})
    ]
    assert wrong == []


def test_the_package_never_imports_what_made_it():
    outside = {"tools", "tests", "benchmarks"}
    assert not [name for _, name in IMPORTS if name.partition(".")[0] in outside]
