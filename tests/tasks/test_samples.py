"""Sample answers of a user's bank, tried on its own checks before any call."""

from __future__ import annotations

from pathlib import Path

import pytest

from orket.errors import UsageError
from orket.tasks.bank import load_bank
from orket.tasks.samples import prove_samples

BANK = """\
schema_version = 1
bank = "own"
title = "Own"

[[tasks]]
id = "sum"
bucket = "logic"
prompt = "6 * 7?"
max_tokens = 8
[[tasks.checks]]
kind = "numeric"
expected = 42
[tasks.samples]
pass = ["42", "It is 42"]
fail = ["41", "forty-two"]

[[tasks]]
id = "twice"
bucket = "refactor"
prompt = "Write f."
max_tokens = 64
[[tasks.checks]]
kind = "regex"
expected = "def"
[[tasks.checks]]
kind = "python_cases"
cases = [{ call = "f(2)", expected = "4" }]
[tasks.samples]
pass = ["def f(x):\\n    return 2 * x"]
fail = ["def f(x):\\n    return x", "f = 2"]
"""


def prove(folder: Path, text: str, sandbox: str | None = None) -> None:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    bank = load_bank(path)
    prove_samples(bank, bank.tasks, sandbox)


def test_samples_that_agree_with_their_checks_say_nothing(tmp_path: Path) -> None:
    prove(tmp_path, BANK)
    prove(tmp_path, BANK, "process")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"It is 42"',
            '"It is 43"',
            "bank 'own', task 'sum': sample 2 of `pass` (\"It is 43\") "
            "fails check 1, numeric (DIFFERENT_NUMBER)",
        ),
        (
            '"forty-two"',
            '"forty-two: 42"',
            "bank 'own', task 'sum': sample 2 of `fail` (\"forty-two: 42\") "
            "passes every check",
        ),
        (
            "return 2 * x",
            "return 3 * x",
            "task 'twice': sample 1 of `pass` (\"def f(x):\\n    return 3 * x\") "
            "fails check 2, python_cases (DIFFERENT_RESULT)",
        ),
        (
            "return x",
            "return x + x",
            "task 'twice': sample 1 of `fail` (\"def f(x):\\n    return x + x\") "
            "passes every check",
        ),
    ],
)
def test_a_sample_that_contradicts_its_task_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(UsageError) as raised:
        prove(tmp_path, BANK.replace(old, new, 1))

    assert said in str(raised.value)
    assert "own.toml: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_cannot_be_run_contradicts_nothing(tmp_path: Path) -> None:
    wrong = BANK.replace("return 2 * x", "return 3 * x")
    prove(tmp_path, wrong, "none")


def test_the_shipped_banks_are_taken_on_trust() -> None:
    bank = load_bank("core")
    prove_samples(bank, bank.tasks, "none")
