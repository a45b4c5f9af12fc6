"""Judges one answer by the checks of its task: counts and reasons, no verdict.

Deterministic and total: any text gives check facts, and no text raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from orket.records import CheckFacts
from orket.tasks import checks as kinds
from orket.tasks.answer import (
    MAX_ANSWER_CHARS,
    Answer,
    last_number,
    normalise,
    read_answer,
    read_json,
    same_json,
    strip_decoration,
    whole_number,
)
from orket.tasks.bank import Task
from orket.tasks.code_checks import try_code
from orket.tasks.damage import find_damage
from orket.tasks.finding import FAILED, PASSED, UNSUPPORTED, Finding, verdict
from orket.tasks.sandbox import Sandbox

CHECKER_VERSION = "2"
"""Changes whenever an answer could be judged differently than before."""

UNPARSEABLE_REASONS = ("JSON_INVALID", "JSON_TOO_DEEP", "CODE_INVALID")


def check_answer(
    task: Task,
    text: str | None,
    sandbox: Sandbox | None = None,
    stop_reason: str | None = None,
) -> CheckFacts:
    """Try every check of the task on an answer; None is an empty answer.

    Never raises: a check that breaks is unsupported, and says so.
    """
    raw = text or ""
    is_too_long = len(raw) > MAX_ANSWER_CHARS
    used_sandbox = sandbox.name if sandbox is not None and task.needs_sandbox else None
    damage, code_chars = None, 0
    try:
        answer = read_answer(raw[:MAX_ANSWER_CHARS])
        code_chars = answer.code_chars
        findings = [
            Finding(FAILED, "ANSWER_TOO_LONG")
            if is_too_long
            else try_check(check, answer, sandbox)
            for check in task.checks
        ]
        damage = _find_damage(task, answer, findings, stop_reason)
    except Exception as error:
        findings = [_broken(error)] * len(task.checks)
    passed = sum(finding.status == PASSED for finding in findings)
    failed = sum(finding.status == FAILED for finding in findings)
    return CheckFacts(
        checks_passed=passed,
        checks_total=passed + failed,
        checks_unsupported=len(findings) - passed - failed,
        check_details=_describe(task, findings),
        format_damage=damage,
        answer_chars=len(raw),
        code_chars=code_chars,
        checker_version=CHECKER_VERSION,
        sandbox=used_sandbox,
    )


def try_check(check: kinds.Check, answer: Answer, sandbox: Sandbox | None) -> Finding:
    """Try one check. Never raises: where judging breaks, nothing was found out."""
    trial = _TRIALS.get(type(check))
    try:
        return trial(check, answer) if trial else try_code(check, answer, sandbox)
    except Exception as error:
        return _broken(error)


def _broken(error: Exception) -> Finding:
    """A fault of the checker is neither a pass nor a fail of the answer."""
    return Finding(UNSUPPORTED, "CHECKER_FAILED", {"error": type(error).__name__})


def _find_damage(
    task: Task, answer: Answer, findings: list[Finding], stop_reason: str | None
) -> str | None:
    failed = [finding for finding in findings if finding.status == FAILED]
    if not failed:
        return None
    return find_damage(
        answer,
        language=task.language,
        stop_reason=stop_reason,
        unparseable=any(f.reason in UNPARSEABLE_REASONS for f in failed),
    )


def _describe(task: Task, findings: list[Finding]) -> str:
    """One JSON entry per check, in the task's order."""
    entries = []
    for check, finding in zip(task.checks, findings, strict=True):
        entry: dict[str, Any] = {
            "kind": str(check.__struct_config__.tag),
            "status": finding.status,
        }
        if finding.reason is not None:
            entry["reason"] = finding.reason
        entries.append(entry | (finding.detail or {}))
    return json.dumps(entries, separators=(",", ":"))


def _clean(text: str) -> str:
    """A text as `exact` compares it: no white space at the ends of lines."""
    return "\n".join(line.rstrip() for line in normalise(text).strip().split("\n"))


def _try_exact(check: kinds.Exact, answer: Answer) -> Finding:
    found, expected = _clean(answer.text), _clean(check.expected)
    if check.bare:
        found, expected = strip_decoration(found), strip_decoration(expected)
    if check.ignore_case:
        found, expected = found.casefold(), expected.casefold()
    return verdict(found == expected, "DIFFERENT_TEXT")


def _contains(check: kinds.Contains | kinds.Excludes, answer: Answer) -> bool:
    text, expected = answer.text, normalise(check.expected)
    if check.ignore_case:
        text, expected = text.casefold(), expected.casefold()
    return expected in text


def _try_contains(check: kinds.Contains, answer: Answer) -> Finding:
    return verdict(_contains(check, answer), "TEXT_MISSING")


def _try_excludes(check: kinds.Excludes, answer: Answer) -> Finding:
    # An empty answer has nothing of anything; that is no merit.
    return verdict(
        bool(answer.text) and not _contains(check, answer),
        "TEXT_PRESENT" if answer.text else "NO_ANSWER",
    )


def _try_regex(check: kinds.Regex, answer: Answer) -> Finding:
    found = kinds.is_found(normalise(check.expected), answer.text)
    return verdict(found, "PATTERN_MISSING")


def _try_numeric(check: kinds.Numeric, answer: Answer) -> Finding:
    read = whole_number if check.read == "whole" else last_number
    try:
        found = read(answer.text)
    except ValueError as error:
        return Finding(FAILED, str(error))
    expected = _decimal(check.expected)
    allowed = max(
        _decimal(check.tolerance), _decimal(check.relative_tolerance) * abs(expected)
    )
    return verdict(abs(found - expected) <= allowed, "DIFFERENT_NUMBER")


def _decimal(number: int | float) -> Fraction:
    """A number of the bank as it was written: 0.1 is one tenth."""
    return Fraction(repr(number))


def _try_json_equal(check: kinds.JsonEqual, answer: Answer) -> Finding:
    try:
        found = read_json(answer)
    except ValueError as error:
        return Finding(FAILED, str(error))
    return verdict(same_json(found, json.loads(check.expected)), "DIFFERENT_JSON")


def _try_json_schema(check: kinds.JsonSchema, answer: Answer) -> Finding:
    from orket.tasks.json_schema import fits_schema

    try:
        found = read_json(answer)
    except ValueError as error:
        return Finding(FAILED, str(error))
    return verdict(fits_schema(check.expected, found), "SCHEMA_VIOLATED")


_TRIALS: dict[type[kinds.Check], Callable[[Any, Answer], Finding]] = {
    kinds.Exact: _try_exact,
    kinds.Contains: _try_contains,
    kinds.Excludes: _try_excludes,
    kinds.Regex: _try_regex,
    kinds.Numeric: _try_numeric,
    kinds.JsonEqual: _try_json_equal,
    kinds.JsonSchema: _try_json_schema,
}
