"""One row of `runs/`: one model call, with all that stood around it."""

from __future__ import annotations

from typing import Annotated

from orket.records.call import CallFacts, CheckFacts
from orket.records.controls import Controls
from orket.records.counters import Counters
from orket.row_types import Count, Moment, Name, Reading, Record, Size, about


class RunRecord(Record, frozen=True, kw_only=True):
    """One model call: one attempt at one planned run."""

    sweep_id: Annotated[Name, about("Sweep")]
    run_id: Annotated[Name, about("Planned run: hash of its identity")]
    attempt_id: Annotated[Name, about("Hash of run, attempt number and executor start")]
    attempt_number: Annotated[Count, about("1 for the first attempt", "count")]
    executor_started_at: Annotated[Moment, about("Start of the executor", "UTC")]
    recorded_at: Annotated[Moment, about("When this row was written", "UTC")]
    phase: Annotated[Name, about("warmup, canary, matrix, repeat or anchor")]
    model_id: Annotated[Name, about("Model, as the preset names it")]
    model_digest: Annotated[
        str | None, about("Identity of the weights, where known", source="server")
    ] = None
    quant_tag: Annotated[Name, about("Quant, as the preset names it")]
    test_id: Annotated[Name, about("bank/task")]
    bucket: Annotated[Name, about("logic, refactor or mixed")]
    task_revision: Annotated[Name, about("Hash of the task's content")]
    repetition: Annotated[Count, about("From 1", "count")]
    order_index: Annotated[Count, about("Place in the order of execution", "count")]
    block_index: Annotated[Count, about("Block of this run", "count")]
    retry_pass: Annotated[Count, about("0, or the retry pass", "count")] = 0

    started_at: Annotated[
        Moment, about("When the request was written", "UTC", "client")
    ]
    started_ns: Annotated[
        Reading | None,
        about(
            "The same on the executor's monotonic clock; NULL in imported rows",
            "ns",
            "client",
        ),
    ]
    ended_ns: Annotated[
        Reading | None,
        about(
            "Last byte on the executor's monotonic clock; NULL in imported rows",
            "ns",
            "client",
        ),
    ]
    prompt_sha256: Annotated[
        Name | None, about("Hash of the prompt as sent; NULL where it is not known")
    ]
    nonce: Annotated[str | None, about("Nonce that defeats a prompt cache")] = None
    max_tokens: Annotated[
        Count | None, about("Output budget; NULL where it is not known", "tokens")
    ]
    requested: Annotated[Controls, about("Controls asked for")]
    effective: Annotated[Controls, about("Controls verified")]
    unsupported_controls: Annotated[
        list[str], about("Requested controls this server does not have")
    ] = []
    call: Annotated[CallFacts, about("What the call said")]
    checks: Annotated[CheckFacts | None, about("What the checkers found")] = None

    locality: Annotated[
        str | None, about("Where the server runs: child, loopback or remote")
    ] = None
    before: Annotated[Counters | None, about("Counters just before the call")] = None
    after: Annotated[Counters | None, about("Counters just after the call")] = None
    peak_server_rss_bytes: Annotated[
        Size | None, about("Peak resident memory of the server", "bytes", "observer")
    ] = None
    peak_gpu_memory_bytes: Annotated[
        Size | None, about("Peak GPU memory of the server", "bytes", "observer")
    ] = None
    reported_model_bytes: Annotated[
        Size | None,
        about("Model size in memory by the server's word", "bytes", "server"),
    ] = None
    reported_gpu_bytes: Annotated[
        Size | None,
        about("Of these, on a GPU by the server's word", "bytes", "server"),
    ] = None
    other_models_resident: Annotated[
        list[str] | None, about("Other models loaded in the server", source="server")
    ] = None
    sensor_gaps: Annotated[
        list[str],
        about("Sensors without a reading, as field=status", source="observer"),
    ] = []
