"""How many right answers, as models write them, each sandbox can judge."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from orket.tasks.bank import load_bank
from orket.tasks.checkers import check_answer
from orket.tasks.sandboxes import open_sandbox
from tests.places import FIXTURES, ROOT

TEXT = (FIXTURES / "tasks" / "written_answers.md").read_text(encoding="utf-8")
_, *PARTS = re.split(r"^## (\S+)\n", TEXT, flags=re.MULTILINE)
ANSWERS = list(zip(PARTS[::2], PARTS[1::2], strict=True))
TASKS = {task.id: task for task in load_bank("core").tasks}
DOCS = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")


def judge_all(name: str) -> Counter[str]:
    """Answers by what became of them; every one of them is right."""
    sandbox = open_sandbox(name)
    assert sandbox is not None
    found: Counter[str] = Counter()
    for task_id, answer in ANSWERS:
        task = TASKS[task_id]
        facts = check_answer(task, answer, sandbox)
        assert facts.checks_passed == facts.checks_total, (name, answer, facts)
        found["judged" if not facts.checks_unsupported else "unsupported"] += 1
    sandbox.close()
    return found


def test_every_task_that_runs_code_has_an_answer() -> None:
    code = {task.id for task in TASKS.values() if task.needs_sandbox}
    assert code == {task_id for task_id, _ in ANSWERS}


@pytest.mark.parametrize("name", ["process", "monty+process"])
def test_an_interpreter_of_python_judges_them_all(name: str) -> None:
    assert judge_all(name) == {"judged": len(ANSWERS)}


def test_the_docs_say_how_many_monty_can_judge() -> None:
    found = judge_all("monty")
    said = f"{found['judged']} of {len(ANSWERS)} right answers"
    assert said in " ".join(DOCS.split())
