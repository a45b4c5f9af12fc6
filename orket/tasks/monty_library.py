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

# An error of its own class cannot be made in monty: importing it is what monty lacks.
# Exact, as CPython's is: sums of whole numbers over a power of two, divided once.
_MEAN = """
def {name}(data):
    top, bottom, count, is_whole, odd = 0, 1, 0, True, []
    for each in data:
        count += 1
        scale = 1
        if isinstance(each, float):
            is_whole = False
            if each - each != 0:
                odd.append(each)
                continue
            while each != int(each):
                each, scale = each * 2.0, scale * 2
        elif not isinstance(each, int):
            raise TypeError("can't convert to numerator/denominator")
        if scale > bottom:
            top, bottom = top * (scale // bottom), scale
        top += int(each) * (bottom // scale)
    if count < 1:
        import statistics
        raise statistics.StatisticsError('mean requires at least one data point')
    if odd:
        return sum(odd) / count
    if is_whole and top % (bottom * count) == 0:
        return top // (bottom * count)
    return top / (bottom * count)
"""
_MEDIAN = """
def {{name}}(data):
    data = sorted(data)
    if not data:
        import statistics
        raise statistics.StatisticsError('no median for empty data')
    middle = len(data) // 2
    return data[middle] if len(data) % 2 else {even}
"""
# A key set again is the later of two equal ones in monty, in CPython the first.
_COUNTS = """
    counts, firsts = {}, {}
    for each in data:
        if each not in counts:
            firsts[each] = each
        counts[each] = counts.get(each, 0) + 1
"""
_STATISTICS = {
    "mean": _MEAN,
    "median": _MEDIAN.format(even="(data[middle - 1] + data[middle]) / 2"),
    "median_low": _MEDIAN.format(even="data[middle - 1]"),
    "median_high": _MEDIAN.format(even="data[middle]"),
    "mode": f"""
def {{name}}(data):{_COUNTS}
    if not counts:
        import statistics
        raise statistics.StatisticsError('no mode for empty data')
    return firsts[max(counts.items(), key=lambda pair: pair[1])[0]]
""",
    "multimode": f"""
def {{name}}(data):{_COUNTS}
    most = max(counts.values(), default=0)
    return [firsts[each] for each, count in counts.items() if count == most]
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
    **{("statistics", name): source for name, source in _STATISTICS.items()},
    ("calendar", "isleap"): _ISLEAP,
    ("re", "sub"): _SUB,
}
REPLACED_MODULES = frozenset({"operator", "heapq", "calendar", "statistics"})
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
