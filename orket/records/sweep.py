"""One row of `sweeps/`: the manifest, and the entries it is made of."""

from __future__ import annotations

from typing import Annotated

from orket.policy import Policy
from orket.records.controls import Capabilities, Controls
from orket.row_types import Count, Duration, Moment, Name, Record, Size, about


class Label(Record, frozen=True, kw_only=True):
    """A free-form key and value."""

    key: Annotated[Name, about("Key")]
    value: Annotated[str, about("Value")]


class Override(Record, frozen=True, kw_only=True):
    """One preset value that the command line or a what-if replaced."""

    key: Annotated[Name, about("Dotted key of the preset")]
    value: Annotated[str, about("Value in force, as JSON")]
    preset_value: Annotated[str | None, about("Value of the preset, as JSON")] = None


class ProfileLimit(Record, frozen=True, kw_only=True):
    """What a known control profile allows, as of the start of a sweep."""

    name: Annotated[Name, about("Control profile")]
    canary_max_latency_cv_ppm: Annotated[
        Count, about("Variation of the canary's time it allows", "ppm")
    ]


class Hardware(Record, frozen=True, kw_only=True):
    """What the hardware fingerprint is made of, and what stands beside it."""

    os: Annotated[str | None, about("Operating system", source="platform")] = None
    architecture: Annotated[str | None, about("Machine type", source="platform")] = None
    cpu: Annotated[str | None, about("CPU model", source="/proc/cpuinfo")] = None
    physical_cores: Annotated[
        Count | None, about("Physical cores", "count", "psutil")
    ] = None
    logical_cpus: Annotated[Count | None, about("Logical CPUs", "count", "psutil")] = (
        None
    )
    ram_bytes: Annotated[Size | None, about("Memory", "bytes", "psutil")] = None
    gpus: Annotated[
        list[str] | None, about("GPUs with their memory", source="NVML")
    ] = None
    cpu_quota_milli: Annotated[
        Count | None, about("CPU quota of the container", "1/1000 CPU", "cgroup")
    ] = None
    clock_tick_ns: Annotated[
        Duration | None, about("Resolution of the CPU clocks", "ns", "sysconf")
    ] = None
    environment: Annotated[
        str | None, about("Further facts of the machine, as JSON", source="observer")
    ] = None
    gpu_memory_bytes: Annotated[
        list[Size] | None,
        about("Memory of each GPU that NVML lists, in its order", "bytes", "NVML"),
    ] = None
    gpu_memory_status: Annotated[
        str | None,
        about("ok, or why it is not known: absent, denied, unavailable, error"),
    ] = None


class PolicyStep(Record, frozen=True, kw_only=True):
    """Looser thresholds that a sweep goes on under where the machine is not steady."""

    control_profile: Annotated[Name, about("Control profile that they are of")]
    policy: Annotated[Policy, about("Thresholds in force from then on")]


class ModelEntry(Record, frozen=True, kw_only=True):
    """One model of a sweep: its server, controls and policy."""

    model_id: Annotated[Name, about("Model, as the preset names it")]
    provider: Annotated[Name, about("Adapter")]
    provider_version: Annotated[
        str | None, about("Server version", source="server")
    ] = None
    endpoint: Annotated[str | None, about("URL without user info")] = None
    streaming: Annotated[bool, about("Streamed")] = True
    locality: Annotated[str | None, about("child, loopback or remote")] = None
    tls_verified: Annotated[
        bool | None, about("TLS certificate verified; NULL without TLS")
    ] = None
    server_logical_cpus: Annotated[
        Count | None, about("Threads the server computes with", "count", "server")
    ] = None
    cpu_only: Annotated[bool | None, about("No layer on a GPU", source="server")] = None
    capabilities: Annotated[Capabilities, about("What the server can tell")]
    controls: Annotated[Controls, about("Controls asked for")]
    control_profile: Annotated[str | None, about("Name of the control profile")] = None
    policy: Annotated[Policy, about("Thresholds in force")]
    yields_to: Annotated[
        list[PolicyStep] | None,
        about("What rules instead where the machine is not steady enough, in order"),
    ] = None


class TensorCount(Record, frozen=True, kw_only=True):
    """How many tensors of a model are stored in one type."""

    type: Annotated[Name, about("Type, as ggml names it")]
    tensors: Annotated[Count, about("Tensors of it", "count")]


class QuantEntry(Record, frozen=True, kw_only=True):
    """One quant of a model, with all that is known of its identity."""

    model_id: Annotated[Name, about("Model")]
    quant_tag: Annotated[Name, about("Quant, as the preset names it")]
    quant_key: Annotated[
        str | None, about("Canonical tag in the quant catalogue, if known")
    ] = None
    quant_family: Annotated[str | None, about("Family in the catalogue")] = None
    catalogue_order: Annotated[
        Count | None, about("Place in the catalogue, 1 = least precise")
    ] = None
    nominal_bpw_milli: Annotated[
        Count | None, about("Nominal bits per weight", "1/1000", "catalogue")
    ] = None
    model_bytes: Annotated[
        Size | None, about("Size of the weights", "bytes", "file or server")
    ] = None
    parameters: Annotated[
        Size | None, about("Number of weights", "count", "file or server")
    ] = None
    model_digest: Annotated[
        str | None, about("Identity of the weights", source="file or server")
    ] = None
    reported_quant: Annotated[
        str | None, about("Quant by the server's word", source="server")
    ] = None
    tensor_types: Annotated[
        list[TensorCount] | None,
        about("Tensors by the type they are stored in", source="file or server"),
    ] = None
    publisher: Annotated[
        str | None, about("Who made these weights", source="file or server")
    ] = None
    server_name: Annotated[
        str | None, about("What its server calls it: a tag, a key, an alias")
    ] = None
    file: Annotated[
        str | None, about("Its GGUF file, as an absolute path of that machine")
    ] = None
    context_tokens: Annotated[
        Count | None, about("Context that is asked for", "tokens")
    ] = None
    kv_cache: Annotated[str | None, about("Type of the KV cache that is asked for")] = (
        None
    )
    kv_bits_milli: Annotated[
        Count | None,
        about("Bits of a value in it, mean of keys and values", "1/1000", "catalogue"),
    ] = None
    kv_cache_bytes: Annotated[
        Size | None,
        about("KV cache at its context, by the metadata of its file", "bytes", "file"),
    ] = None
    serve_command: Annotated[
        str | None,
        about("What Orket started its server by, without secrets; the port is open"),
    ] = None
    trained_context_tokens: Annotated[
        Count | None,
        about("Context that the model was trained for", "tokens", "file or server"),
    ] = None


class TaskEntry(Record, frozen=True, kw_only=True):
    """One task of a sweep."""

    test_id: Annotated[Name, about("bank/task")]
    bank: Annotated[Name, about("Task bank")]
    task_id: Annotated[Name, about("Task")]
    bucket: Annotated[Name, about("logic, refactor or mixed")]
    tier: Annotated[Count, about("Difficulty, 1 to 3", "count")] = 1
    family: Annotated[
        str | None,
        about("Tasks of one template or skill share it; NULL: the task is its own"),
    ] = None
    task_revision: Annotated[Name, about("Hash of the task's content")]
    checks_total: Annotated[
        Count | None, about("Checks of the task; NULL where not known", "count")
    ]
    max_tokens: Annotated[
        Count | None, about("Output budget; NULL where not known", "tokens")
    ]


class PlannedRun(Record, frozen=True, kw_only=True):
    """One entry of the plan, in the order of execution."""

    run_id: Annotated[Name, about("Hash of the planned run's identity")]
    order_index: Annotated[Count, about("Place in the order", "count")]
    phase: Annotated[Name, about("warmup, canary, matrix or repeat")]
    model_id: Annotated[Name, about("Model")]
    quant_tag: Annotated[Name, about("Quant")]
    test_id: Annotated[Name, about("bank/task")]
    repetition: Annotated[Count, about("From 1", "count")]
    block_index: Annotated[Count, about("Block", "count")]


class FidelityPlan(Record, frozen=True, kw_only=True):
    """What the phase `fidelity` asks of every quant."""

    k: Annotated[Count, about("Likeliest tokens at each place", "count")]
    max_tokens: Annotated[Count, about("Longest answer that is followed", "tokens")]
    test_ids: Annotated[list[str], about("bank/task whose prompts are asked")]
    seconds: Annotated[
        Count | None,
        about("As many of them, from the first, as take about so long; NULL: all"),
    ] = None


class SweepRow(Record, frozen=True, kw_only=True):
    """The manifest of a sweep: one row per start or resume.

    The first one rules; where tasks were added, the plan is that with the most of them.
    """

    sweep_id: Annotated[Name, about("Sweep")]
    manifest_id: Annotated[Name, about("This row")]
    kind: Annotated[Name, about("START, RESUME or INGEST")]
    started_at: Annotated[Moment, about("Start or resume", "UTC")]
    orket_version: Annotated[Name, about("Version of Orket")]
    commit_sha: Annotated[str | None, about("Commit of the checkout, if any")] = None
    preset: Annotated[Name, about("Preset")]
    preset_content: Annotated[
        str | None, about("What the preset and the options resolved to, as JSON")
    ] = None
    plan_hash: Annotated[Name, about("Hash of all that can change a result")]
    policy_hash: Annotated[Name, about("Hash of the policy")]
    labels: Annotated[list[Label], about("Labels of the preset or --label")] = []
    overrides: Annotated[list[Override], about("What replaced preset values")] = []
    runtime_target: Annotated[Name, about("Where it runs; alias venue")] = (
        "local-hardware"
    )
    execution_mode: Annotated[Name, about("How it runs; alias flow")] = "live"
    hardware_fingerprint: Annotated[
        str | None, about("Stable id of the hardware", source="observer")
    ] = None
    fingerprint_version: Annotated[
        str | None, about("Version of the fingerprint's recipe")
    ] = None
    hardware: Annotated[Hardware, about("What the fingerprint is made of")]
    order: Annotated[Name, about("reversed, rotated, grouped or adaptive")] = "rotated"
    until: Annotated[
        str | None,
        about(
            "How far an adaptive sweep goes: proof, clear or point; the newest rules"
        ),
    ] = None
    repetitions: Annotated[Count, about("Repetitions of the matrix", "count")] = 1
    polluted_retries: Annotated[Count, about("Retry passes allowed", "count")] = 1
    canary_planned: Annotated[bool, about("The canary gate is in the plan")] = False
    sidecar_planned: Annotated[bool, about("A sidecar is in the plan")] = False
    fidelity: Annotated[
        FidelityPlan | None, about("The phase `fidelity`; NULL: not in the plan")
    ] = None
    sandbox: Annotated[str | None, about("Sandbox for code answers")] = None
    checker_version: Annotated[Name, about("Version of the checkers")] = "1"
    executor_load1_milli: Annotated[
        Count | None,
        about("Load average before the executor's first call", "1/1000", "observer"),
    ] = None
    control_profiles: Annotated[
        list[ProfileLimit], about("Control profiles known at the start")
    ] = []
    models: Annotated[list[ModelEntry], about("Models")]
    quants: Annotated[list[QuantEntry], about("Quants of each model")]
    tasks: Annotated[list[TaskEntry], about("Tasks")]
    plan: Annotated[list[PlannedRun], about("Planned runs, in order")]
