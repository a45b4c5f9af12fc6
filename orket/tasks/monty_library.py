"""Parts of CPython's library that monty lacks, as plain Python in the same words.

Each function does what CPython's own does with the same arguments, errors and the order
of a heap included; `tests/tasks/test_monty_library.py` holds one against the other.
Functions of a module are asked for by (module, name), methods of built-in types that
stand for a function, such as `str.strip` in `map(str.strip, lines)`, by (type, name).
"""

from __future__ import annotations

import builtins
import types

_PREFIX = "_orket_"

_BINARY = {
    "add": "a + b", "sub": "a - b", "mul": "a * b", "truediv": "a / b",
    "floordiv": "a // b", "mod": "a % b", "pow": "a ** b", "lt": "a < b",
    "le": "a <= b", "eq": "a == b", "ne": "a != b", "gt": "a > b", "ge": "a >= b",
    "and_": "a & b", "or_": "a | b", "xor": "a ^ b", "lshift": "a << b",
    "rshift": "a >> b",
    "is_": "a is b", "is_not": "a is not b", "contains": "b in a", "getitem": "a[b]",
}  # fmt: skip
_UNARY = {
    "neg": "-a", "pos": "+a", "invert": "~a", "inv": "~a", "not_": "not a",
    "truth": "bool(a)", "abs": "abs(a)",
}  # fmt: skip

_ITEMGETTER = """
def {name}(item, /, *items):
    if not items:
        return lambda of, /: of[item]
    return lambda of, /: tuple([of[each] for each in (item, *items)])
"""
_ATTRGETTER = """
def {name}(attr, /, *attrs):
    def read(of, path):
        for part in path.split('.'):
            of = getattr(of, part)
        return of
    if not attrs:
        return lambda of, /: read(of, attr)
    return lambda of, /: tuple([read(of, each) for each in (attr, *attrs)])
"""

# A heap is a list: after each step its items stand where CPython leaves them.
_SIFTING = """
def _orket_sift_down(heap, start, place):
    item = heap[place]
    while place > start:
        above = (place - 1) >> 1
        if not item < heap[above]:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = item
def _orket_sift_up(heap, place):
    end, start, item = len(heap), place, heap[place]
    below = 2 * place + 1
    while below < end:
        right = below + 1
        if right < end and not heap[below] < heap[right]:
            below = right
        heap[place] = heap[below]
        place = below
        below = 2 * place + 1
    heap[place] = item
    _orket_sift_down(heap, start, place)
"""
_HEAPQ = {
    "heappush": """
def {name}(heap, item, /):
    heap.append(item)
    _orket_sift_down(heap, 0, len(heap) - 1)
""",
    "heappop": """
def {name}(heap, /):
    last = heap.pop()
    if not heap:
        return last
    least = heap[0]
    heap[0] = last
    _orket_sift_up(heap, 0)
    return least
""",
    "heapify": """
def {name}(heap, /):
    for place in range(len(heap) // 2 - 1, -1, -1):
        _orket_sift_up(heap, place)
""",
    "heapreplace": """
def {name}(heap, item, /):
    least = heap[0]
    heap[0] = item
    _orket_sift_up(heap, 0)
    return least
""",
    "heappushpop": """
def {name}(heap, item, /):
    if heap and heap[0] < item:
        least = heap[0]
        heap[0] = item
        _orket_sift_up(heap, 0)
        return least
    return item
""",
    "nlargest": """
def {name}(n, iterable, key=None):
    return sorted(iterable, key=key, reverse=True)[:max(n, 0)]
""",
    "nsmallest": """
def {name}(n, iterable, key=None):
    return sorted(iterable, key=key)[:max(n, 0)]
""",
}

_ISLEAP = """
def {name}(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
"""

# Of what a replacement gives, None counts as nothing.
_SUB = """
import re as _orket_re
def {name}(pattern, repl, string, count=0, flags=0):
    if isinstance(repl, str):
        return _orket_re.sub(pattern, repl, string, count=count, flags=flags)
    parts, last, done = [], 0, 0
    for found in _orket_re.finditer(pattern, string, flags):
        if count and done >= count:
            break
        done += 1
        parts.append(string[last:found.start()])
        said = repl(found)
        if said is not None:
            parts.append(said)
        last = found.end()
    parts.append(string[last:])
    return ''.join(parts)
"""

_METHOD = """
def {name}(self, /, *args, **kwargs):
    if not isinstance(self, {type}):
        raise TypeError("descriptor '{method}' requires another object")
    return self.{method}(*args, **kwargs)
"""

_FUNCTIONS = {
    **{
        ("operator", name): f"def {{name}}(a, b, /):\n    return {said}\n"
        for name, said in _BINARY.items()
    },
    **{
        ("operator", name): f"def {{name}}(a, /):\n    return {said}\n"
        for name, said in _UNARY.items()
    },
    ("operator", "itemgetter"): _ITEMGETTER,
    ("operator", "attrgetter"): _ATTRGETTER,
    **{("heapq", name): source for name, source in _HEAPQ.items()},
    ("calendar", "isleap"): _ISLEAP,
    ("re", "sub"): _SUB,
}
REPLACED_MODULES = frozenset({"operator", "heapq", "calendar"})
"""Modules that monty has nothing of; of `re` it lacks a function as replacement."""

_TYPES = frozenset({"str", "list", "dict", "set", "frozenset", "tuple", "bytes"})


def has_function(module: str, name: str) -> bool:
    """Whether this function of a module can be said in plain Python."""
    return (module, name) in _FUNCTIONS


def has_method(kind: str, name: str) -> bool:
    """Whether a built-in type has this method for each of its values."""
    method = getattr(getattr(builtins, kind, None), name, None)
    is_plain = isinstance(method, types.MethodDescriptorType)
    return kind in _TYPES and is_plain and not name.startswith("_")


def name_of(place: str, name: str) -> str:
    """What the function is called in the code that is run."""
    return f"{_PREFIX}{place}_{name}"


def source_of(asked: set[tuple[str, str]]) -> str:
    """The code that defines all that is asked for, in a fixed order."""
    parts = []
    if any(place == "heapq" for place, _ in asked):
        parts.append(_SIFTING)
    for place, name in sorted(asked):
        called = name_of(place, name)
        if source := _FUNCTIONS.get((place, name)):
            parts.append(source.replace("{name}", called))
        else:
            parts.append(_METHOD.format(name=called, type=place, method=name))
    return "".join(parts)
