"""What one model call said, and what the checkers found in its answer."""

from __future__ import annotations

from typing import Annotated

from orket.row_types import Count, Duration, Name, Record, Signed, about


class CallFacts(Record, frozen=True, kw_only=True):
    """What one model call said, normalised to one contract at the adapter's edge."""

    outcome: Annotated[Name, about("OK, FAILED, TIMEOUT or CANCELLED", source="client")]
    error_class: Annotated[
        str | None,
        about("Kind of failure, e.g. HTTP_503, CONNECTION_LOST", source="client"),
    ] = None
    error_message: Annotated[
        str | None, about("One line, secrets removed", source="client")
    ] = None
    http_status: Annotated[Count | None, about("HTTP status", source="server")] = None
    retry_after_ns: Annotated[
        Duration | None, about("How long the server asked to wait", "ns", "server")
    ] = None
    call_notes: Annotated[
        list[str],
        about(
            "What the client met or did to read the answer, sorted: INVALID_UTF8, "
            "NOT_STREAMED, PARTIAL_FIGURES, SECRET_REMOVED, THOUGHT_IN_ANSWER, "
            "USAGE_NOT_OFFERED, "
            "NOT_KEPT:<field> of what no row holds",
            source="client",
        ),
    ] = []

    answer_text: Annotated[
        str | None, about("The answer, as said", source="server")
    ] = None
    answer_hash: Annotated[
        str | None,
        about("Hash of the answer, where a source kept only that", source="import"),
    ] = None
    reasoning_text: Annotated[
        str | None, about("Thinking, where told apart", source="server")
    ] = None
    stop_reason: Annotated[
        str | None, about("stop, length, or the server's own word", source="server")
    ] = None
    reported_model: Annotated[
        str | None, about("Model name in the response", source="server")
    ] = None

    prompt_tokens: Annotated[
        Count | None,
        about("Tokens of the whole prompt, cached ones included", "tokens", "server"),
    ] = None
    cached_prompt_tokens: Annotated[
        Count | None, about("Of these, taken from a cache", "tokens", "server")
    ] = None
    completion_tokens: Annotated[
        Count | None,
        about("Tokens generated, reasoning included", "tokens", "server"),
    ] = None
    reasoning_tokens: Annotated[
        Count | None, about("Of these, reasoning", "tokens", "server")
    ] = None
    count_note: Annotated[
        str | None,
        about("How a count was read where the contract implies it, else NULL"),
    ] = None

    prefill_ns: Annotated[
        Duration | None,
        about("Model-internal time on new prompt tokens", "ns", "server"),
    ] = None
    decode_ns: Annotated[
        Duration | None, about("Model-internal time generating", "ns", "server")
    ] = None
    load_ns: Annotated[
        Duration | None, about("Model load inside this call", "ns", "server")
    ] = None
    server_total_ns: Annotated[
        Duration | None, about("The server's own total", "ns", "server")
    ] = None
    decode_clock: Annotated[
        str | None,
        about("Where decode_ns starts: first_token or prefill_end", source="server"),
    ] = None
    prefill_kind: Annotated[
        str | None,
        about("What prefill_ns is: internal or ttft_proxy", source="server"),
    ] = None
    formula_id: Annotated[
        str | None, about("The formula that read the raw figures")
    ] = None
    engine: Annotated[
        str | None, about("Engine behind the route, where it is told apart")
    ] = None
    raw_figures: Annotated[
        str | None,
        about(
            "The server's usage and timing figures, unread, as JSON", source="server"
        ),
    ] = None

    prompt_cache: Annotated[
        str | None,
        about("How a prompt cache was met: disabled, nonce, uncontrolled, absent"),
    ] = None
    streamed: Annotated[bool | None, about("Streamed response")] = None
    wall_ns: Annotated[
        Duration | None,
        about("Request written to last byte, monotonic", "ns", "client"),
    ] = None
    realtime_ns: Annotated[
        Signed | None, about("The same span by the wall clock", "ns", "client")
    ] = None
    ttft_ns: Annotated[
        Duration | None,
        about("To the first token-carrying chunk, streamed only", "ns", "client"),
    ] = None
    last_token_ns: Annotated[
        Duration | None,
        about("To the last token-carrying chunk, streamed only", "ns", "client"),
    ] = None
    generation_retries: Annotated[
        Count, about("Further generations inside this attempt", "count", "client")
    ] = 0


class CheckFacts(Record, frozen=True, kw_only=True):
    """What the checkers found in one answer. None of it is a judgement on the run."""

    checks_passed: Annotated[Count, about("Checks passed", "count", "checker")]
    checks_total: Annotated[
        Count, about("Checks that could be tried", "count", "checker")
    ]
    checks_unsupported: Annotated[
        Count, about("Checks the sandbox could not run", "count", "checker")
    ] = 0
    check_details: Annotated[
        str | None, about("One entry per check, as JSON", source="checker")
    ] = None
    format_damage: Annotated[
        str | None,
        about(
            "EMPTY, UNPARSEABLE, TRUNCATED, LOOPING or WRONG_LANGUAGE, else NULL",
            source="checker",
        ),
    ] = None
    answer_chars: Annotated[
        Count, about("Characters of the answer", "count", "checker")
    ] = 0
    code_chars: Annotated[
        Count, about("Of these, inside code fences", "count", "checker")
    ] = 0
    checker_version: Annotated[Name, about("Version of the checkers")] = "1"
    sandbox: Annotated[
        str | None,
        about("Sandbox that ran code answers: monty, process or monty+process"),
    ] = None
