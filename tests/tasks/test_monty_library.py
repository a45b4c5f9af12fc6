"""Parts of CPython's library in plain Python, held against CPython's own."""

from __future__ import annotations

import calendar
import heapq
import operator
import random
import re
import statistics
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orket.tasks.monty_code import adapt_code
from orket.tasks.monty_library import (
    _BINARY,
    _HEAPQ,
    _STATISTICS,
    _UNARY,
    name_of,
    source_of,
)
from orket.tasks.sandbox import UNSUPPORTED, VALUE, Outcome, Sandbox
from orket.tasks.sandboxes import open_sandbox


def plain(place: str, name: str) -> Callable[..., Any]:
    """The function as the answer's code gets it, run here."""
    found: dict[str, Any] = {}
    exec(source_of({(place, name)}), found)
    made = found[name_of(place, name)]
    assert callable(made)
    return made  # type: ignore[no-any-return]


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """What it returns, or the kind of error."""
    try:
        return function(*args)
    except Exception as error:
        return type(error)


items = st.lists(st.integers(-5, 5) | st.floats(-5, 5, width=16), max_size=12)


@pytest.mark.parametrize("name", sorted(_HEAPQ))
@given(heap=items, item=st.integers(-5, 5))
def test_a_heap_stands_as_cpython_leaves_it(name, heap, item):
    if name != "heapify":
        heapq.heapify(heap)
    ours, theirs = list(heap), list(heap)
    args = {
        "heappush": (item,),
        "heapreplace": (item,),
        "heappushpop": (item,),
    }.get(name, ())
    if name in ("nlargest", "nsmallest"):
        pair = [
            outcome(f, item, heap) for f in (plain("heapq", name), getattr(heapq, name))
        ]
    else:
        pair = [
            outcome(plain("heapq", name), ours, *args),
            outcome(getattr(heapq, name), theirs, *args),
        ]
    assert pair[0] == pair[1]
    assert ours == theirs


@pytest.mark.parametrize("name", sorted([*_BINARY, *_UNARY]))
@given(a=st.integers(-9, 9) | st.lists(st.integers(0, 3)), b=st.integers(-3, 9))
def test_an_operator_does_what_its_function_does(name, a, b):
    args = (a,) if name in _UNARY else (a, b)
    assert outcome(plain("operator", name), *args) == outcome(
        getattr(operator, name), *args
    )


numbers = st.lists(
    st.integers(-9, 9)
    | st.integers()
    | st.booleans()
    | st.floats(width=16)
    | st.floats(allow_nan=False),
    max_size=9,
)


@pytest.mark.parametrize("name", sorted(_STATISTICS))
@given(data=numbers | st.lists(st.sampled_from(["a", "b", "c"]), max_size=5))
def test_a_statistic_is_the_one_of_cpython(name, data):
    ours = outcome(plain("statistics", name), data)
    theirs = outcome(getattr(statistics, name), data)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", sorted(_STATISTICS))
def test_a_statistic_in_monty_is_the_one_of_cpython(name, monty):
    """Its integers are as long and its division as exact."""
    chance = random.Random(name)
    lists: list[list[Any]] = [[True, 2], [2.5, 1], [10**30, 1.0], [1e300, -5e-324], [7]]
    lists += [[chance.gauss(0, 1) for _ in range(n)] for n in range(1, 9)]
    lists += [[chance.choice((1, 2, 2.0)) for _ in range(n)] for n in range(1, 9)]
    code = f"from statistics import {name}\ndef f(data):\n    return {name}(data)"
    found = monty.run(adapt_code(code), [f"repr(f({data!r}))" for data in lists])
    assert [each.value for each in found] == [
        repr(getattr(statistics, name)(data)) for data in lists
    ]
    if name != "multimode":
        # Its error has a class of its own, which says nothing of the answer here.
        (empty,) = monty.run(adapt_code(code), ["f([])"])
        assert empty.kind == UNSUPPORTED


def test_getters_take_one_or_several():
    row = SimpleNamespace(a=SimpleNamespace(b=2), c=3)
    for args in (("c",), ("a.b", "c")):
        ours = plain("operator", "attrgetter")(*args)
        assert ours(row) == operator.attrgetter(*args)(row)
    for places in ((1,), (0, 2)):
        ours = plain("operator", "itemgetter")(*places)
        assert ours([7, 8, 9]) == operator.itemgetter(*places)([7, 8, 9])
    assert outcome(plain("operator", "itemgetter")) is TypeError


@given(year=st.integers(1, 3000))
def test_a_leap_year_is_one(year):
    assert plain("calendar", "isleap")(year) == calendar.isleap(year)


@given(
    pattern=st.sampled_from(["a", "a*", "(b)|a", "^", "x?", r"\b"]),
    text=st.text("abx ", max_size=9),
    count=st.integers(0, 3),
)
def test_a_function_replaces_as_it_does_in_cpython(pattern, text, count):
    replacements: list[Any] = [lambda found: f"<{found.group()}>", lambda found: None]
    for said in replacements:
        ours = plain("re", "sub")(pattern, said, text, count)
        assert ours == re.sub(pattern, said, text, count=count)
    assert plain("re", "sub")(pattern, r"-", text) == re.sub(pattern, r"-", text)


def test_a_method_as_a_function_takes_its_own_type_alone():
    assert plain("str", "strip")("xax", "x") == "a"
    assert outcome(plain("str", "strip"), b" a ") is TypeError


@pytest.fixture(scope="module")
def monty() -> Iterator[Sandbox]:
    opened = open_sandbox("monty")
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    opened = open_sandbox("process")
    assert opened is not None
    yield opened
    opened.close()


ANSWERS = {
    "a key by place": (
        "from operator import itemgetter as at\n"
        "def f():\n    return sorted([(1, 3), (2, 1)], key=at(1))"
    ),
    "a table of operators": (
        "import operator as op\nOPS = {'+': op.add, '*': op.mul}\n"
        "def f():\n    return OPS['*'](3, 4)"
    ),
    "a heap of pairs": (
        "import heapq\ndef f():\n    h = [(3, 'c'), (1, 'a')]\n    heapq.heapify(h)\n"
        "    heapq.heappush(h, (2, 'b'))\n"
        "    return [heapq.heappop(h) for _ in range(3)]"
    ),
    "the largest by a key": (
        "from heapq import nlargest\n"
        "def f():\n    return nlargest(2, ['a', 'bbb', 'cc'], key=len)"
    ),
    "methods of texts": (
        "def f():\n    return list(map(str.strip, [' a', 'b '])), "
        "sorted(['b', 'A'], key=str.lower)"
    ),
    "a method of sets over several": (
        "def f():\n    return sorted(set.intersection(*map(set, ['abc', 'cab'])))"
    ),
    "the key of the greatest": (
        "def f():\n    d = {'a': 1, 'b': 2}\n    return max(d, key=d.get)"
    ),
    "a function as replacement": (
        "import re\ndef f():\n"
        "    return re.sub(r'_([a-z])', lambda m: m.group(1).upper(), 'a_bc_d')"
    ),
    "a pattern's own": (
        "import re\nWORD = re.compile(r'[a-z]+')\ndef f():\n"
        "    return WORD.sub(lambda m: m.group()[::-1], 'abc de', count=1)"
    ),
    "names of its own": (
        "class heapq:\n    heappop = 3\ndef f():\n    return heapq.heappop"
    ),
    "an error from a heap": (
        "import heapq\ndef f():\n    try:\n        return heapq.heappop([])\n"
        "    except IndexError:\n        return 'empty'"
    ),
}


@pytest.mark.parametrize("code", ANSWERS.values(), ids=ANSWERS.keys())
def test_monty_finds_what_cpython_finds(monty, process, code):
    (ours,), (theirs,) = monty.run(code, ["f()"]), process.run(code, ["f()"])
    assert isinstance(ours, Outcome) and ours.kind == VALUE
    assert ours == theirs
