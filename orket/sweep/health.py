"""Which servers of a sweep still answer, by what its blocks found."""

from __future__ import annotations

from orket.errors import OrketError
from orket.planning.plan import Plan
from orket.planning.targets import Target

MOST_FAILED_LOADS = 2
"""So often a quant is tried to be loaded in vain, by one executor."""


class Health:
    """The last that was seen of each target, and of the server behind it."""

    def __init__(self, plan: Plan) -> None:
        self._targets: dict[str | None, list[Target]] = {}
        for model in plan.models:
            for target in model.targets:
                self._targets.setdefault(target.url, []).append(target)
        self._gone: dict[str | None, OrketError] = {}
        self._failing: dict[tuple[str, str], OrketError] = {}
        self._silent: set[tuple[str, str]] = set()
        self._failed_loads: dict[tuple[str, str], int] = {}
        self._left_out: dict[tuple[str, str], OrketError] = {}

    def saw_answer(self, target: Target) -> None:
        """A call of a block was answered."""
        self._gone.pop(target.url, None)
        self._failing.pop(_key(target), None)
        self._silent.discard(_key(target))

    def saw_failure(self, target: Target, cause: OrketError) -> None:
        """A whole block went without an answer."""
        self._failing[_key(target)] = cause

    def saw_silence(self, target: Target, cause: OrketError) -> None:
        """The server is there, and its calls of this target hang."""
        self._failing[_key(target)] = cause
        self._silent.add(_key(target))

    def saw_nothing(self, target: Target, cause: OrketError) -> None:
        """Nobody is there at the target's server."""
        self._gone[target.url] = cause
        self._failing[_key(target)] = cause

    def saw_load(self, target: Target) -> None:
        """It could be loaded."""
        self._failed_loads.pop(_key(target), None)

    def saw_failed_load(self, target: Target, cause: OrketError) -> bool:
        """It could not be loaded, by its own fault; says whether it is left out now."""
        key = _key(target)
        self._failed_loads[key] = self._failed_loads.get(key, 0) + 1
        if self._failed_loads[key] < MOST_FAILED_LOADS or key in self._left_out:
            return False
        self._left_out[key] = cause
        return True

    def left_out(self, model_id: str, quant_tag: str) -> OrketError | None:
        """Why a quant is not loaded any more; None where it may be tried."""
        return self._left_out.get((model_id, quant_tag))

    def is_gone(self, target: Target) -> bool:
        """Whether nobody was there when the target's server was last asked."""
        return target.url in self._gone

    def all_gone(self) -> OrketError | None:
        """Why no server of the plan answers a call any more; None while one may."""
        left = [url for url in self._targets if not self._is_given_up(url)]
        return None if left else self.lost()[0]

    def gone(self) -> list[OrketError]:
        """Why a server is lost: nobody was there when asked last, or calls hung."""
        hung = [self._failing[key] for key in self._silent]
        return [*self._gone.values(), *hung]

    def _is_given_up(self, url: str | None) -> bool:
        """Whether nobody is at a server, or the calls of each of its targets hang."""
        return url in self._gone or all(
            _key(target) in self._silent for target in self._targets[url]
        )

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
