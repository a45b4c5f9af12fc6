"""The raw row types: the only declaration of every column Orket records.

One row of each dataset of the warehouse is one struct here:

    sweeps/    SweepRow     the manifest: one per start or resume of a sweep
    runs/      RunRecord    one per model call, also when it failed
    sidecars/  SidecarRow   one per sidecar measurement
    fidelity/  FidelityRow  one per prompt along which a quant was followed
    events/    EventRow     baseline governance; sweep finished or aborted

The Arrow schema, strict validation, JSON and the data dictionary in
docs/telemetry.md all derive from these declarations. Facts only: what the source
did not say is None, durations are integer nanoseconds, sizes are bytes, moments
are UTC. Judgement (rates, quality, eligibility) belongs to the SQL views.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from orket.policy import Policy as Policy
from orket.row_types import Count, Duration, Moment, Name, Reading, Signed, Size
from orket.row_types import Record as Record
from orket.row_types import about as _about
from orket.text import storable


def _sensor(
    meaning: str,
    unit: str,
    source: str,
    platforms: str = "linux",
    pollutes: str = "",
    kind: str = "counter",
) -> Meta:
    """What the sensor registry says of a field of `Counters`.

    `kind` is "counter" (cumulative: judged by its delta over a window) or "level"
    (a reading at one moment). `pollutes` names the signals of `v1.reason` it feeds.
    """
    return Meta(
        description=meaning,
        extra={
            "unit": unit,
            "source": source,
            "platforms": platforms,
            "pollutes": pollutes,
            "kind": kind,
        },
    )


class Counters(Record, frozen=True, kw_only=True):
    """Readings of the machine and the server at one moment: the sensor registry.

    Every field that a platform lacks, or that was denied, is None; the run's
    `sensor_gaps` says which and why. Counters of the server begin at 0 when it is first
    watched and never run backwards: only their differences mean anything.
    """

    host_total_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of all CPUs in every state but guest",
            "ns",
            "/proc/stat, psutil.cpu_times",
            "linux macos windows",
            "high_foreign_cpu cpu_steal",
        ),
    ] = None
    host_busy_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of all CPUs in user, nice, system, irq and softirq",
            "ns",
            "/proc/stat, psutil.cpu_times",
            "linux macos windows",
            "high_foreign_cpu",
        ),
    ] = None
    host_idle_ns: Annotated[
        Reading | None,
        _sensor(
            "Idle CPU time of all CPUs",
            "ns",
            "/proc/stat, psutil.cpu_times",
            "linux macos windows",
        ),
    ] = None
    host_iowait_ns: Annotated[
        Reading | None,
        _sensor("CPU time waiting for I/O", "ns", "/proc/stat"),
    ] = None
    host_steal_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time the hypervisor gave to others",
            "ns",
            "/proc/stat",
            "linux",
            "cpu_steal",
        ),
    ] = None
    server_cpu_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of the model server's process tree",
            "ns",
            "process CPU clock, psutil",
            "linux macos windows",
            "high_foreign_cpu server_stalled environment_unobserved",
        ),
    ] = None
    client_cpu_ns: Annotated[
        Reading | None,
        _sensor(
            "CPU time of Orket's own process tree without the server",
            "ns",
            "process CPU clock, psutil",
            "linux macos windows",
            "high_foreign_cpu",
        ),
    ] = None
    load1_milli: Annotated[
        Reading | None,
        _sensor(
            "Load average of the last minute",
            "1/1000",
            "/proc/loadavg, os.getloadavg",
            "linux macos",
            "high_system_load",
            "level",
        ),
    ] = None
    psi_cpu_some_us: Annotated[
        Reading | None,
        _sensor("Time in which some task waited for a CPU", "us", "/proc/pressure/cpu"),
    ] = None
    psi_memory_full_us: Annotated[
        Reading | None,
        _sensor(
            "Time in which all tasks waited for memory",
            "us",
            "/proc/pressure/memory",
            "linux",
            "memory_pressure",
        ),
    ] = None
    psi_io_full_us: Annotated[
        Reading | None,
        _sensor("Time in which all tasks waited for I/O", "us", "/proc/pressure/io"),
    ] = None
    cgroup_throttled_ns: Annotated[
        Reading | None,
        _sensor(
            "Time for which the server's cgroup was held back by its CPU quota",
            "ns",
            "cpu.stat",
            "linux",
            "cpu_quota_throttled",
        ),
    ] = None
    swap_in_bytes: Annotated[
        Reading | None,
        _sensor(
            "Bytes swapped in (pswpin)",
            "bytes",
            "/proc/vmstat",
            "linux",
            "swap_activity",
        ),
    ] = None
    swap_out_bytes: Annotated[
        Reading | None,
        _sensor(
            "Bytes swapped out (pswpout)",
            "bytes",
            "/proc/vmstat",
            "linux",
            "swap_activity",
        ),
    ] = None
    server_major_faults: Annotated[
        Reading | None,
        _sensor(
            "Major page faults of the model server",
            "count",
            "/proc/<pid>/stat",
            "linux",
            "memory_pressure",
        ),
    ] = None
    thermal_throttle_count: Annotated[
        Reading | None,
        _sensor(
            "Thermal throttle events, summed over cores and packages",
            "count",
            "/sys/devices/system/cpu/cpu*/thermal_throttle",
            "linux",
            "thermal_throttle",
        ),
    ] = None
    thermal_throttled_ns: Annotated[
        Reading | None,
        _sensor(
            "Time throttled for heat, the longest of all cores and packages",
            "ns",
            "/sys/devices/system/cpu/cpu*/thermal_throttle",
            "linux",
            "thermal_throttle",
        ),
    ] = None
    cpu_energy_uj: Annotated[
        Reading | None,
        _sensor(
            "Energy of all CPU packages since they were first read",
            "uJ",
            "/sys/class/powercap/intel-rapl:*",
        ),
    ] = None
    cpu_frequency_khz: Annotated[
        Reading | None,
        _sensor(
            "Mean current frequency of the CPUs",
            "kHz",
            "/sys/devices/system/cpu/cpu*/cpufreq",
            "linux",
            "",
            "level",
        ),
    ] = None
    on_battery: Annotated[
        bool | None,
        _sensor(
            "Running on battery",
            "",
            "/sys/class/power_supply, psutil",
            "linux macos windows",
            "battery_power",
            "level",
        ),
    ] = None
    available_memory_bytes: Annotated[
        Reading | None,
        _sensor(
            "Memory available without swapping",
            "bytes",
            "/proc/meminfo, psutil",
            "linux macos windows",
            "",
            "level",
        ),
    ] = None
    server_rss_bytes: Annotated[
        Reading | None,
        _sensor(
            "Resident memory of the model server's process tree",
            "bytes",
            "/proc/<pid>/stat, psutil",
            "linux macos windows",
            "",
            "level",
        ),
    ] = None
    server_requests_processing: Annotated[
        Reading | None,
        _sensor(
            "Requests in the model server at this moment, ours excluded",
            "count",
            "the server's own metrics",
            "linux macos windows",
            "server_shared",
            "level",
        ),
    ] = None
    server_tokens_generated: Annotated[
        Reading | None,
        _sensor(
            "Tokens the server has generated since its start",
            "count",
            "the server's own metrics",
            "linux macos windows",
            "server_shared",
        ),
    ] = None
    gpu_utilisation_ppm: Annotated[
        Reading | None,
        _sensor(
            "GPU utilisation, the highest of the devices",
            "ppm",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_memory_used_bytes: Annotated[
        Reading | None,
        _sensor(
            "GPU memory in use, all devices and processes",
            "bytes",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_memory_server_bytes: Annotated[
        Reading | None,
        _sensor(
            "GPU memory of the model server's process tree",
            "bytes",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_memory_foreign_bytes: Annotated[
        Reading | None,
        _sensor(
            "GPU memory of other processes",
            "bytes",
            "NVML",
            "linux windows",
            "gpu_foreign_process",
            "level",
        ),
    ] = None
    gpu_foreign_busy: Annotated[
        bool | None,
        _sensor(
            "Another process computed on a GPU since the reading before",
            "",
            "NVML",
            "linux windows",
            "gpu_foreign_process",
            "level",
        ),
    ] = None
    gpu_temperature_milli_c: Annotated[
        Signed | None,
        _sensor(
            "GPU temperature, the hottest device",
            "1/1000 C",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_power_mw: Annotated[
        Reading | None,
        _sensor(
            "GPU power draw, all devices", "mW", "NVML", "linux windows", "", "level"
        ),
    ] = None
    gpu_energy_uj: Annotated[
        Reading | None,
        _sensor("GPU energy since driver load", "uJ", "NVML", "linux windows"),
    ] = None
    gpu_sm_clock_mhz: Annotated[
        Reading | None,
        _sensor(
            "GPU compute clock, the slowest device",
            "MHz",
            "NVML",
            "linux windows",
            "",
            "level",
        ),
    ] = None
    gpu_throttle_reasons: Annotated[
        Reading | None,
        _sensor(
            "NVML clock event reasons, or-ed over the devices",
            "bitmask",
            "NVML",
            "linux windows",
            "gpu_throttled",
            "level",
        ),
    ] = None


class Controls(Record, frozen=True, kw_only=True):
    """Experimental controls, as requested or as found effective.

    As requested, None means that no value was given; the words `none` and `server`
    are values. As effective, None means that it could not be verified.
    """

    seed: Annotated[Signed | None, _about("Sampling seed")] = None
    temperature_milli: Annotated[Count | None, _about("Temperature", "1/1000")] = None
    threads: Annotated[
        Name | None, _about("Server threads: a number, or `server` (its own choice)")
    ] = None
    affinity: Annotated[
        Name | None,
        _about("CPU affinity: none, compact, spread, server, or a list like 0,2-3"),
    ] = None
    warmup: Annotated[
        Name | None, _about("Warm-up calls per block: a number, `none` or `server`")
    ] = None
    context_tokens: Annotated[Count | None, _about("Context length", "tokens")] = None
    batch_tokens: Annotated[Count | None, _about("Batch size", "tokens")] = None
    kv_cache: Annotated[
        Name | None,
        _about("Type of the KV cache: q8_0, or q8_0/f16 for keys and values"),
    ] = None
    thinking: Annotated[
        bool | None, _about("Whether the model may think before it answers")
    ] = None


class CallFacts(Record, frozen=True, kw_only=True):
    """What one model call said, normalised to one contract at the adapter's edge."""

    outcome: Annotated[
        Name, _about("OK, FAILED, TIMEOUT or CANCELLED", source="client")
    ]
    error_class: Annotated[
        str | None,
        _about("Kind of failure, e.g. HTTP_503, CONNECTION_LOST", source="client"),
    ] = None
    error_message: Annotated[
        str | None, _about("One line, secrets removed", source="client")
    ] = None
    http_status: Annotated[Count | None, _about("HTTP status", source="server")] = None
    retry_after_ns: Annotated[
        Duration | None, _about("How long the server asked to wait", "ns", "server")
    ] = None
    call_notes: Annotated[
        list[str],
        _about(
            "What the client met or did to read the answer, sorted: INVALID_UTF8, "
            "NOT_STREAMED, SECRET_REMOVED, USAGE_NOT_OFFERED, NOT_KEPT:<field> of what "
            "no row holds",
            source="client",
        ),
    ] = []

    answer_text: Annotated[
        str | None, _about("The answer, as said", source="server")
    ] = None
    answer_hash: Annotated[
        str | None,
        _about("Hash of the answer, where a source kept only that", source="import"),
    ] = None
    reasoning_text: Annotated[
        str | None, _about("Thinking, where told apart", source="server")
    ] = None
    stop_reason: Annotated[
        str | None, _about("stop, length, or the server's own word", source="server")
    ] = None
    reported_model: Annotated[
        str | None, _about("Model name in the response", source="server")
    ] = None

    prompt_tokens: Annotated[
        Count | None,
        _about("Tokens of the whole prompt, cached ones included", "tokens", "server"),
    ] = None
    cached_prompt_tokens: Annotated[
        Count | None, _about("Of these, taken from a cache", "tokens", "server")
    ] = None
    completion_tokens: Annotated[
        Count | None,
        _about("Tokens generated, reasoning included", "tokens", "server"),
    ] = None
    reasoning_tokens: Annotated[
        Count | None, _about("Of these, reasoning", "tokens", "server")
    ] = None
    count_note: Annotated[
        str | None,
        _about("How a count was read where the contract implies it, else NULL"),
    ] = None

    prefill_ns: Annotated[
        Duration | None,
        _about("Model-internal time on new prompt tokens", "ns", "server"),
    ] = None
    decode_ns: Annotated[
        Duration | None, _about("Model-internal time generating", "ns", "server")
    ] = None
    load_ns: Annotated[
        Duration | None, _about("Model load inside this call", "ns", "server")
    ] = None
    server_total_ns: Annotated[
        Duration | None, _about("The server's own total", "ns", "server")
    ] = None
    decode_clock: Annotated[
        str | None,
        _about("Where decode_ns starts: first_token or prefill_end", source="server"),
    ] = None
    prefill_kind: Annotated[
        str | None,
        _about("What prefill_ns is: internal or ttft_proxy", source="server"),
    ] = None
    formula_id: Annotated[
        str | None, _about("The formula that read the raw figures")
    ] = None
    engine: Annotated[
        str | None, _about("Engine behind the route, where it is told apart")
    ] = None
    raw_figures: Annotated[
        str | None,
        _about(
            "The server's usage and timing figures, unread, as JSON", source="server"
        ),
    ] = None

    prompt_cache: Annotated[
        str | None,
        _about("How a prompt cache was met: disabled, nonce, uncontrolled, absent"),
    ] = None
    streamed: Annotated[bool | None, _about("Streamed response")] = None
    wall_ns: Annotated[
        Duration | None,
        _about("Request written to last byte, monotonic", "ns", "client"),
    ] = None
    realtime_ns: Annotated[
        Signed | None, _about("The same span by the wall clock", "ns", "client")
    ] = None
    ttft_ns: Annotated[
        Duration | None,
        _about("To the first token-carrying chunk, streamed only", "ns", "client"),
    ] = None
    last_token_ns: Annotated[
        Duration | None,
        _about("To the last token-carrying chunk, streamed only", "ns", "client"),
    ] = None
    generation_retries: Annotated[
        Count, _about("Further generations inside this attempt", "count", "client")
    ] = 0


class CheckFacts(Record, frozen=True, kw_only=True):
    """What the checkers found in one answer. None of it is a judgement on the run."""

    checks_passed: Annotated[Count, _about("Checks passed", "count", "checker")]
    checks_total: Annotated[
        Count, _about("Checks that could be tried", "count", "checker")
    ]
    checks_unsupported: Annotated[
        Count, _about("Checks the sandbox could not run", "count", "checker")
    ] = 0
    check_details: Annotated[
        str | None, _about("One entry per check, as JSON", source="checker")
    ] = None
    format_damage: Annotated[
        str | None,
        _about(
            "EMPTY, UNPARSEABLE, TRUNCATED, LOOPING or WRONG_LANGUAGE, else NULL",
            source="checker",
        ),
    ] = None
    answer_chars: Annotated[
        Count, _about("Characters of the answer", "count", "checker")
    ] = 0
    code_chars: Annotated[
        Count, _about("Of these, inside code fences", "count", "checker")
    ] = 0
    checker_version: Annotated[Name, _about("Version of the checkers")] = "1"
    sandbox: Annotated[
        str | None,
        _about("Sandbox that ran code answers: monty, process or monty+process"),
    ] = None


class RunRecord(Record, frozen=True, kw_only=True):
    """One model call: one attempt at one planned run."""

    sweep_id: Annotated[Name, _about("Sweep")]
    run_id: Annotated[Name, _about("Planned run: hash of its identity")]
    attempt_id: Annotated[
        Name, _about("Hash of run, attempt number and executor start")
    ]
    attempt_number: Annotated[Count, _about("1 for the first attempt", "count")]
    executor_started_at: Annotated[Moment, _about("Start of the executor", "UTC")]
    recorded_at: Annotated[Moment, _about("When this row was written", "UTC")]
    phase: Annotated[Name, _about("warmup, canary, matrix, repeat or anchor")]
    model_id: Annotated[Name, _about("Model, as the preset names it")]
    model_digest: Annotated[
        str | None, _about("Identity of the weights, where known", source="server")
    ] = None
    quant_tag: Annotated[Name, _about("Quant, as the preset names it")]
    test_id: Annotated[Name, _about("bank/task")]
    bucket: Annotated[Name, _about("logic, refactor or mixed")]
    task_revision: Annotated[Name, _about("Hash of the task's content")]
    repetition: Annotated[Count, _about("From 1", "count")]
    order_index: Annotated[Count, _about("Place in the order of execution", "count")]
    block_index: Annotated[Count, _about("Block of this run", "count")]
    retry_pass: Annotated[Count, _about("0, or the retry pass", "count")] = 0

    started_at: Annotated[
        Moment, _about("When the request was written", "UTC", "client")
    ]
    started_ns: Annotated[
        Reading | None,
        _about(
            "The same on the executor's monotonic clock; NULL in imported rows",
            "ns",
            "client",
        ),
    ]
    ended_ns: Annotated[
        Reading | None,
        _about(
            "Last byte on the executor's monotonic clock; NULL in imported rows",
            "ns",
            "client",
        ),
    ]
    prompt_sha256: Annotated[
        Name | None, _about("Hash of the prompt as sent; NULL where it is not known")
    ]
    nonce: Annotated[str | None, _about("Nonce that defeats a prompt cache")] = None
    max_tokens: Annotated[
        Count | None, _about("Output budget; NULL where it is not known", "tokens")
    ]
    requested: Annotated[Controls, _about("Controls asked for")]
    effective: Annotated[Controls, _about("Controls verified")]
    unsupported_controls: Annotated[
        list[str], _about("Requested controls this server does not have")
    ] = []
    call: Annotated[CallFacts, _about("What the call said")]
    checks: Annotated[CheckFacts | None, _about("What the checkers found")] = None

    locality: Annotated[
        str | None, _about("Where the server runs: child, loopback or remote")
    ] = None
    before: Annotated[Counters | None, _about("Counters just before the call")] = None
    after: Annotated[Counters | None, _about("Counters just after the call")] = None
    peak_server_rss_bytes: Annotated[
        Size | None, _about("Peak resident memory of the server", "bytes", "observer")
    ] = None
    peak_gpu_memory_bytes: Annotated[
        Size | None, _about("Peak GPU memory of the server", "bytes", "observer")
    ] = None
    reported_model_bytes: Annotated[
        Size | None,
        _about("Model size in memory by the server's word", "bytes", "server"),
    ] = None
    reported_gpu_bytes: Annotated[
        Size | None,
        _about("Of these, on a GPU by the server's word", "bytes", "server"),
    ] = None
    other_models_resident: Annotated[
        list[str] | None, _about("Other models loaded in the server", source="server")
    ] = None
    sensor_gaps: Annotated[
        list[str],
        _about("Sensors without a reading, as field=status", source="observer"),
    ] = []


class Capabilities(Record, frozen=True, kw_only=True):
    """What a server can tell and be told. None means that it was not found out."""

    streaming: Annotated[bool | None, _about("Streams its answers")] = None
    token_counts: Annotated[bool | None, _about("Reports token counts")] = None
    cached_counts: Annotated[bool | None, _about("Reports cached prompt tokens")] = None
    internal_timings: Annotated[
        bool | None, _about("Reports prefill and decode time")
    ] = None
    seed: Annotated[bool | None, _about("Takes a seed")] = None
    context_control: Annotated[bool | None, _about("Context can be set")] = None
    thread_control: Annotated[bool | None, _about("Threads can be set")] = None
    batch_control: Annotated[bool | None, _about("Batch size can be set")] = None
    quant_identity: Annotated[bool | None, _about("Says which quant it loaded")] = None
    memory_report: Annotated[bool | None, _about("Reports the model's memory")] = None
    cache_control: Annotated[
        bool | None, _about("Prompt cache can be switched off")
    ] = None


class Label(Record, frozen=True, kw_only=True):
    """A free-form key and value."""

    key: Annotated[Name, _about("Key")]
    value: Annotated[str, _about("Value")]


class Override(Record, frozen=True, kw_only=True):
    """One preset value that the command line or a what-if replaced."""

    key: Annotated[Name, _about("Dotted key of the preset")]
    value: Annotated[str, _about("Value in force, as JSON")]
    preset_value: Annotated[str | None, _about("Value of the preset, as JSON")] = None


class ProfileLimit(Record, frozen=True, kw_only=True):
    """What a known control profile allows, as of the start of a sweep."""

    name: Annotated[Name, _about("Control profile")]
    canary_max_latency_cv_ppm: Annotated[
        Count, _about("Variation of the canary's time it allows", "ppm")
    ]


class Hardware(Record, frozen=True, kw_only=True):
    """What the hardware fingerprint is made of, and what stands beside it."""

    os: Annotated[str | None, _about("Operating system", source="platform")] = None
    architecture: Annotated[str | None, _about("Machine type", source="platform")] = (
        None
    )
    cpu: Annotated[str | None, _about("CPU model", source="/proc/cpuinfo")] = None
    physical_cores: Annotated[
        Count | None, _about("Physical cores", "count", "psutil")
    ] = None
    logical_cpus: Annotated[Count | None, _about("Logical CPUs", "count", "psutil")] = (
        None
    )
    ram_bytes: Annotated[Size | None, _about("Memory", "bytes", "psutil")] = None
    gpus: Annotated[
        list[str] | None, _about("GPUs with their memory", source="NVML")
    ] = None
    cpu_quota_milli: Annotated[
        Count | None, _about("CPU quota of the container", "1/1000 CPU", "cgroup")
    ] = None
    clock_tick_ns: Annotated[
        Duration | None, _about("Resolution of the CPU clocks", "ns", "sysconf")
    ] = None
    environment: Annotated[
        str | None, _about("Further facts of the machine, as JSON", source="observer")
    ] = None


class PolicyStep(Record, frozen=True, kw_only=True):
    """Looser thresholds that a sweep goes on under where the machine is not steady."""

    control_profile: Annotated[Name, _about("Control profile that they are of")]
    policy: Annotated[Policy, _about("Thresholds in force from then on")]


class ModelEntry(Record, frozen=True, kw_only=True):
    """One model of a sweep: its server, controls and policy."""

    model_id: Annotated[Name, _about("Model, as the preset names it")]
    provider: Annotated[Name, _about("Adapter")]
    provider_version: Annotated[
        str | None, _about("Server version", source="server")
    ] = None
    endpoint: Annotated[str | None, _about("URL without user info")] = None
    streaming: Annotated[bool, _about("Streamed")] = True
    locality: Annotated[str | None, _about("child, loopback or remote")] = None
    tls_verified: Annotated[
        bool | None, _about("TLS certificate verified; NULL without TLS")
    ] = None
    server_logical_cpus: Annotated[
        Count | None, _about("Threads the server computes with", "count", "server")
    ] = None
    cpu_only: Annotated[bool | None, _about("No layer on a GPU", source="server")] = (
        None
    )
    capabilities: Annotated[Capabilities, _about("What the server can tell")]
    controls: Annotated[Controls, _about("Controls asked for")]
    control_profile: Annotated[str | None, _about("Name of the control profile")] = None
    policy: Annotated[Policy, _about("Thresholds in force")]
    yields_to: Annotated[
        list[PolicyStep] | None,
        _about("What rules instead where the machine is not steady enough, in order"),
    ] = None


class TensorCount(Record, frozen=True, kw_only=True):
    """How many tensors of a model are stored in one type."""

    type: Annotated[Name, _about("Type, as ggml names it")]
    tensors: Annotated[Count, _about("Tensors of it", "count")]


class QuantEntry(Record, frozen=True, kw_only=True):
    """One quant of a model, with all that is known of its identity."""

    model_id: Annotated[Name, _about("Model")]
    quant_tag: Annotated[Name, _about("Quant, as the preset names it")]
    quant_key: Annotated[
        str | None, _about("Canonical tag in the quant catalogue, if known")
    ] = None
    quant_family: Annotated[str | None, _about("Family in the catalogue")] = None
    catalogue_order: Annotated[
        Count | None, _about("Place in the catalogue, 1 = least precise")
    ] = None
    nominal_bpw_milli: Annotated[
        Count | None, _about("Nominal bits per weight", "1/1000", "catalogue")
    ] = None
    model_bytes: Annotated[
        Size | None, _about("Size of the weights", "bytes", "file or server")
    ] = None
    parameters: Annotated[
        Size | None, _about("Number of weights", "count", "file or server")
    ] = None
    model_digest: Annotated[
        str | None, _about("Identity of the weights", source="file or server")
    ] = None
    reported_quant: Annotated[
        str | None, _about("Quant by the server's word", source="server")
    ] = None
    tensor_types: Annotated[
        list[TensorCount] | None,
        _about("Tensors by the type they are stored in", source="file or server"),
    ] = None
    publisher: Annotated[
        str | None, _about("Who made these weights", source="file or server")
    ] = None
    server_name: Annotated[
        str | None, _about("What its server calls it: a tag, a key, an alias")
    ] = None
    file: Annotated[
        str | None, _about("Its GGUF file, as an absolute path of that machine")
    ] = None
    context_tokens: Annotated[
        Count | None, _about("Context that is asked for", "tokens")
    ] = None
    kv_cache: Annotated[
        str | None, _about("Type of the KV cache that is asked for")
    ] = None
    kv_bits_milli: Annotated[
        Count | None,
        _about("Bits of a value in it, mean of keys and values", "1/1000", "catalogue"),
    ] = None
    kv_cache_bytes: Annotated[
        Size | None,
        _about("KV cache at its context, by the metadata of its file", "bytes", "file"),
    ] = None
    serve_command: Annotated[
        str | None,
        _about("What Orket started its server by, without secrets; the port is open"),
    ] = None


class TaskEntry(Record, frozen=True, kw_only=True):
    """One task of a sweep."""

    test_id: Annotated[Name, _about("bank/task")]
    bank: Annotated[Name, _about("Task bank")]
    task_id: Annotated[Name, _about("Task")]
    bucket: Annotated[Name, _about("logic, refactor or mixed")]
    tier: Annotated[Count, _about("Difficulty, 1 to 3", "count")] = 1
    family: Annotated[
        str | None,
        _about("Tasks of one template or skill share it; NULL: the task is its own"),
    ] = None
    task_revision: Annotated[Name, _about("Hash of the task's content")]
    checks_total: Annotated[
        Count | None, _about("Checks of the task; NULL where not known", "count")
    ]
    max_tokens: Annotated[
        Count | None, _about("Output budget; NULL where not known", "tokens")
    ]


class PlannedRun(Record, frozen=True, kw_only=True):
    """One entry of the plan, in the order of execution."""

    run_id: Annotated[Name, _about("Hash of the planned run's identity")]
    order_index: Annotated[Count, _about("Place in the order", "count")]
    phase: Annotated[Name, _about("warmup, canary, matrix or repeat")]
    model_id: Annotated[Name, _about("Model")]
    quant_tag: Annotated[Name, _about("Quant")]
    test_id: Annotated[Name, _about("bank/task")]
    repetition: Annotated[Count, _about("From 1", "count")]
    block_index: Annotated[Count, _about("Block", "count")]


class FidelityPlan(Record, frozen=True, kw_only=True):
    """What the phase `fidelity` asks of every quant."""

    k: Annotated[Count, _about("Likeliest tokens at each place", "count")]
    max_tokens: Annotated[Count, _about("Longest answer that is followed", "tokens")]
    test_ids: Annotated[list[str], _about("bank/task whose prompts are asked")]
    seconds: Annotated[
        Count | None,
        _about("As many of them, from the first, as take about so long; NULL: all"),
    ] = None


class SweepRow(Record, frozen=True, kw_only=True):
    """The manifest of a sweep: one row per start or resume.

    The first one rules; where tasks were added, the plan is that with the most of them.
    """

    sweep_id: Annotated[Name, _about("Sweep")]
    manifest_id: Annotated[Name, _about("This row")]
    kind: Annotated[Name, _about("START, RESUME or INGEST")]
    started_at: Annotated[Moment, _about("Start or resume", "UTC")]
    orket_version: Annotated[Name, _about("Version of Orket")]
    commit_sha: Annotated[str | None, _about("Commit of the checkout, if any")] = None
    preset: Annotated[Name, _about("Preset")]
    preset_content: Annotated[
        str | None, _about("What the preset and the options resolved to, as JSON")
    ] = None
    plan_hash: Annotated[Name, _about("Hash of all that can change a result")]
    policy_hash: Annotated[Name, _about("Hash of the policy")]
    labels: Annotated[list[Label], _about("Labels of the preset or --label")] = []
    overrides: Annotated[list[Override], _about("What replaced preset values")] = []
    runtime_target: Annotated[Name, _about("Where it runs; alias venue")] = (
        "local-hardware"
    )
    execution_mode: Annotated[Name, _about("How it runs; alias flow")] = "live"
    hardware_fingerprint: Annotated[
        str | None, _about("Stable id of the hardware", source="observer")
    ] = None
    fingerprint_version: Annotated[
        str | None, _about("Version of the fingerprint's recipe")
    ] = None
    hardware: Annotated[Hardware, _about("What the fingerprint is made of")]
    order: Annotated[Name, _about("reversed, rotated, grouped or adaptive")] = "rotated"
    until: Annotated[
        str | None,
        _about(
            "How far an adaptive sweep goes: proof, clear or point; the newest rules"
        ),
    ] = None
    repetitions: Annotated[Count, _about("Repetitions of the matrix", "count")] = 1
    polluted_retries: Annotated[Count, _about("Retry passes allowed", "count")] = 1
    canary_planned: Annotated[bool, _about("The canary gate is in the plan")] = False
    sidecar_planned: Annotated[bool, _about("A sidecar is in the plan")] = False
    fidelity: Annotated[
        FidelityPlan | None, _about("The phase `fidelity`; NULL: not in the plan")
    ] = None
    sandbox: Annotated[str | None, _about("Sandbox for code answers")] = None
    checker_version: Annotated[Name, _about("Version of the checkers")] = "1"
    executor_load1_milli: Annotated[
        Count | None,
        _about("Load average before the executor's first call", "1/1000", "observer"),
    ] = None
    control_profiles: Annotated[
        list[ProfileLimit], _about("Control profiles known at the start")
    ] = []
    models: Annotated[list[ModelEntry], _about("Models")]
    quants: Annotated[list[QuantEntry], _about("Quants of each model")]
    tasks: Annotated[list[TaskEntry], _about("Tasks")]
    plan: Annotated[list[PlannedRun], _about("Planned runs, in order")]


class SidecarRow(Record, frozen=True, kw_only=True):
    """One sidecar measurement of one model and quant. Diagnostic, never a gate."""

    sweep_id: Annotated[Name, _about("Sweep")]
    sidecar_id: Annotated[Name, _about("This row")]
    recorded_at: Annotated[Moment, _about("When this row was written", "UTC")]
    model_id: Annotated[Name, _about("Model")]
    quant_tag: Annotated[Name, _about("Quant")]
    tool: Annotated[Name, _about("Tool, e.g. llama-bench")]
    tool_version: Annotated[str | None, _about("Build", source="tool")] = None
    profile: Annotated[str | None, _about("Sidecar profile, e.g. cpu")] = None
    status: Annotated[
        Name, _about("OK, MISSING_BINARY, TIMEOUT, FAILED or UNPARSEABLE")
    ]
    error_message: Annotated[str | None, _about("One line")] = None
    test: Annotated[
        str | None,
        _about("pp (prefill), tg (decode) or kl (divergence)", source="tool"),
    ] = None
    prompt_tokens: Annotated[
        Count | None, _about("Prompt tokens of the test", "tokens", "tool")
    ] = None
    generated_tokens: Annotated[
        Count | None, _about("Generated tokens of the test", "tokens", "tool")
    ] = None
    batch_tokens: Annotated[Count | None, _about("Batch", "tokens", "tool")] = None
    threads: Annotated[Count | None, _about("Threads", "count", "tool")] = None
    depth_tokens: Annotated[
        Count | None, _about("Tokens in the cache before the test", "tokens", "tool")
    ] = None
    samples_ns: Annotated[
        list[Duration] | None, _about("Raw samples, one per repetition", "ns", "tool")
    ] = None
    mean_ns: Annotated[
        Duration | None, _about("Mean of the samples by the tool's word", "ns", "tool")
    ] = None
    rate_milli: Annotated[
        Count | None,
        _about("Tokens per second by the tool's word, where it says no time", "1/1000"),
    ] = None
    kld_nnats: Annotated[
        Signed | None,
        _about(
            "Mean KL divergence by the tool's word", "1e-9 nats", "llama-perplexity"
        ),
    ] = None
    kld_error_nnats: Annotated[
        Count | None,
        _about("Its error by the tool's word", "1e-9 nats", "llama-perplexity"),
    ] = None
    same_top_ppm: Annotated[
        Count | None,
        _about("Places with the same likeliest token", "ppm", "llama-perplexity"),
    ] = None
    same_top_error_ppm: Annotated[
        Count | None,
        _about("Its error by the tool's word", "ppm", "llama-perplexity"),
    ] = None
    telemetry: Annotated[
        str | None,
        _about("GPU tool output before and after, as JSON", source="nvidia-smi etc."),
    ] = None
    raw: Annotated[str | None, _about("The tool's record, unread", source="tool")] = (
        None
    )


class ScoreFacts(Record, frozen=True, kw_only=True):
    """What a model would say next at each place of one answer, by its server's word.

    The answer is the path: the reference's own greedy one. The lists hold one entry a
    place; the end of the answer is a place too, where the model ended by itself.
    """

    level: Annotated[
        Name,
        _about(
            "PATH: led along the path; PREFIX: its own answer; DIVERGENCE: no lists",
            source="client",
        ),
    ]
    method: Annotated[
        str | None,
        _about(
            "GRAMMAR, PREFIX_REQUESTS, PROMPT_LOGPROBS or GENERATED; NULL: no lists",
            source="client",
        ),
    ] = None
    outcome: Annotated[
        Name,
        _about("OK, UNSUPPORTED, FAILED, TIMEOUT or CANCELLED", source="client"),
    ]
    error_class: Annotated[
        str | None,
        _about(
            "Why there are no lists, e.g. NO_LOGPROBS, BAD_LOGPROBS, TOO_FEW_LOGPROBS, "
            "TOKENIZER_DIFFERS, PATH_BROKEN",
            source="client",
        ),
    ] = None
    error_message: Annotated[
        str | None, _about("One line, secrets removed", source="client")
    ] = None
    k: Annotated[Count, _about("Likeliest tokens asked for at each place", "count")]
    max_tokens: Annotated[Count, _about("Longest path asked for", "tokens")]
    wall_ns: Annotated[
        Count | None,
        _about("All requests of this row; no latency enters", "ns", "client"),
    ] = None
    tokenizer: Annotated[
        str | None,
        _about("Hash of the ids that the server makes of one odd text"),
    ] = None
    ended: Annotated[
        bool | None,
        _about(
            "The answer ended by itself: the last place is its end", source="server"
        ),
    ] = None
    prompt_ids: Annotated[
        list[Count] | None,
        _about("The prompt as ids; kept with the reference's answer", source="server"),
    ] = None
    path_ids: Annotated[
        list[Count] | None, _about("Token at each place", "id", "server")
    ] = None
    path_texts: Annotated[
        list[str] | None,
        _about("The same as texts where ids are not told", "", "server"),
    ] = None
    path_nnats: Annotated[
        list[Signed | None] | None,
        _about("Log-probability of that token, where told", "1e-9 nats", "server"),
    ] = None
    top_ids: Annotated[
        list[list[Count]] | None,
        _about("Likeliest tokens at each place, in the server's order", "id", "server"),
    ] = None
    top_nnats: Annotated[
        list[list[Signed]] | None,
        _about("Their log-probabilities", "1e-9 nats", "server"),
    ] = None
    top_texts: Annotated[
        list[list[str]] | None,
        _about("Their texts where ids are not told", "", "server"),
    ] = None


class FidelityRow(ScoreFacts, frozen=True, kw_only=True):
    """One prompt along which one quant was followed. No latency, never a gate."""

    sweep_id: Annotated[Name, _about("Sweep")]
    fidelity_id: Annotated[Name, _about("Hash of sweep, quant, prompt, role and time")]
    recorded_at: Annotated[Moment, _about("When this row was written", "UTC")]
    role: Annotated[
        Name,
        _about(
            "REFERENCE: the answer that is the path; QUANT: what a quant says on it"
        ),
    ]
    model_id: Annotated[Name, _about("Model, as the preset names it")]
    model_digest: Annotated[
        str | None, _about("Identity of the weights, where known", source="server")
    ] = None
    quant_tag: Annotated[Name, _about("Quant, as the preset names it")]
    test_id: Annotated[Name, _about("bank/task whose prompt it is")]
    task_revision: Annotated[Name, _about("Hash of the task's content")]
    prompt_sha256: Annotated[Name, _about("Hash of the prompt as sent")]


class EventRow(Record, frozen=True, kw_only=True):
    """One act of governance, or the end of a sweep. Events are never edited."""

    event_id: Annotated[Name, _about("This row, time-ordered")]
    recorded_at: Annotated[Moment, _about("When it happened", "UTC")]
    event: Annotated[
        Name,
        _about(
            "SWEEP_FINISHED, SWEEP_ABORTED, START_FIXED, ROUND_JUDGED, "
            "POLICY_YIELDED, BASELINE_APPEND, BASELINE_PIN, BASELINE_UNPIN, "
            "BASELINE_PRUNE or BASELINE_PRUNE_UNDONE"
        ),
    ]
    sweep_id: Annotated[str | None, _about("Sweep it speaks of")] = None
    target_event_id: Annotated[
        str | None, _about("The append or prune it refers to")
    ] = None
    target_event_ids: Annotated[
        list[str] | None, _about("The appends that a prune takes out")
    ] = None
    reason: Annotated[str | None, _about("Why, in the words of who did it")] = None
    test_id: Annotated[str | None, _about("bank/task of a stored baseline")] = None
    model_id: Annotated[str | None, _about("Its model")] = None
    model_digest: Annotated[str | None, _about("Its weights")] = None
    quant_tag: Annotated[str | None, _about("Its quant")] = None
    task_revision: Annotated[str | None, _about("Its task revision")] = None
    hardware_fingerprint: Annotated[str | None, _about("Its machine")] = None
    fingerprint_version: Annotated[str | None, _about("Recipe of that")] = None
    control_profile: Annotated[str | None, _about("Its control profile")] = None
    controls: Annotated[Controls | None, _about("Its controls")] = None
    run_quality_status: Annotated[str | None, _about("CLEAN or POLLUTED")] = None
    measured_at: Annotated[
        Moment | None, _about("When the baseline was measured", "UTC")
    ] = None
    source_run_ids: Annotated[list[str] | None, _about("Runs it is made of")] = None
    runs: Annotated[Count | None, _about("Number of them", "count")] = None
    checks_passed: Annotated[Count | None, _about("Sum over them", "count")] = None
    checks_total: Annotated[Count | None, _about("Sum over them", "count")] = None
    latency_median_ns: Annotated[Duration | None, _about("Median wall time", "ns")] = (
        None
    )
    latency_mad_ns: Annotated[
        Duration | None, _about("Median absolute deviation of it", "ns")
    ] = None
    memory_bytes: Annotated[Size | None, _about("Peak memory", "bytes")] = None
    imported_from: Annotated[
        str | None, _about("File an imported baseline came from")
    ] = None


DATASETS: dict[str, type[Record]] = {
    "sweeps": SweepRow,
    "runs": RunRecord,
    "sidecars": SidecarRow,
    "fidelity": FidelityRow,
    "events": EventRow,
}


STRAY_SURROGATE = "half a surrogate pair, which is no character"


def to_json(row: Record) -> bytes:
    """One JSON object, on one line."""
    return msgspec.json.encode(row)


def judge(row_type: type[Record], line: bytes | str) -> Any:
    """Decode one JSON line strictly.

    Raises msgspec.ValidationError naming the field, or msgspec.DecodeError.
    """
    return msgspec.json.decode(line, type=row_type, strict=True)


def checked(row: Record) -> bytes:
    """Encode a row and prove that it is valid; constructors do not validate.

    Raises msgspec.ValidationError naming the field.
    """
    try:
        line = to_json(row)
    except UnicodeEncodeError:
        path = stray_surrogate(msgspec.to_builtins(row))
        raise msgspec.ValidationError(f"{STRAY_SURROGATE} - at `${path}`") from None
    judge(type(row), line)
    return line


def stray_surrogate(value: object) -> str | None:
    """The path, as `.field[0]`, of the first text that cannot be encoded as UTF-8."""
    if isinstance(value, str):
        return "" if storable(value) != value else None
    if isinstance(value, dict):
        places = [(f".{name}", item) for name, item in value.items()]
    elif isinstance(value, list):
        places = [(f"[{place}]", item) for place, item in enumerate(value)]
    else:
        return None
    found = ((place, stray_surrogate(item)) for place, item in places)
    return next((place + path for place, path in found if path is not None), None)
