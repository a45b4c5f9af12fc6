"""Checkers: each kind on its edges, and on any text whatever."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orket.records import CheckFacts, checked
from orket.tasks import checks as kinds
from orket.tasks.answer import last_number, parse_number, read_answer, read_code
from orket.tasks.bank import Samples, Task, load_bank
from orket.tasks.checkers import CHECKER_VERSION, check_answer
from orket.tasks.damage import is_looping
from orket.tasks.sandbox import Sandbox
from orket.tasks.sandboxes import open_sandbox
from orket.tasks.values import same_value


def make_task(*checks: kinds.Check, language: str = "en") -> Task:
    for check in checks:
        check.prove()
    return Task(
        bank="made",
        id="made",
        bucket="logic",
        tier=1,
        prompt="?",
        system=None,
        max_tokens=64,
        language=language,
        checks=checks,
        samples=Samples(["-"], ["-", "-"]),
    )


def passes(check: kinds.Check, text: str) -> bool:
    facts = check_answer(make_task(check), text)
    assert facts.checks_total == 1
    return facts.checks_passed == 1


def reason(check: kinds.Check, text: str) -> Any:
    (entry,) = json.loads(check_answer(make_task(check), text).check_details or "")
    return entry.get("reason")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caf\u00e9", True),
        ("cafe\u0301", True),
        ("\ufeff caf\u00e9 \r\n", True),
        ("<think>cafe?\nno</think>\ncaf\u00e9", True),
        ("<think>caf\u00e9", False),
        ("Caf\u00e9", False),
        ("caf\u00e9.", False),
        ("", False),
    ],
)
def test_exact_compares_normal_forms_without_outer_space(
    text: str, expected: bool
) -> None:
    assert passes(kinds.Exact(expected="caf\u00e9"), text) is expected


def test_exact_ignores_space_at_line_ends_but_not_inside() -> None:
    check = kinds.Exact(expected="a b\nc")
    assert passes(check, "a b  \r\nc")
    assert not passes(check, "a  b\nc")


@pytest.mark.parametrize("text", ["Yes", "yes.", "**YES**", '"Yes."', "`yes`"])
def test_a_bare_answer_may_be_dressed(text: str) -> None:
    assert passes(kinds.Exact(expected="yes", bare=True, ignore_case=True), text)


def test_contains_and_excludes_are_opposites_but_for_an_empty_answer() -> None:
    contains = kinds.Contains(expected="Fig", ignore_case=True)
    excludes = kinds.Excludes(expected="Fig", ignore_case=True)
    assert passes(contains, "a fig!")
    assert not passes(excludes, "a fig!")
    assert passes(excludes, "a pear")
    assert not passes(excludes, " ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("The answer is 41, no, 42.", "42"),
        ("-3.50", "-7/2"),
        ("\u22123", "-3"),
        ("1,234,567.8", "12345678/10"),
        ("= 6e2", "600"),
        ("$1,200", "1200"),
        ("30 cm^2", "30"),
        ("5 m2", "5"),
        ("7-3", "3"),
        ("**0.5**", "1/2"),
        (".5", "1/2"),
        ("12%", "12"),
        ("\\boxed{17}", "17"),
        ("x=-4", "-4"),
        ("007", "7"),
    ],
)
def test_the_last_number_is_read(text: str, value: str) -> None:
    assert last_number(text) == Fraction(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "NUMBER_MISSING"),
        ("forty-two", "NUMBER_MISSING"),
        ("NaN", "NUMBER_MISSING"),
        ("-inf", "NUMBER_MISSING"),
        ("Infinity", "NUMBER_MISSING"),
        ("H2O", "NUMBER_MISSING"),
        ("\u0664\u0662", "NUMBER_MISSING"),
        ("3,5", "NUMBER_UNREADABLE"),
        ("1.234,5", "NUMBER_UNREADABLE"),
        ("1,23,456", "NUMBER_UNREADABLE"),
        ("1/2", "NUMBER_UNREADABLE"),
        ("12:30", "NUMBER_UNREADABLE"),
        ("2^10", "NUMBER_UNREADABLE"),
        ("1.2.3", "NUMBER_UNREADABLE"),
        ("9" * 200, "NUMBER_UNREADABLE"),
    ],
)
def test_what_is_no_number_for_everyone_is_none(text: str, why: str) -> None:
    assert reason(kinds.Numeric(expected=42), text) == why


def test_a_whole_number_answer_is_nothing_but_the_number() -> None:
    check = kinds.Numeric(expected=42, read="whole")
    assert passes(check, "**42**.")
    assert not passes(check, "It is 42")


def test_tolerances_are_exact() -> None:
    check = kinds.Numeric(expected=0.3, tolerance=0.1)
    assert passes(check, "0.4")
    assert passes(check, "0.2")
    assert not passes(check, "0.4000000000000000000001")
    assert passes(kinds.Numeric(expected=-200, relative_tolerance=0.01), "-202")
    assert not passes(kinds.Numeric(expected=-200, relative_tolerance=0.01), "-202.1")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_a_number_written_plainly_is_read_exactly(number: Any) -> None:
    text = f"{number:f}"
    if len(text) < 90:
        assert parse_number(text) == Fraction(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1}', None),
        ('```json\n{"a": 1.0}\n```', None),
        ('Here:\n```\n{"a": 1}\n```\nDone.', None),
        ('~~~~\n{"a": 1}\n~~~~', None),
        ('```json\n{"a": 1}', None),
        ('Here: {"a": 1}', "JSON_INVALID"),
        ('{"a": true}', "DIFFERENT_JSON"),
        ('{"a": 1, "b": null}', "DIFFERENT_JSON"),
        ('{"a": 2, "a": 1}', "JSON_DUPLICATE_KEY"),
        ('{"a": NaN}', "JSON_NOT_FINITE"),
        ('{"a": 1e999}', "JSON_NOT_FINITE"),
        ("{'a': 1}", "JSON_INVALID"),
        ('{"a": 1,}', "JSON_INVALID"),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 1}\n```', "JSON_AMBIGUOUS"),
        ("[" * 100_000, "JSON_TOO_DEEP"),
        ('{"a": ' + "9" * 5000 + "}", "JSON_INVALID"),
        ("", "JSON_INVALID"),
    ],
)
def test_json_is_read_strictly(text: str, why: str | None) -> None:
    assert reason(kinds.JsonEqual(expected='{"a": 1}'), text) == why


def test_equal_json_knows_truth_from_one_and_normal_forms() -> None:
    check = kinds.JsonEqual(expected='["\u00e9", 1, false, null, [], {}]')
    assert passes(check, '["e\u0301", 1.0, false, null, [], {}]')
    assert not passes(check, '["\u00e9", true, false, null, [], {}]')
    assert not passes(check, '["\u00e9", 1, 0, null, [], {}]')
    assert not passes(check, '["\u00e9", 1, false, null, {}, []]')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_equals_itself_however_it_is_written(value: Any) -> None:
    check = kinds.JsonEqual(expected=json.dumps(value))
    for text in (
        json.dumps(value, indent=2),
        json.dumps(value, ensure_ascii=False, separators=(",", ":")),
    ):
        found = reason(check, text)
        # NFC can make two keys one.
        assert found in (None, "JSON_DUPLICATE_KEY", "DIFFERENT_JSON")
        if text.isascii():
            assert found is None


def test_a_schema_is_applied_in_full() -> None:
    schema = {
        "type": "object",
        "properties": {"code": {"type": "string", "pattern": "^[A-Z]{2}$"}},
        "required": ["code"],
        "additionalProperties": False,
    }
    check = kinds.JsonSchema(expected=json.dumps(schema))
    assert passes(check, '{"code": "AB"}')
    assert reason(check, '{"code": "ABC"}') == "SCHEMA_VIOLATED"
    assert reason(check, '{"code": "AB", "more": 1}') == "SCHEMA_VIOLATED"
    assert reason(check, "code: AB") == "JSON_INVALID"


def test_a_schema_without_end_allows_nothing() -> None:
    assert not passes(kinds.JsonSchema(expected='{"$ref": "#"}'), "1")


def test_no_pattern_can_be_made_slow() -> None:
    text = "a" * 100_000 + "b"
    assert not passes(kinds.Regex(expected="^(a+)+$"), text)
    schema = '{"type": "string", "pattern": "^(a|a)*$"}'
    assert not passes(kinds.JsonSchema(expected=schema), json.dumps(text))


def test_an_endless_answer_fails_unread() -> None:
    facts = check_answer(make_task(kinds.Contains(expected="a")), "ab" * 300_000)
    assert (facts.checks_passed, facts.checks_total) == (0, 1)
    assert facts.answer_chars == 600_000


# --- code --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("Sure!\n```python\nx = 1\n```\nBye", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("```py\nx = 1\n```\n```python3\ny = 2\n```", "x = 1\ny = 2"),
        ("```python\nx = 1\n```\n```\n1\n```", "x = 1"),
        ("```bash\nrun\n```\n```\nx = 1\n```", "x = 1"),
        ("````\n```\nx\n```\n````", "```\nx\n```"),
    ],
)
def test_code_is_found_in_fences_or_is_the_answer(text: str, code: str) -> None:
    assert read_code(read_answer(text)) == code


def test_code_characters_are_those_inside_fences() -> None:
    facts = check_answer(make_task(kinds.Exact(expected="?")), "Hi\n```\nx = 1\n```")
    assert (facts.answer_chars, facts.code_chars) == (16, 5)


def test_definitions_are_read_from_the_tree() -> None:
    check = kinds.PythonDefines(names=["f", "A.g", "N"], absent=["h"])
    code = "N = 1\nclass A:\n    async def g(self): ...\nf = lambda: 0"
    assert passes(check, code)
    assert reason(check, code + "\ndef h(): ...") == "NAME_PRESENT"
    assert reason(check, "f = 1") == "NAME_MISSING"
    assert reason(check, "def f(:") == "CODE_INVALID"
    assert reason(check, "") == "CODE_MISSING"
    assert reason(check, "x = 1\n" * 5000) == "CODE_TOO_LONG"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("new = 1\nprint('old')  # old", None),
        ("new = old", "OLD_NAME_PRESENT"),
        ("def f(new): return new.old", "OLD_NAME_PRESENT"),
        ("f(old=new)", "OLD_NAME_PRESENT"),
        ("import old as new", "OLD_NAME_PRESENT"),
        ("def f():\n    global old\n    new = 1", "OLD_NAME_PRESENT"),
        ("older = 'new'", "NEW_NAME_MISSING"),
    ],
)
def test_a_rename_is_complete_or_failed(code: str, why: str | None) -> None:
    assert reason(kinds.PythonRenamed(old="old", new="new"), code) == why


@pytest.mark.parametrize(
    ("code", "nesting"),
    [
        ("x = 1", 0),
        ("if a:\n    pass\nelif b:\n    pass\nelif c:\n    pass\nelse:\n    pass", 1),
        ("if a:\n    pass\nelse:\n    if b:\n        pass", 2),
        ("for a in b:\n    while c:\n        with d:\n            pass", 3),
        ("if a:\n    def f():\n        if b:\n            pass", 1),
        ("try:\n    if a:\n        pass\nexcept E:\n    pass", 2),
    ],
)
def test_nesting_is_counted_within_a_function(code: str, nesting: int) -> None:
    assert passes(kinds.PythonShape(max_nesting=nesting), code)
    if nesting:
        assert not passes(kinds.PythonShape(max_nesting=nesting - 1), code)


def test_a_shape_requires_and_forbids() -> None:
    check = kinds.PythonShape(requires=["ListComp"], forbids=["For"])
    assert passes(check, "x = [a for a in b]")
    assert reason(check, "for a in b: pass") == "SHAPE_MISSING"
    assert reason(check, "for a in [b for b in c]: pass") == "SHAPE_FORBIDDEN"


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        (1, 1, True),
        (True, 1, False),
        (1, True, False),
        (1.0, 1, True),
        (0.1 + 0.2, 0.3, True),
        (0.31, 0.3, False),
        (float("nan"), 0.0, False),
        (10**400, 1.0, False),
        ([1], (1,), False),
        ([1, [2.0]], [1, [2]], True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({1, 2}, {2, 1}, True),
        ("1", 1, False),
        (None, None, True),
        (None, False, False),
        (..., None, False),
        (b"a", "a", False),
    ],
)
def test_results_are_compared_by_type_and_value(
    found: Any, expected: Any, same: bool
) -> None:
    assert same_value(found, expected) is same


CASES = kinds.PythonCases(
    cases=[
        kinds.Case(call="f(1)", expected="2"),
        kinds.Case(call="f('a')", raises="TypeError"),
    ]
)


@pytest.fixture(scope="module")
def monty() -> Any:
    opened = open_sandbox("monty")
    assert opened is not None
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("def f(x): return x + 1", "passed", None),
        ("def f(x): return 2", "failed", "DIFFERENT_RESULT"),
        ("def f(x): return x", "failed", "DIFFERENT_RESULT"),
        ("def f(x): raise ValueError", "failed", "CODE_RAISED"),
        ("def f(x): raise NotImplementedError", "failed", "CODE_RAISED"),
        ("def g(x): return x + 1", "failed", "NAME_MISSING"),
        ("def f(x): return x +", "failed", "CODE_INVALID"),
        ("def f(x):\n    yield x", "unsupported", "CHECK_UNSUPPORTED"),
        ("import heapq\ndef f(x): return 3", "failed", "DIFFERENT_RESULT"),
        (
            "import heapq\ndef f(x): return heapq.nlargest(1, [x])[0]",
            "failed",
            "DIFFERENT_RESULT",
        ),
        (
            "import fractions\ndef f(x): return fractions.Fraction(x) + 1",
            "unsupported",
            "CHECK_UNSUPPORTED",
        ),
    ],
)
def test_cases_are_run_in_the_sandbox(
    monty: Sandbox, code: str, status: str, why: str | None
) -> None:
    facts = check_answer(make_task(CASES), code, monty)
    (entry,) = json.loads(facts.check_details or "")
    assert (entry["status"], entry.get("reason")) == (status, why)
    assert facts.checks_total == (0 if status == "unsupported" else 1)
    assert facts.checks_unsupported == (1 if status == "unsupported" else 0)
    assert facts.sandbox == "monty"


def test_code_that_fails_one_case_fails_even_if_another_could_not_run(
    monty: Sandbox,
) -> None:
    check = kinds.PythonCases(
        cases=[
            kinds.Case(call="f(1)", expected="2"),
            kinds.Case(call="f(2)", expected="True"),
        ]
    )
    code = "def f(x):\n    return callable(x) if x == 2 else x"
    (entry,) = json.loads(
        check_answer(make_task(check), code, monty).check_details or ""
    )
    assert entry["status"] == "failed"


def test_behaviour_is_compared_with_the_reference(monty: Sandbox) -> None:
    check = kinds.PythonEquivalent(
        reference="def f(x):\n    return 10 / x", calls=["f(4)", "f(0)"]
    )
    task = make_task(check)
    assert check_answer(task, "def f(n):\n    return 10 / n", monty).checks_passed == 1
    kind = "def f(n):\n    return 10 / n if n else 0"
    assert check_answer(task, kind, monty).checks_passed == 0


def test_without_a_sandbox_code_is_unsupported_but_parsed() -> None:
    facts = check_answer(make_task(CASES), "def f(x): return x + 1")
    assert (facts.checks_total, facts.checks_unsupported) == (0, 1)
    assert facts.sandbox is None
    assert check_answer(make_task(CASES), "def f(").checks_total == 1


# --- damage ------------------------------------------------------------------

WORDS = make_task(kinds.Contains(expected="needle"))
SHAPE = make_task(kinds.JsonEqual(expected="1"))
CHINESE = make_task(kinds.Exact(expected="水"), language="zh")
JAPANESE = make_task(kinds.Exact(expected="水"), language="ja")


@pytest.mark.parametrize(
    ("task", "text", "stop", "damage"),
    [
        (WORDS, "", "stop", "EMPTY"),
        (WORDS, " \n\t", None, "EMPTY"),
        (WORDS, "", "length", "TRUNCATED"),
        (WORDS, "<think>for ever", "length", "TRUNCATED"),
        (WORDS, "a haystack and no more", "stop", None),
        (WORDS, "a haystack and no", "length", "TRUNCATED"),
        (WORDS, "a needle and no", "length", None),
        (WORDS, "so it goes " * 40, "length", "LOOPING"),
        (WORDS, "Fine. " + "!" * 80, "stop", "LOOPING"),
        (WORDS, "needle " * 40, "length", None),
        (WORDS, "干草堆里什么也没有，真的没有", "stop", "WRONG_LANGUAGE"),
        (WORDS, "干草", "stop", None),
        (SHAPE, "{broken", "stop", "UNPARSEABLE"),
        (SHAPE, "2", "stop", None),
        (SHAPE, "[1", "length", "TRUNCATED"),
        (make_task(CASES), "def f(x:", "stop", "UNPARSEABLE"),
        (CHINESE, "Water it is, sir", None, "WRONG_LANGUAGE"),
        (CHINESE, "这是一杯很热的绿茶", None, None),
        (JAPANESE, "これはお茶です。たぶん", None, None),
    ],
)
def test_damage_is_told_apart_from_wrong_content(
    task: Task, text: str, stop: str | None, damage: str | None
) -> None:
    assert check_answer(task, text, stop_reason=stop).format_damage == damage


def test_a_list_or_a_table_is_no_loop() -> None:
    assert not is_looping("\n".join(f"{n}. item {n}" for n in range(1, 60)))
    assert not is_looping("| a | b |\n" * 4 + "| c | d |")


# --- any text ----------------------------------------------------------------

EVERY_KIND = make_task(
    kinds.Exact(expected="x", bare=True),
    kinds.Contains(expected="x", ignore_case=True),
    kinds.Excludes(expected="x"),
    kinds.Regex(expected=r"(?i)^\W*x+\W*$"),
    kinds.Numeric(expected=1, tolerance=0.5),
    kinds.Numeric(expected=1, read="whole"),
    kinds.JsonEqual(expected='{"x": [1]}'),
    kinds.JsonSchema(expected='{"type": "array", "uniqueItems": true}'),
    kinds.PythonDefines(names=["x"]),
    kinds.PythonRenamed(old="x", new="y"),
    kinds.PythonShape(max_nesting=0),
    CASES,
)

snippets = st.sampled_from(
    ["```", "~~~", "json", "python", "\n", '"', "\\", "{", "[", "1,", "1e9", "<think>",
     "</think>", "def f(x): ", "'''", "\t", "\x00", "\ud800", "-", "9" * 50, "(", "x"]
)  # fmt: skip
texts = st.text() | st.lists(snippets | st.text(max_size=3)).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts, st.sampled_from([None, "stop", "length", "?"]))
@example("(" * 15_000, None)
@example("-" * 15_000 + "1", None)
@example("x" + ".x" * 9_000, None)
@example('"\\' * 100_000, None)
@example("`" * 100_000, None)
@example("1" * 100_000, None)
@example("{" * 100_000, None)
@example("1." * 100_000, None)
def test_any_text_is_judged_and_never_raises(text: str, stop: str | None) -> None:
    facts = check_answer(EVERY_KIND, text, None, stop)
    assert facts == check_answer(EVERY_KIND, text, None, stop)
    assert facts.checks_total + facts.checks_unsupported == len(EVERY_KIND.checks)
    assert facts.checks_passed <= facts.checks_total
    assert facts.code_chars <= facts.answer_chars or not text.isascii()
    checked(facts)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abx=+-*()[]{}:, \n\t'\"#01", max_size=80))
def test_any_code_is_run_and_never_raises(monty: Sandbox, code: str) -> None:
    facts = check_answer(make_task(CASES), code, monty)
    assert facts.checks_passed == 0
    assert facts.checks_total + facts.checks_unsupported == 1


def test_a_missing_answer_is_an_empty_one() -> None:
    assert check_answer(WORDS, None) == CheckFacts(
        checks_passed=0,
        checks_total=1,
        check_details='[{"kind":"contains","status":"failed","reason":"TEXT_MISSING"}]',
        format_damage="EMPTY",
        checker_version=CHECKER_VERSION,
    )


def test_checks_are_counted_one_by_one() -> None:
    (task,) = [t for t in load_bank("core").tasks if t.id == "four-bullets"]
    facts = check_answer(task, "- Jupiter\n- Saturn\n- Mars\n- Neptune")
    assert (facts.checks_passed, facts.checks_total) == (4, 5)
