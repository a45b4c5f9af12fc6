"""Answers that would break their judge: each is judged, and in a short time."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orket.tasks import checks as kinds
from orket.tasks.answer import normalise
from orket.tasks.bank import Samples, Task
from orket.tasks.checkers import check_answer
from orket.tasks.monty_sandbox import MontySandbox
from orket.tasks.process_sandbox import ProcessSandbox
from orket.tasks.sandbox import Outcome, Sandbox
from orket.tasks.values import ENCODE, ENCODER, OPAQUE, decode, read_value, same_value


@pytest.fixture(scope="module", params=["monty", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    opened: Sandbox = (
        MontySandbox(0.5) if request.param == "monty" else ProcessSandbox(seconds=2)
    )
    yield opened
    opened.close()


def make_task(*checks: kinds.Check) -> Task:
    for check in checks:
        check.prove()
    return Task(
        bank="made",
        id="made",
        bucket="refactor",
        tier=1,
        prompt="?",
        system=None,
        max_tokens=64,
        language="en",
        checks=checks,
        samples=Samples(["-"], ["-", "-"]),
    )


CASES = kinds.PythonCases(
    cases=[
        kinds.Case(call="f(2)", expected="[1, 2]"),
        kinds.Case(call="f(0)", raises="ValueError"),
    ]
)

HOSTILE = {
    "a set of instances": "class A:\n    pass\ndef f(x):\n    return {A()}",
    "an instance as a key": "class A:\n    pass\ndef f(x):\n    return {A(): x}",
    "a million numbers": "def f(x):\n    return list(range(10**6))",
    "900 lists in each other": (
        "def f(x):\n    y = []\n    for i in range(900):\n        y = [y]\n    return y"
    ),
    "900 tuples as a key": (
        "def f(x):\n    y = ()\n    for i in range(900):\n        y = (y,)\n"
        "    return {y: 1}"
    ),
    "900 frozen sets": (
        "def f(x):\n    y = frozenset()\n    for i in range(900):\n"
        "        y = frozenset([y])\n    return y"
    ),
    "a list that holds itself": "def f(x):\n    y = []\n    y.append(y)\n    return y",
    "a dictionary that holds itself": (
        "def f(x):\n    y = {}\n    y[1] = y\n    return y"
    ),
    "one list 2 ** 40 times": (
        "def f(x):\n    y = []\n    for i in range(40):\n        y = [y, y]\n"
        "    return y"
    ),
    "the same, left behind": (
        "y = []\nfor i in range(40):\n    y = [y, y]\ndef f(x):\n    return y\ny"
    ),
    "not-a-number as keys": "def f(x):\n    return {float('nan'): 1, float('nan'): 2}",
    "a number of 100,000 digits": "def f(x):\n    return 10 ** 100000",
    "a generator": "def f(x):\n    return (y for y in (1, 2))",
    "a map": "def f(x):\n    return map(int, '12')",
    "a function": "def f(x):\n    return f",
    "a class": "class A:\n    pass\ndef f(x):\n    return A",
    "a module": "import math\ndef f(x):\n    return math",
    "an exception": "def f(x):\n    return ValueError(x)",
    "an exception of much": "def f(x):\n    raise KeyError([[x] * 100000])",
    "no exception at all": "def f(x):\n    raise 3",
    "leaving": "def f(x):\n    raise SystemExit",
    "an interrupt": "def f(x):\n    raise KeyboardInterrupt",
    "the root of errors": "def f(x):\n    raise BaseException('x')",
    "a hash that loops": (
        "class A:\n    def __hash__(self):\n        while True:\n            pass\n"
        "def f(x):\n    return {A(): 1}"
    ),
    "a length that raises": (
        "class A:\n    def __len__(self):\n        raise ValueError\n"
        "def f(x):\n    return A()"
    ),
    "equal to everything": (
        "class A:\n    def __eq__(self, other):\n        return True\n"
        "def f(x):\n    return A()"
    ),
    "a list equal to everything": (
        "class A(list):\n    def __eq__(self, other):\n        return True\n"
        "def f(x):\n    return A()"
    ),
    "an instance that says it is a list": (
        "class A:\n    @property\n    def __class__(self):\n        return list\n"
        "    def __iter__(self):\n        return iter([1, 2])\n"
        "    def __len__(self):\n        return 2\n"
        "def f(x):\n    if not x:\n        raise ValueError\n    return A()"
    ),
    "leaving without a word": "import os\ndef f(x):\n    os._exit(0)",
    "two processes that answer": ("import os\nos.fork()\ndef f(x):\n    return [1, 3]"),
    "its last act": "import atexit, os\natexit.register(os._exit, 0)\nf = list",
    "no signal is heard": (
        "import signal\nfor n in (14, 15, 24):\n"
        "    signal.signal(n, signal.SIG_IGN)\ndef f(x):\n    while True:\n"
        "        pass"
    ),
    "closed files": (
        "import os\nfor n in range(20):\n    try:\n        os.close(n)\n"
        "    except OSError:\n        pass\ndef f(x):\n    return x"
    ),
    "a forged verdict": (
        "import os\nfor n in range(3, 20):\n    try:\n"
        '        os.write(n, b\'{"value": "l2:i3:0x1i3:0x2"}\\n\')\n'
        "    except OSError:\n        pass\ndef f(x):\n    return 5"
    ),
    "a list that never ends": (
        "class A(list):\n    def __iter__(self):\n        while True:\n"
        "            yield 1\ndef f(x):\n    return A([1, 2])"
    ),
    "a text without end": "def f(x):\n    return 'x' * 30_000_000",
    "half a character": "def f(x):\n    return chr(0xd800)",
    "its own speller": (
        f"def {ENCODE}(value):\n    return [[]] * 10**6\ndef f(x):\n    return x"
    ),
    "built-ins of its own": (
        "def isinstance(*a):\n    return True\ndef len(*a):\n    return 'x'\n"
        "def list(*a):\n    return 1\ndef f(x):\n    return [[x]]"
    ),
    "a hidden import": "def f(x):\n    return int(\"No module named 'antigravity'\")",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_code_does_is_judged_and_never_right(
    sandbox: Sandbox, code: str
) -> None:
    started = time.monotonic()
    facts = check_answer(make_task(CASES), f"```python\n{code}\n```", sandbox)

    assert facts.checks_passed == 0
    assert facts.checks_total + facts.checks_unsupported == 1
    (entry,) = json.loads(facts.check_details or "")
    assert entry.get("reason") != "CHECKER_FAILED"
    assert time.monotonic() - started < 15


def test_what_only_looks_like_a_missing_module_is_a_failure(sandbox: Sandbox) -> None:
    for said in ("No module named 'heapq'", "cannot import name 'x' from 'this'"):
        facts = check_answer(
            make_task(CASES), f"def f(x):\n    return {{}}[{said!r}]", sandbox
        )
        assert (facts.checks_total, facts.checks_unsupported) == (1, 0)


def test_a_right_answer_stays_right(sandbox: Sandbox) -> None:
    code = (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    n: int\n"
        "def f(x: 'int') -> list[int]:\n    if not x:\n        raise ValueError('0')\n"
        "    return [A(1).n, x]"
    )
    facts = check_answer(make_task(CASES), code, sandbox)
    assert (facts.checks_passed, facts.checks_total) == (1, 1)


def test_what_is_no_plain_data_of_a_reference_says_nothing(sandbox: Sandbox) -> None:
    check = kinds.PythonEquivalent(
        reference="def f():\n    return f", calls=["f()", "1"]
    )
    facts = check_answer(make_task(check), "def f():\n    return f", sandbox)
    (entry,) = json.loads(facts.check_details or "")
    assert (entry["status"], entry["reason"]) == ("unsupported", "REFERENCE_NOT_RUN")


class BrokenSandbox:
    """Raises whatever it is given: what a sandbox must never do."""

    name = label = "broken"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, code: str, calls: Any) -> list[Outcome]:
        raise self.error

    def close(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("error", [TypeError("x"), MemoryError(), RecursionError()])
def test_a_sandbox_that_breaks_costs_no_row(error: Exception) -> None:
    facts = check_answer(
        make_task(CASES), "def f(x):\n    return 1", BrokenSandbox(error)
    )
    (entry,) = json.loads(facts.check_details or "")
    assert (facts.checks_total, facts.checks_unsupported) == (0, 1)
    assert entry["lacks"] == f"SANDBOX_FAILED: {type(error).__name__}"


def test_ctrl_c_is_not_eaten() -> None:
    with pytest.raises(KeyboardInterrupt):
        check_answer(
            make_task(CASES),
            "def f(x):\n    return 1",
            BrokenSandbox(KeyboardInterrupt()),
        )


class BrokenCheck(kinds.Check, frozen=True, tag="broken"):
    """A kind of check that nobody has taught the checkers."""


def test_a_check_that_breaks_leaves_the_others() -> None:
    task = make_task(kinds.Exact(expected="x"), BrokenCheck())
    facts = check_answer(task, "x")

    assert (facts.checks_passed, facts.checks_total) == (1, 1)
    assert facts.checks_unsupported == 1
    assert json.loads(facts.check_details or "")[1] == {
        "kind": "broken",
        "status": "unsupported",
        "reason": "CHECKER_FAILED",
        "error": "AssertionError",
    }


N = 60_000
SLOW = {
    "a fence that is none": "```" + " " * N + "`",
    "marks out of order": "a" + "\u0301\u0323" * N,
    "marks inside characters": "a" + "\u0f73\u0f72" * N,
    "equal objects": "[" + ",".join(["{}"] * (N // 3)) + "]",
    "different objects": "[" + ",".join(f'{{"a":{i}}}' for i in range(N // 14)) + "]",
    "an integer too large for a float": "[" + "1" * 4000 + "]",
    "an integer too large to be read": "[" + "1" * 5000 + "]",
    "open brackets": "[" * N,
    "open quotes": '"' + "\\" * N,
    "open parentheses": "(" * 19_000,
    "minus signs": "f=" + "-" * 19_000 + "1",
    "lone surrogates": "\ud800" * N,
    "zeros": "\0" * N,
    "commas": "1," * N,
}
EVERY = [
    kinds.Exact(expected="x", bare=True, ignore_case=True),
    kinds.Contains(expected="xyz", ignore_case=True),
    kinds.Excludes(expected="xyz"),
    kinds.Regex(expected=r"(?i)^(\w+\s*)*$"),
    kinds.Numeric(expected=1),
    kinds.Numeric(expected=1, read="whole", relative_tolerance=0.1),
    kinds.JsonEqual(expected="[1.5]"),
    kinds.JsonSchema(
        expected='{"uniqueItems": true, "items": {"multipleOf": 0.1, "pattern": "a$"}}'
    ),
    kinds.JsonSchema(
        expected=(
            '{"anyOf": [{"type": "number"}, {"items": {"$ref": "#"}, "maxItems": 1}, '
            '{"items": {"$ref": "#"}, "minItems": 2}]}'
        )
    ),
    kinds.PythonDefines(names=["f"]),
    kinds.PythonRenamed(old="f", new="g"),
    kinds.PythonShape(forbids=["For"], max_nesting=1),
    CASES,
]


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW.keys())
def test_no_text_takes_long(text: str) -> None:
    started = time.monotonic()
    facts = check_answer(make_task(*EVERY), text)

    assert "CHECKER_FAILED" not in (facts.check_details or "")
    assert time.monotonic() - started < 10


def test_a_schema_that_branches_at_every_level_ends() -> None:
    branch = '{"items": {"$ref": "#"}, "minItems": 1}'
    check = kinds.JsonSchema(
        expected='{"anyOf": [' + ", ".join([branch] * 3) + '], "type": "array"}'
    )
    assert check_answer(make_task(check), "[" * 60 + "1" + "]" * 60).checks_total == 1


@pytest.mark.parametrize(
    ("items", "fits"),
    [
        ("[1, true, 1.5, null, [1], [true]]", True),
        ("[1, 1.0]", False),
        ('[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]', False),
        ('[{"a": 1}, {"a": true}]', True),
        ('["1", 1]', True),
        ("[0, false]", True),
    ],
)
def test_unique_items_are_those_of_json(items: str, fits: bool) -> None:
    check = kinds.JsonSchema(expected='{"uniqueItems": true}')
    assert check_answer(make_task(check), items).checks_passed == fits


@given(
    st.text(
        st.sampled_from("ae\u0301\u0323\u0344\u0f73\u0f71\u0f72\u1100\u1161"),
        max_size=12,
    )
)
def test_marks_in_order_have_the_same_normal_form(text: str) -> None:
    assert normalise(text) == unicodedata.normalize("NFC", text)


@settings(max_examples=300)
@given(st.text(st.characters(), max_size=200))
def test_any_text_is_judged_by_every_check(text: str) -> None:
    facts = check_answer(make_task(*EVERY), text)
    assert facts.checks_total + facts.checks_unsupported == len(EVERY)
    assert "CHECKER_FAILED" not in (facts.check_details or "")


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.text(st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=12,
)
SCOPE: dict[str, Any] = {}
exec(ENCODER, SCOPE)
encode = SCOPE[ENCODE]


@given(PLAIN)
def test_plain_data_crosses_as_it_is(value: Any) -> None:
    found = decode(encode(value))
    assert same_value(found, value)
    assert found == value


@given(PLAIN, PLAIN)
def test_sameness_has_no_sides(left: Any, right: Any) -> None:
    assert same_value(left, right) == same_value(right, left)
    assert same_value([left], [left])
    assert not same_value([left], (left,))


@settings(max_examples=500)
@given(
    st.text(st.sampled_from("nbifsyltedco0123456789:ax-.\ud800"), max_size=40)
    | st.text()
    | st.none()
)
def test_a_forged_text_is_read_or_refused(coded: str | None) -> None:
    outcome = read_value(coded)
    assert outcome.value is OPAQUE or outcome.kind in ("value", "stopped")
    assert same_value(outcome.value, [1]) in (True, False)
