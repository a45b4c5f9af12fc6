"""The default sandbox: pydantic-monty, a Python interpreter without a host.

What it cannot parse or import says nothing about the answer, so it is told apart
from the answer's own errors: by where the error came from, not by its words alone.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import importlib
import re
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from orket.errors import MissingExtra
from orket.tasks.answer import parse_code
from orket.tasks.sandbox import (
    ANSWER_SECONDS,
    CALL_SECONDS,
    FROZEN_EPOCH_SECONDS,
    MEMORY_BYTES,
    OUTPUT_BYTES,
    RAISED,
    STOPPED,
    UNSUPPORTED,
    VALUE,
    Outcome,
)

_MAX_RECURSION = 500

_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_NO_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_NO_GLOBAL = re.compile(r"name '(\w+)' is not defined")
_NO_MEMBER = re.compile(
    r"(module|type object)? ?'([\w.]+)'(?: object)? has no attribute '(\w+)'"
)
_NO_INSTANCE = re.compile(r"cannot create '(\w+)' instances")
_QUOTED = re.compile(r"'(\w+)'")


class MontySandbox:
    """A pool of one monty worker; each answer gets a session of its own."""

    name = "monty"

    def __init__(self, call_seconds: float = CALL_SECONDS) -> None:
        try:
            import pydantic_monty
        except ImportError:
            raise MissingExtra(
                "pydantic-monty", "sandbox", "running code answers"
            ) from None
        self._monty = pydantic_monty
        self._call_seconds = call_seconds
        self._exits = ExitStack()
        self._pool: Any = None
        self.label = f"monty {pydantic_monty.__version__}"

    def run(self, code: str, calls: Sequence[str]) -> list[Outcome]:
        """Run the code, then each call, in one fresh session."""
        outcomes: list[Outcome] = []
        started = time.monotonic()
        try:
            with self._open_pool().checkout(**self._rules()) as session:
                prints = self._monty.CollectString(OUTPUT_BYTES)
                for snippet in (code, *calls):
                    if time.monotonic() - started > ANSWER_SECONDS:
                        outcomes.append(Outcome(STOPPED, reason="TIME_LIMIT"))
                    else:
                        outcomes.append(self._feed(session, snippet, code, prints))
                    # Nothing holds of a session that a limit has stopped, and no
                    # call means anything when the code itself did not run.
                    if outcomes[-1].kind in (STOPPED, UNSUPPORTED) or (
                        len(outcomes) == 1 and outcomes[0].kind != VALUE
                    ):
                        break
        except (self._monty.MontyError, OSError, TimeoutError) as error:
            outcomes.append(Outcome(UNSUPPORTED, reason=_sandbox_reason(error)))
        results = outcomes[1:] if len(outcomes) > 1 else []
        return results + [outcomes[-1]] * (len(calls) - len(results))

    def close(self) -> None:
        """End the workers."""
        self._exits.close()
        self._pool = None

    def _open_pool(self) -> Any:
        if self._pool is None:
            pool = self._monty.Monty(
                min_processes=0, max_processes=1, request_timeout=ANSWER_SECONDS + 2
            )
            self._pool = self._exits.enter_context(pool)
        return self._pool

    def _rules(self) -> dict[str, Any]:
        """Limits, a clock that stands still and a seeded random generator."""
        now = datetime.datetime.fromtimestamp(FROZEN_EPOCH_SECONDS, datetime.UTC)
        return {
            "limits": {
                "max_feed_duration_secs": self._call_seconds,
                "max_memory": MEMORY_BYTES,
                "max_recursion_depth": _MAX_RECURSION,
                "max_suspensions": 100,
            },
            "os_policy": {
                "datetime": now,
                "sleep": "zero",
                "random_start": {"seed": 0},
            },
            "assert_message_annotations": False,
        }

    def _feed(self, session: Any, snippet: str, code: str, prints: Any) -> Outcome:
        """Run one snippet and say what it did."""
        monty = self._monty
        try:
            # Not "__main__": what stands below such a test is not asked for.
            value = session.feed_run(
                snippet, inputs={"__name__": "answer"}, print_callback=prints
            )
            return Outcome(VALUE, value)
        except monty.MontyCrashedError as error:
            reason = "TIME_LIMIT" if error.timed_out else "CRASHED"
            return Outcome(STOPPED, reason=reason)
        except monty.MontySyntaxError:
            if snippet == code and _compiles(code):
                return Outcome(UNSUPPORTED, reason="SYNTAX")
            return Outcome(RAISED, error=("SyntaxError", "Exception"))
        except monty.MontyRuntimeError as error:
            return _judge_error(error, code)
        except monty.MontyConversionError:
            return Outcome(VALUE, ...)


def _judge_error(error: Any, code: str) -> Outcome:
    """Tell a limit, something monty lacks and the answer's own error apart."""
    raised = error.exception()
    names = tuple(kind.__name__ for kind in type(raised).__mro__[:-1])
    message = str(raised)
    if isinstance(raised, TimeoutError) and "time limit exceeded" in message:
        return Outcome(STOPPED, reason="TIME_LIMIT")
    if isinstance(raised, MemoryError) and "limit exceeded" in message:
        is_print = message.endswith(f"> {OUTPUT_BYTES} bytes")
        return Outcome(STOPPED, reason="OUTPUT_LIMIT" if is_print else "MEMORY_LIMIT")
    if isinstance(raised, NotImplementedError) and _is_from_parser(error):
        return Outcome(UNSUPPORTED, reason="SYNTAX")
    if not _is_raised_by(error, code) and (lacks := _find_lack(raised, message, code)):
        return Outcome(UNSUPPORTED, reason=lacks)
    return Outcome(RAISED, error=names)


def _is_from_parser(error: Any) -> bool:
    """Errors of monty's parser have a last frame outside of any function."""
    frames = error.traceback()
    return bool(frames) and frames[-1].function_name is None


def _is_raised_by(error: Any, code: str) -> bool:
    """Whether the error comes from a raise or assert statement of the answer."""
    frames = error.traceback()
    if not frames:
        return False
    line = frames[-1].line
    return any(
        isinstance(node, ast.Raise | ast.Assert)
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        for node in _walk(code)
    )


def _find_lack(raised: BaseException, message: str, code: str) -> str | None:
    """Reason code when CPython has what monty does not; None when neither has it."""
    if "not yet support" in message:
        return "SYNTAX"
    if found := _NO_MODULE.search(message):
        known = found[1].partition(".")[0] in sys.stdlib_module_names
        return "MODULE" if known else None
    if found := _NO_NAME.search(message):
        return "MODULE" if _has_member(found[2], found[1]) else None
    if isinstance(raised, NameError) and (found := _NO_GLOBAL.search(message)):
        return "BUILTIN" if hasattr(builtins, found[1]) else None
    if isinstance(raised, AttributeError) and (found := _NO_MEMBER.search(message)):
        if found[1] == "module":
            return "MODULE" if _has_member(found[2], found[3]) else None
        return "BUILTIN" if hasattr(_builtin(found[2]), found[3]) else None
    if isinstance(raised, TypeError):
        return _find_type_lack(message, code)
    return None


def _find_type_lack(message: str, code: str) -> str | None:
    """A built-in type that cannot be made, or a special method that is not heard."""
    if (found := _NO_INSTANCE.search(message)) and _builtin(found[1]) is not None:
        return "BUILTIN"
    named = set(_QUOTED.findall(message))
    for node in _walk(code):
        if isinstance(node, ast.ClassDef) and node.name in named:
            methods = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
            if any(m.startswith("__") and m != "__init__" for m in methods):
                return "SPECIAL_METHOD"
    return None


def _builtin(name: str) -> Any:
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) else None


def _has_member(module: str, name: str) -> bool:
    """Whether CPython's module has this name.

    Only modules that monty has too get here, all of them harmless to import.
    """
    if module not in sys.stdlib_module_names:
        return False
    return hasattr(importlib.import_module(module), name)


def _compiles(code: str) -> bool:
    """Whether CPython accepts the code; nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "answer", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _walk(code: str) -> Iterator[ast.AST]:

    try:
        return ast.walk(parse_code(code))
    except ValueError:
        return iter(())


def _sandbox_reason(error: BaseException) -> str:
    return f"SANDBOX_FAILED: {type(error).__name__}"
