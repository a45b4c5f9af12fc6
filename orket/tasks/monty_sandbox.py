"""The default sandbox: pydantic-monty, a Python interpreter without a host.

What it cannot parse or import says nothing about the answer, so it is told apart
from the answer's own errors: by where the error came from, not by its words alone.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import re
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from orket.errors import MissingExtra
from orket.tasks.answer import parse_code
from orket.tasks.monty_code import adapt_code, has_member
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
from orket.tasks.values import ENCODE, ENCODER, read_value

_MAX_RECURSION = 500

# Monty's own words: what an answer puts into a message stands in quotes.
_NOT_YET = re.compile(r"[^'\"]*not yet support")
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
        try:
            adapted = adapt_code(code)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            adapted = code
        outcomes: list[Outcome] = []
        started = time.monotonic()
        try:
            with self._open_pool().checkout(**self._rules()) as session:
                prints = self._monty.CollectString(OUTPUT_BYTES)
                # Only a text crosses: whatever the answer leaves behind is spelled out
                # inside, by a function that is defined afresh for every call.
                snippets = [f"{adapted}\nNone"]
                snippets += [f"{ENCODER}\n{ENCODE}(\n{call}\n)" for call in calls]
                for number, snippet in enumerate(snippets):
                    if time.monotonic() - started > ANSWER_SECONDS:
                        outcomes.append(Outcome(STOPPED, reason="TIME_LIMIT"))
                    else:
                        answer = adapted if number == 0 else None
                        found = self._feed(session, snippet, adapted, answer, prints)
                        outcomes.append(found)
                    # Nothing holds of a session that a limit has stopped, and no
                    # call means anything when the code itself did not run.
                    if outcomes[-1].kind in (STOPPED, UNSUPPORTED) or (
                        number == 0 and outcomes[0].kind != VALUE
                    ):
                        break
        except (self._monty.MontyError, OSError, TimeoutError) as error:
            self.close()
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

    def _feed(
        self, session: Any, snippet: str, code: str, answer: str | None, prints: Any
    ) -> Outcome:
        """Run one snippet and say what it did; `answer` where it is the code itself."""
        monty = self._monty
        try:
            # Not "__main__": what stands below such a test is not asked for.
            coded = session.feed_run(
                snippet, inputs={"__name__": "answer"}, print_callback=prints
            )
        except monty.MontyCrashedError as error:
            if error.timed_out:
                return Outcome(STOPPED, reason="TIME_LIMIT")
            # A fault of the interpreter says nothing about the answer.
            return Outcome(UNSUPPORTED, reason="CRASHED")
        except monty.MontySyntaxError:
            if answer is not None and _compiles(answer):
                return Outcome(UNSUPPORTED, reason="SYNTAX")
            return Outcome(RAISED, error=("SyntaxError", "Exception"))
        except monty.MontyRuntimeError as error:
            return _judge_error(error, code)
        return Outcome(VALUE) if answer is not None else read_value(coded)


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
    if isinstance(raised, RuntimeError) and not error.traceback():
        # Such as an exception made with anything but a text.
        return Outcome(UNSUPPORTED, reason="INTERNAL")
    if not _is_raised_by(error, raised, code) and (
        lacks := _find_lack(raised, message, code)
    ):
        return Outcome(UNSUPPORTED, reason=lacks)
    return Outcome(RAISED, error=names)


def _is_from_parser(error: Any) -> bool:
    """Errors of monty's parser have a last frame outside of any function."""
    frames = error.traceback()
    return bool(frames) and frames[-1].function_name is None


def _is_raised_by(error: Any, raised: BaseException, code: str) -> bool:
    """Whether the error comes from a raise or assert statement of the answer."""
    frames = error.traceback()
    return bool(frames) and any(
        isinstance(node, ast.Raise | ast.Assert)
        and node.lineno <= frames[-1].line <= (node.end_lineno or node.lineno)
        and _can_raise(node, raised)
        for node in _walk(code)
    )


def _can_raise(node: ast.Raise | ast.Assert, raised: BaseException) -> bool:
    """Whether the statement raises such an error, and not one while it is evaluated."""
    if isinstance(node, ast.Assert):
        return isinstance(raised, AssertionError)
    made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    # Of a variable, a bare `raise` or an expression the class is not known.
    known = getattr(builtins, made.id, None) if isinstance(made, ast.Name) else None
    return known is None or known is type(raised)


def _find_lack(raised: BaseException, message: str, code: str) -> str | None:
    """Reason code when CPython has what monty does not; None when neither has it."""
    # The words alone prove nothing: an answer may have put them there.
    is_lack = isinstance(raised, NotImplementedError | TypeError)
    if is_lack and _NOT_YET.match(message):
        return "SYNTAX"
    if isinstance(raised, ImportError):
        return _find_import_lack(message)
    if isinstance(raised, NameError) and (found := _NO_GLOBAL.match(message)):
        return "BUILTIN" if hasattr(builtins, found[1]) else None
    if isinstance(raised, AttributeError) and (found := _NO_MEMBER.match(message)):
        if found[1] == "module":
            return "MODULE" if has_member(found[2], found[3]) else None
        return "BUILTIN" if hasattr(_builtin(found[2]), found[3]) else None
    if isinstance(raised, TypeError):
        return _find_type_lack(message, code)
    return None


def _find_import_lack(message: str) -> str | None:
    if found := _NO_MODULE.match(message):
        known = found[1].partition(".")[0] in sys.stdlib_module_names
        return "MODULE" if known else None
    found = _NO_NAME.match(message)
    return "MODULE" if found and has_member(found[2], found[1]) else None


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
