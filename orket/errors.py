"""Everything Orket raises on purpose.

OrketError                 one line for a person, with what to do about it
|-- UsageError             exit 2: bad usage or bad input (preset, file, option)
|   |-- SeveralModels      exit 2: one model is to be measured, and several are there
|   `-- MissingExtra       exit 2: an optional dependency is not installed
|-- WarehouseError         exit 1: the warehouse cannot be read or written
|-- LimitReached         exit 1: a query needs more time or memory than it may take
|-- EngineError            exit 1: a model server could not be started or died
|-- ServerError            exit 1: a model server is not there or refuses
|-- GateFailed             exit 3: the canary gate failed
`-- CheckFailed            exit 4: an SLO or health check is not met, or damage
"""

from __future__ import annotations

from collections.abc import Sequence


class OrketError(Exception):
    """A failure a person can act on: `message` says what and where, `hint` what to do.

    The command line prints both on one line and exits with `exit_code`.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message


class UsageError(OrketError):
    """The request itself is wrong: a typo in a preset, an unknown name, a bad row."""

    exit_code = 2


class SeveralModels(UsageError):
    """More than one model was found where one is to be measured."""

    def __init__(self, message: str, models: Sequence[str]) -> None:
        super().__init__(message, f"choose one with --model: {', '.join(models)}")
        self.models = tuple(models)


class MissingExtra(UsageError):
    """An optional dependency is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}",
            f'install it with: pip install "orket[{extra}]"',
        )


class WarehouseError(OrketError):
    """The warehouse cannot be read or written: a full disk, a torn part, no right."""


class LimitReached(OrketError):
    """A query of the user's own needs more time or memory than it was given."""


class EngineError(OrketError):
    """A model server that Orket starts itself did not start, or died."""


class ServerError(OrketError):
    """A model server is not there, refuses, or is not what it was said to be."""


class GateFailed(OrketError):
    """The canary gate failed: the machine or the server is not fit to measure on."""

    exit_code = 3


class CheckFailed(OrketError):
    """An SLO or a health check is not met, or there is no recommendation."""

    exit_code = 4
