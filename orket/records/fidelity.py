"""One row of `fidelity/`: what a quant would say along one answer."""

from __future__ import annotations

from typing import Annotated

from orket.row_types import Count, Moment, Name, Record, Signed, about


class ScoreFacts(Record, frozen=True, kw_only=True):
    """What a model would say next at each place of one answer, by its server's word.

    The answer is the path: the reference's own greedy one. The lists hold one entry a
    place; the end of the answer is a place too, where the model ended by itself.
    """

    level: Annotated[
        Name,
        about(
            "PATH: led along the path; PREFIX: its own answer; DIVERGENCE: no lists",
            source="client",
        ),
    ]
    method: Annotated[
        str | None,
        about(
            "GRAMMAR, PREFIX_REQUESTS, PROMPT_LOGPROBS or GENERATED; NULL: no lists",
            source="client",
        ),
    ] = None
    outcome: Annotated[
        Name,
        about("OK, UNSUPPORTED, FAILED, TIMEOUT or CANCELLED", source="client"),
    ]
    error_class: Annotated[
        str | None,
        about(
            "Why there are no lists, e.g. NO_LOGPROBS, BAD_LOGPROBS, TOO_FEW_LOGPROBS, "
            "TOKENIZER_DIFFERS, PATH_BROKEN",
            source="client",
        ),
    ] = None
    error_message: Annotated[
        str | None, about("One line, secrets removed", source="client")
    ] = None
    k: Annotated[Count, about("Likeliest tokens asked for at each place", "count")]
    max_tokens: Annotated[Count, about("Longest path asked for", "tokens")]
    wall_ns: Annotated[
        Count | None,
        about("All requests of this row; no latency enters", "ns", "client"),
    ] = None
    tokenizer: Annotated[
        str | None,
        about("Hash of the ids that the server makes of one odd text"),
    ] = None
    ended: Annotated[
        bool | None,
        about("The answer ended by itself: the last place is its end", source="server"),
    ] = None
    prompt_ids: Annotated[
        list[Count] | None,
        about("The prompt as ids; kept with the reference's answer", source="server"),
    ] = None
    path_ids: Annotated[
        list[Count] | None, about("Token at each place", "id", "server")
    ] = None
    path_texts: Annotated[
        list[str] | None,
        about("The same as texts where ids are not told", "", "server"),
    ] = None
    path_nnats: Annotated[
        list[Signed | None] | None,
        about("Log-probability of that token, where told", "1e-9 nats", "server"),
    ] = None
    top_ids: Annotated[
        list[list[Count]] | None,
        about("Likeliest tokens at each place, in the server's order", "id", "server"),
    ] = None
    top_nnats: Annotated[
        list[list[Signed]] | None,
        about("Their log-probabilities", "1e-9 nats", "server"),
    ] = None
    top_texts: Annotated[
        list[list[str]] | None,
        about("Their texts where ids are not told", "", "server"),
    ] = None


class FidelityRow(ScoreFacts, frozen=True, kw_only=True):
    """One prompt along which one quant was followed. No latency, never a gate."""

    sweep_id: Annotated[Name, about("Sweep")]
    fidelity_id: Annotated[Name, about("Hash of sweep, quant, prompt, role and time")]
    recorded_at: Annotated[Moment, about("When this row was written", "UTC")]
    role: Annotated[
        Name,
        about("REFERENCE: the answer that is the path; QUANT: what a quant says on it"),
    ]
    model_id: Annotated[Name, about("Model, as the preset names it")]
    model_digest: Annotated[
        str | None, about("Identity of the weights, where known", source="server")
    ] = None
    quant_tag: Annotated[Name, about("Quant, as the preset names it")]
    test_id: Annotated[Name, about("bank/task whose prompt it is")]
    task_revision: Annotated[Name, about("Hash of the task's content")]
    prompt_sha256: Annotated[Name, about("Hash of the prompt as sent")]
