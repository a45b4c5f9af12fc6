"""Tells a Ctrl-C from a fault, whatever it became on its way."""

from __future__ import annotations

from orket.errors import OrketError


def is_interrupt(failure: BaseException) -> bool:
    """Whether a Ctrl-C is behind it: DuckDB makes an error of its own of one."""
    if isinstance(failure, KeyboardInterrupt):
        return True
    kind = type(failure)
    if kind.__name__ == "InterruptException" and "duckdb" in kind.__module__:
        return True
    if kind is RuntimeError and str(failure) == "Query interrupted":
        return True
    behind = failure.__cause__
    # Errors of ours say why they were raised; any other stands for what it met.
    if behind is None and not isinstance(failure, OrketError):
        behind = failure.__context__
    return behind is not None and is_interrupt(behind)
