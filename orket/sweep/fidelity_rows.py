"""The rows of the phase `fidelity`: each is durable before the next prompt is asked."""

from __future__ import annotations

from typing import Any

import msgspec

from orket.planning import identity
from orket.planning.prompts import DISABLED, make_prompt
from orket.planning.targets import Target
from orket.providers.reading.scores import BAD_LOGPROBS
from orket.records import FidelityRow, ScoreFacts
from orket.sweep.context import Context
from orket.warehouse import Warehouse

_FACTS = ScoreFacts.__struct_fields__


class FidelityRows:
    """Writes the rows of one model's phase, and reads what was written before."""

    def __init__(self, context: Context, warehouse: Warehouse, model_id: str) -> None:
        self._context = context
        self._warehouse = warehouse
        self._model_id = model_id
        self._journal = warehouse.journal(context.plan.sweep_id, "fidelity")

    def read(self) -> list[dict[str, Any]]:
        """What earlier executors of this sweep recorded, one that was killed too."""
        self.fold()
        sweep_id = self._context.plan.sweep_id
        with self._warehouse.session(sweep_id) as session:
            return session.rows(
                "SELECT * FROM v1.fidelity_row WHERE sweep_id = ? AND model_id = ?",
                [sweep_id, self._model_id],
            )

    def keep(
        self,
        target: Target,
        role: str,
        test: str,
        facts: ScoreFacts,
        digest: str | None,
    ) -> ScoreFacts:
        """Write one row; a kill does not lose it when this returns.

        Gives what was kept: what no row can hold is a row without lists that says so.
        Raises WarehouseError when the disk cannot take it.
        """
        row = self._row(target, role, test, facts, digest)
        try:
            self._journal.append(row)
        except msgspec.ValidationError as error:
            message = " ".join(str(error).split())
            facts = without_lists(BAD_LOGPROBS, message, facts.k, facts.max_tokens)
            row = self._row(target, role, test, facts, digest)
            self._journal.append(row)
        return row

    def fold(self) -> None:
        """Make a part of what was written, so that the views see it."""
        self._journal.fold()

    def _row(
        self,
        target: Target,
        role: str,
        test: str,
        facts: ScoreFacts,
        digest: str | None,
    ) -> FidelityRow:
        context = self._context
        revision = context.revisions[test]
        prompt = make_prompt(context.tasks[test], revision, DISABLED, 0)
        now = context.clock.now()
        keys = [
            context.plan.sweep_id,
            self._model_id,
            target.ref.quant_tag,
            test,
            role,
            now.isoformat(),
        ]
        return FidelityRow(
            **{name: getattr(facts, name) for name in _FACTS},
            sweep_id=context.plan.sweep_id,
            fidelity_id=identity.hash_of(keys),
            recorded_at=now,
            role=role,
            model_id=self._model_id,
            model_digest=digest or target.digest,
            quant_tag=target.ref.quant_tag,
            test_id=test,
            task_revision=revision,
            prompt_sha256=prompt.sha256,
        )


def without_lists(
    reason: str, message: str, k: int, max_tokens: int, outcome: str = "FAILED"
) -> ScoreFacts:
    """Why a prompt has no lists, in one line."""
    return ScoreFacts(
        level="DIVERGENCE",
        outcome=outcome,
        error_class=reason,
        error_message=" ".join(message.split()),
        k=k,
        max_tokens=max_tokens,
    )


def facts_of(row: dict[str, Any]) -> ScoreFacts:
    """What a recorded row tells of its prompt."""
    return msgspec.convert({name: row[name] for name in _FACTS}, ScoreFacts)
