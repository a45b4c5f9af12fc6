"""Which servers of a sweep still answer, by what its blocks found."""

from __future__ import annotations

from orket.errors import OrketError
from orket.planning.plan import Plan
from orket.planning.targets import Target


class Health:
    """The last that was seen of each target, and of the server behind it."""

    def __init__(self, plan: Plan) -> None:
        self._targets: dict[str | None, list[Target]] = {}
        for model in plan.models:
            for target in model.targets:
                self._targets.setdefault(target.url, []).append(target)
        self._gone: dict[str | None, OrketError] = {}
        self._failing: dict[tuple[str, str], OrketError] = {}

    def saw_answer(self, target: Target) -> None:
        """A call of a block was answered."""
        self._gone.pop(target.url, None)
        self._failing.pop(_key(target), None)

    def saw_failure(self, target: Target, cause: OrketError) -> None:
        """A whole block went without an answer."""
        self._failing[_key(target)] = cause

    def saw_nothing(self, target: Target, cause: OrketError) -> None:
        """Nobody is there at the target's server."""
        self._gone[target.url] = cause
        self._failing[_key(target)] = cause

    def is_gone(self, target: Target) -> bool:
        """Whether nobody was there when the target's server was last asked."""
        return target.url in self._gone

    def all_gone(self) -> OrketError | None:
        """Why no server of the plan is there any more; None while one is."""
        return self.lost()[0] if len(self._gone) == len(self._targets) else None

    def gone(self) -> list[OrketError]:
        """Why each server is gone at which nobody was when it was last asked."""
        return list(self._gone.values())

    def lost(self) -> list[OrketError]:
        """Why each lost server is: it is gone, or answers none of its targets.

        One quant that fails while others of its server do not is a fact about it.
        """
        causes = []
        for url, targets in self._targets.items():
            failing = [self._failing.get(_key(target)) for target in targets]
            if url in self._gone:
                causes.append(self._gone[url])
            elif failing[0] is not None and None not in failing:
                causes.append(failing[0])
        return causes


def _key(target: Target) -> tuple[str, str]:
    return target.ref.model_id, target.ref.quant_tag
