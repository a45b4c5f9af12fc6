"""Who is told how a sweep goes, and what there is to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orket.planning.estimate import Slack, Span, spread
from orket.planning.plan import Plan
from orket.records import RunRecord

Key = tuple[str, str]
"""Model and quant."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What still lies ahead; times in seconds, None: not known."""

    least: float | None
    """What is asked in any case, without a retry."""
    most: float | None
    """Everything that was planned."""
    used: float
    """By this executor and, under a budget, by earlier ones."""
    next: tuple[Key, ...] = ()
    """Whose blocks come, in order."""
    usual: float | None = None
    """What rounds usually come to, between the two; 0 where they have gone beyond it,
    None of a grid."""
    slack: Slack | None = Slack()
    """By how much these times may be off; None: nothing was measured of them."""
    bound: float | None = None
    """What a budget leaves of time; None without one."""

    def __post_init__(self) -> None:
        if self.least is not None and self.most is not None:
            object.__setattr__(self, "least", min(self.least, self.most))
        if self.usual:
            usual = max(self.usual, self.least or 0.0)
            most = usual if self.most is None else self.most
            object.__setattr__(self, "usual", min(usual, most))

    @property
    def whole(self) -> Span | None:
        """How long everything takes that was planned."""
        return spread(self.most, self.most, self.slack)

    @property
    def mostly(self) -> Span | None:
        """How long rounds usually take, from what is asked in any case."""
        least = self.least if self.usual else self.usual
        return spread(least, self.usual, self.slack)

    @property
    def is_known(self) -> bool:
        """Whether any call tells how long it takes."""
        return self.whole is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the quants stand by the views."""

    quants: Sequence[Mapping[str, Any]]
    """Rows of v1.quant_standing, by model, the most precise first."""
    lines: Mapping[str, Sequence[str]]
    """The recommendation as it would be by now, of each model that has one."""
    busiest: str | None = None
    """Where runs were disturbed: the program that used most of the CPUs since the last
    look, and how much; None where none stands out."""


class Reporter(Protocol):
    """Who is told how the sweep goes; the command line draws it."""

    @property
    def watches(self) -> bool:
        """Whether somebody looks at standings: they cost a look at the views."""
        ...

    def started(self, plan: Plan, total: int) -> None:
        """The sweep begins with this many calls ahead."""
        ...

    def loading(self, model_id: str, quant_tag: str) -> None:
        """A model is being made resident."""
        ...

    def extended(self, calls: int) -> None:
        """So many calls more than planned lie ahead: a retry pass, an anchor."""
        ...

    def recorded(self, row: RunRecord) -> None:
        """A call is durable."""
        ...

    def followed(self, model_id: str, quant_tag: str) -> None:
        """A quant was asked about a prompt of the phase `fidelity`."""
        ...

    def judged(self, polluted: int) -> None:
        """So many planned runs have no clean attempt yet, by the view."""
        ...

    def stands(self, standing: Standing) -> None:
        """How the quants stand, by the views."""
        ...

    def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
        """The phase `fidelity` is over: rows of v1.fidelity, the most precise first."""
        ...

    def agrees(self, ahead: Ahead, basis: str) -> bool:
        """Whether the sweep may go on with what lies ahead; `basis`: by what it tells.

        Asked before the first call after the gate, and again when a time that was not
        known then is known.
        """
        ...

    def goes_on(self, ahead: Ahead) -> None:
        """What lies ahead by now; told before each block."""
        ...

    def waits(self, text: str) -> None:
        """What the executor waits for, in one line."""
        ...

    def note(self, text: str) -> None:
        """Something a person should know, in one line."""
        ...


class Silence:
    """A reporter that says nothing."""

    watches = False

    def started(self, plan: Plan, total: int) -> None:
        return

    def loading(self, model_id: str, quant_tag: str) -> None:
        return

    def extended(self, calls: int) -> None:
        return

    def recorded(self, row: RunRecord) -> None:
        return

    def followed(self, model_id: str, quant_tag: str) -> None:
        return

    def judged(self, polluted: int) -> None:
        return

    def stands(self, standing: Standing) -> None:
        return

    def faithful(self, quants: Sequence[Mapping[str, Any]]) -> None:
        return

    def agrees(self, ahead: Ahead, basis: str) -> bool:
        return True

    def goes_on(self, ahead: Ahead) -> None:
        return

    def waits(self, text: str) -> None:
        return

    def note(self, text: str) -> None:
        return
