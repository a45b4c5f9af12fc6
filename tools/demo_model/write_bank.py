"""Write the quickstart's task bank from the held-out part of the generator."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.demo_model.generator import Check, Example, held_out_stream
from tools.demo_model.grading import passes_all

SEED = 1
TIERS = (1, 2, 3)
LONG = 40
MARGIN = 4
PER_TIER = {
    "truth": 6,
    "compare": 6,
    "sort": 5,
    "sum": 5,
    "max": 2,
    "rename": 6,
    "swap": 6,
    "wrap": 6,
    "flip": 6,
    "json": 7,
    "csv": 7,
    "reverse": 7,
    "extract": 3,
}
# The top tier of these families is long enough to time a generation with.
LONG_TOP_TIER = {"truth", "compare", "sum", "rename", "swap", "wrap", "flip", "json"}

HEAD = """\
# Written by tools/demo_model/write_bank.py from prompts the demo model was never
# trained on. Change the generator, not this file.

schema_version = 1
bank = "quickstart"
title = "Quickstart tasks for the demo model"
description = \"\"\"
Small synthetic tasks in three buckets, made for the tiny model that ships with
Orket. They show how a measurement works; they say nothing about larger models.\"\"\"
"""


def chosen(family: str, tier: int) -> list[Example]:
    """Take the first held-out examples, only long ones where the tier promises it."""
    stream: Iterator[Example] = held_out_stream(SEED, family, tier)
    if tier == TIERS[-1] and family in LONG_TOP_TIER:
        stream = (e for e in stream if len(e.answer) >= LONG)
    return list(itertools.islice(stream, PER_TIER[family]))


def check_record(check: Check) -> dict[str, Any]:
    """Return a check as the bank spells it."""
    record: dict[str, Any] = {"kind": check.kind, "expected": check.expected}
    if check.kind == "numeric":
        record["tolerance"] = 0.0
    return record


def right_answers(example: Example) -> list[str]:
    """Return the answer, for JSON also without the blanks that do not matter."""
    if any(check.kind == "json_equal" for check in example.checks):
        compact = json.dumps(json.loads(example.answer), separators=(",", ":"))
        return [example.answer, compact]
    return [example.answer]


def task_text(example: Example, number: int) -> str:
    """Return one task in TOML, after trying its samples on its own checks.

    JSON strings of ASCII text are TOML strings as well.
    """
    checks = [check_record(check) for check in example.checks]
    right, wrong = right_answers(example), list(example.wrong)
    if not all(passes_all(answer, checks) for answer in right):
        raise ValueError(f"a right answer fails: {example}")
    if any(passes_all(answer, checks) for answer in wrong):
        raise ValueError(f"a wrong answer passes: {example}")
    lines = [
        "",
        "[[tasks]]",
        f'id = "{example.bucket}-{example.family}-{number:03d}"',
        f'bucket = "{example.bucket}"',
        f"tier = {example.tier}",
        f'family = "{example.family}"',
        f"prompt = {json.dumps(example.prompt)}",
        f"max_tokens = {len(example.answer) + MARGIN}",
    ]
    for check in checks:
        lines.append("[[tasks.checks]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in check.items()]
    lines += ["[tasks.samples]", f"pass = {json.dumps(right)}"]
    lines.append(f"fail = {json.dumps(wrong)}")
    return "\n".join(lines) + "\n"


def bank_text() -> str:
    """Return the whole bank."""
    parts = [HEAD]
    for family in PER_TIER:
        examples = [e for tier in TIERS for e in chosen(family, tier)]
        parts += [task_text(e, n) for n, e in enumerate(examples, start=1)]
    return "".join(parts)


def main() -> None:
    """Read the command line and write the bank."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path, help="presets/tasks/quickstart.toml")
    args = parser.parse_args()
    args.bank.write_text(bank_text())


if __name__ == "__main__":
    main()
