"""Task banks: strict reading, revisions, selections, and every shipped sample."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from orket.errors import UsageError
from orket.tasks.bank import Task, TaskBank, bank_names, load_bank, select_tasks
from orket.tasks.checkers import check_answer
from orket.tasks.checks import KINDS, Check, Exact
from orket.tasks.monty_sandbox import MontySandbox
from orket.tasks.process_sandbox import ProcessSandbox
from orket.tasks.sandbox import Sandbox
from orket.tasks.task import BUCKETS, TIERS, Samples
from tests.places import ROOT

BANK = """\
schema_version = 1
bank = "tiny"
title = "Tiny"

[selections]
short = ["sum"]

[[tasks]]
id = "sum"
bucket = "logic"
tier = 1
prompt = '''
Not a header: [tasks]
tier = 9
What is 40 + 2?'''
max_tokens = 16
[[tasks.checks]]
kind = "numeric"
expected = 42
tolerance = 0.5
[tasks.samples]
pass = ["42"]
fail = ["41", "forty-two"]

[[tasks]]
id = "call"
bucket = "mixed"
tier = 2
prompt = "Call it."
max_tokens = 32
[[tasks.checks]]
kind = "json_schema"
expected = '{"type": "object", "required": ["a"]}'
[[tasks.checks]]
kind = "python_cases"
cases = [
  { call = "f(1)", expected = "2" },
]
[tasks.samples]
pass = ['{"a": 1}']
fail = ["{}", "[]"]
"""


def load_text(folder: Path, text: str) -> TaskBank:
    path = folder / "bank.toml"
    path.write_text(text, encoding="utf-8")
    return load_bank(path)


def test_a_bank_is_read_as_written(tmp_path: Path) -> None:
    bank = load_text(tmp_path, BANK)

    assert [task.test_id for task in bank.tasks] == ["tiny/sum", "tiny/call"]
    assert bank.tasks[0].prompt.endswith("What is 40 + 2?")
    assert bank.tasks[1].tier == 2
    assert bank.selections == {"short": ("sum",)}


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("tier = 1", "teir = 1", 11, "did you mean tier?"),
        ("expected = 42", "expectd = 42", 19, "did you mean expected?"),
        ('kind = "numeric"', 'kind = "numerc"', 18, "did you mean numeric?"),
        ('pass = ["42"]', 'passs = ["42"]', 22, "did you mean pass?"),
        ('title = "Tiny"', 'titel = "Tiny"', 3, "did you mean title?"),
        ('call = "f(1)"', 'cal = "f(1)"', 37, "did you mean call?"),
        ('bucket = "mixed"', 'bucket = "mixd"', 27, "use logic, refactor, mixed"),
        ("tier = 2", "tier = 4", 28, "use 1, 2, 3"),
        ("tolerance = 0.5", "tolerance = -1", 17, "tolerance is negative"),
        ("tolerance = 0.5", "tolerance = nan", 17, "not a finite number"),
        ("expected = 42", "expected = true", 19, "got `bool`"),
        ('id = "call"', 'id = "sum"', 26, "same id as 'sum'"),
        ('id = "call"', 'id = "a b"', 26, "id is not made of"),
        ('"type": "object"', '"type": "objekt"', 31, "bad JSON Schema at type"),
        ('"type": "object"', '"pattern": "(?=a)"', 31, "look-around"),
        ('"type": "object"', '"$ref": "http://a.b"', 31, "$ref leaves the schema"),
        ('"type": "object"', "type: 1", 31, "is not JSON"),
        ('"f(1)"', '"f("', 34, "not a Python expression"),
        ('"2"', '"g()"', 34, "not a Python literal"),
        ("tier = 2", 'family = "a b"', 28, "the family is not made of"),
        ("tier = 2", "family = 3", 28, "got `int`"),
        ("max_tokens = 32", "max_tokens = 0", 30, "max_tokens is not positive"),
        ('fail = ["41", "forty-two"]', 'fail = ["41"]', 21, "two in `fail`"),
        ('short = ["sum"]', 'short = ["sun"]', 6, "did you mean sum?"),
        ("schema_version = 1", "schema_version = 2", 1, "reads version 1"),
        ("tier = 1", "tier = 1 2", 11, "not TOML"),
    ],
)
def test_a_mistake_names_its_line_and_a_way_out(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    with pytest.raises(UsageError) as raised:
        load_text(tmp_path, BANK.replace(old, new, 1))

    assert f"bank.toml:{line}: " in str(raised.value)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_task_has_the_family_that_its_bank_gives_it(tmp_path: Path) -> None:
    text = BANK.replace("tier = 2", 'tier = 2\nfamily = "calls"')

    assert [task.family for task in load_text(tmp_path, text).tasks] == [None, "calls"]


@pytest.mark.parametrize(("name", "families"), [("core", 67), ("quickstart", 13)])
def test_every_task_of_a_shipped_bank_has_a_family(name: str, families: int) -> None:
    found = {task.family for task in load_bank(name).tasks}

    assert None not in found
    assert len(found) == families


def test_an_unknown_bank_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="known are .*core"):
        load_bank("coer")


def test_a_bank_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_bank(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("40 + 2?", "40 + 3?"),
        ("max_tokens = 16", "max_tokens = 17"),
        ("expected = 42", "expected = 43"),
        ("tier = 1", 'tier = 1\nsystem = "Be brief."'),
    ],
)
def test_the_revision_changes_with_what_can_change_a_result(
    tmp_path: Path, old: str, new: str
) -> None:
    before = load_text(tmp_path, BANK).tasks[0].revision
    assert load_text(tmp_path, BANK.replace(old, new, 1)).tasks[0].revision != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tier = 1", "tier = 3"),
        ("tier = 1", 'tier = 1\nfamily = "sums"'),
        ('fail = ["41", "forty-two"]', 'fail = ["40", "50"]'),
        ('title = "Tiny"', 'title = "Small"'),
        ("tolerance = 0.5", "tolerance = 0.5\nrelative_tolerance = 0"),
    ],
)
def test_the_revision_stays_with_what_cannot(
    tmp_path: Path, old: str, new: str
) -> None:
    before = load_text(tmp_path, BANK).tasks[0].revision
    assert load_text(tmp_path, BANK.replace(old, new, 1)).tasks[0].revision == before


def make_bank(count: int) -> TaskBank:
    template = load_bank_template()
    tasks = tuple(
        Task(
            bank="made",
            id=f"t{index:02d}",
            bucket=BUCKETS[index % 3],
            tier=TIERS[index // 3 % 3],
            prompt=f"p{index}",
            system=None,
            max_tokens=1,
            language="en",
            checks=template.checks,
            samples=template.samples,
        )
        for index in range(count)
    )
    return TaskBank("made", "Made", "", tasks, {"two": ("t00", "t05")})


def load_bank_template() -> Task:
    return Task(
        bank="made",
        id="t",
        bucket="logic",
        tier=1,
        prompt="p",
        system=None,
        max_tokens=1,
        language="en",
        checks=(Exact(expected="x"),),
        samples=Samples(["x"], ["y", "z"]),
    )


def test_a_limit_is_spread_evenly_over_buckets_and_tiers() -> None:
    taken = select_tasks(make_bank(36), limit=9)

    assert sorted((task.bucket, task.tier) for task in taken) == sorted(
        (bucket, tier) for bucket in BUCKETS for tier in TIERS
    )
    assert [task.id for task in taken] == sorted(task.id for task in taken)


def test_a_larger_limit_only_adds_tasks() -> None:
    bank = make_bank(30)
    chosen = [{task.id for task in select_tasks(bank, limit=n)} for n in range(1, 40)]

    assert all(less <= more for less, more in zip(chosen, chosen[1:], strict=False))
    assert [len(names) for names in chosen] == [min(n, 30) for n in range(1, 40)]


def test_tasks_are_selected_by_bucket_id_pattern_and_selection() -> None:
    bank = make_bank(9)

    assert {t.bucket for t in select_tasks(bank, buckets=["mixed"])} == {"mixed"}
    assert [t.id for t in select_tasks(bank, ids=["made/t03", "two"])] == [
        "t00",
        "t03",
        "t05",
    ]
    assert len(select_tasks(bank, ids=["t0[1-3]", "t?8"])) == 4


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"buckets": ["logik"]}, "did you mean logic?"),
        ({"ids": ["t3"]}, "did you mean t03?"),
        ({"limit": 0}, "use 1 or more"),
        ({"buckets": ["logic"], "ids": ["t01"]}, "exclude each other"),
    ],
)
def test_a_selection_of_nothing_is_refused(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(
        UsageError, match=said.replace("?", r"\?").replace(r"0\?", "0?")
    ):
        select_tasks(make_bank(9), **wanted)


SHIPPED = [task for name in bank_names() for task in load_bank(name).tasks]


PLAIN = [task for task in SHIPPED if not task.needs_sandbox]
CODE = [task for task in SHIPPED if task.needs_sandbox]


def try_samples(task: Task, sandbox: Sandbox | None) -> None:
    for sample in task.samples.passing:
        facts = check_answer(task, sample, sandbox)
        assert facts.checks_passed == len(task.checks), (sample, facts.check_details)
        assert facts.format_damage is None
    for sample in task.samples.failing:
        facts = check_answer(task, sample, sandbox)
        assert facts.checks_passed < facts.checks_total, sample
        assert facts.checks_unsupported == 0


@pytest.mark.parametrize("task", PLAIN, ids=lambda task: task.test_id)
def test_shipped_samples_are_judged_as_they_say(task: Task) -> None:
    try_samples(task, None)


@pytest.fixture(scope="module", params=["monty", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    opened: Sandbox = (
        MontySandbox(call_seconds=1)
        if request.param == "monty"
        else ProcessSandbox(seconds=3)
    )
    yield opened
    opened.close()


@pytest.mark.parametrize("task", CODE, ids=lambda task: task.test_id)
def test_shipped_code_samples_are_judged_alike_in_every_sandbox(
    task: Task, sandbox: Sandbox
) -> None:
    try_samples(task, sandbox)


@pytest.mark.parametrize("answer", ["", "I don't know.", "yes or no", "{prompt}"])
def test_no_task_is_passed_without_an_answer(answer: str) -> None:
    monty = MontySandbox()
    for task in load_bank("core").tasks:
        text = answer.replace("{prompt}", task.prompt)
        facts = check_answer(task, text, monty)
        assert facts.checks_passed < facts.checks_total, task.id
    monty.close()


def test_prompts_of_different_banks_differ() -> None:
    prompts = [(task.system, task.prompt) for task in SHIPPED]
    assert len(set(prompts)) == len(prompts)


def test_the_core_bank_is_broad_enough_to_support_a_claim() -> None:
    bank = load_bank("core")
    for bucket in BUCKETS:
        tasks = select_tasks(bank, buckets=[bucket])
        assert len(tasks) >= 36
        assert {task.tier for task in tasks} == set(TIERS)
    assert {task.language for task in bank.tasks} >= {"de", "fr", "es", "zh", "ja"}
    assert len(select_tasks(bank, ids=["first-look"])) == 12


DOCS = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_the_docs_name_every_kind_of_check_with_its_keys(kind: type[Check]) -> None:
    name = str(kind.__struct_config__.tag)
    (row,) = (line for line in DOCS.splitlines() if re.match(rf"\| .*`{name}`", line))
    for field in fields(kind):
        assert f"`{field.encode_name}`" in row


def test_the_docs_count_the_tasks_right() -> None:
    bank = load_bank("core")
    counts = {b: len(select_tasks(bank, buckets=[b])) for b in BUCKETS}
    said = ", ".join(f"{count} {bucket}" for bucket, count in counts.items())
    assert f"{len(bank.tasks)} distinct ones: {said}" in DOCS


def test_the_example_of_the_docs_is_a_bank(tmp_path: Path) -> None:
    example = DOCS.partition("```toml\n")[2].partition("```")[0]
    bank = load_text(tmp_path, example)
    assert [task.test_id for task in bank.tasks] == ["mine/capital"]
    try_samples(bank.tasks[0], None)
