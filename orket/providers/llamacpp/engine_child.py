"""The program that runs a llama.cpp server in a process of its own.

Orket starts it as a script; it imports nothing of Orket. It reads one JSON line of
settings from stdin, tells the server's address as one JSON line on stdout, and ends
when stdin closes: so it never outlives Orket, however Orket ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, NoReturn

HEALTH_POLL_SECONDS = 0.02
STOP_SECONDS = 5.0
LOG_OF_CACHE = 4
"""Verbosity at which the KV cache is logged when it is made."""


def main() -> NoReturn:
    """Serve until stdin closes; the exit code of a failed engine is its own."""
    settings = json.loads(sys.stdin.buffer.readline())
    if settings["cpus"]:
        bind_to(settings["cpus"])
    if settings["binary"]:
        serve_binary(settings)
    serve_wheel(settings)


def bind_to(cpus: Sequence[int]) -> None:
    """Bind this process before the engine starts its threads, which inherit it."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cpus)
    else:
        import psutil

        psutil.Process().cpu_affinity(list(cpus))


def serve_wheel(settings: dict[str, Any]) -> NoReturn:
    """Run the server that the xllamacpp wheel carries, in this very process."""
    import xllamacpp

    params = wheel_params(xllamacpp, settings)
    started_ns = time.perf_counter_ns()
    server = xllamacpp.Server(params)
    announce(
        address=server.listening_address,
        load_ns=time.perf_counter_ns() - started_ns,
        devices=list_devices(xllamacpp),
    )
    sys.stdin.buffer.read()
    # The engine's own shutdown can wait for clients; nothing here needs it.
    os._exit(0)


def wheel_params(xllamacpp: Any, settings: dict[str, Any]) -> Any:
    """The settings as the wheel takes them; what is not given stays its default."""
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.model_alias = {settings["alias"]}
    params.port = settings["port"]
    params.n_parallel = 1
    params.cache_ram_mib = 0
    params.fit_params = False
    params.endpoint_metrics = True
    params.ui = False
    params.n_ctx = settings["context_tokens"]
    if settings["threads"] is not None:
        params.cpuparams.n_threads = settings["threads"]
        params.cpuparams_batch.n_threads = settings["threads"]
    if settings["kv_cache"]:
        keys, values = kv_types(settings["kv_cache"])
        params.cache_type_k = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{keys.upper()}")
        params.cache_type_v = getattr(
            xllamacpp.ggml_type, f"GGML_TYPE_{values.upper()}"
        )
        # Its log is where the server says what its cache became.
        params.verbosity = LOG_OF_CACHE
    if settings["batch_tokens"] is not None:
        params.n_batch = settings["batch_tokens"]
        params.n_ubatch = min(params.n_ubatch, settings["batch_tokens"])
    return params


def kv_types(kv: str) -> tuple[str, str]:
    """The types of keys and of values."""
    keys, _, values = kv.partition("/")
    return keys, values or keys


def list_devices(xllamacpp: Any) -> list[str] | None:
    """The kinds of device the engine found; None where this build cannot say."""
    try:
        return [device["type"].name for device in xllamacpp.get_device_info()]
    except (AttributeError, KeyError, TypeError, RuntimeError):
        return None


def serve_binary(settings: dict[str, Any]) -> NoReturn:
    """Run a llama-server binary below this process, and end with its exit code."""
    port = settings["port"] or find_free_port()
    started_ns = time.perf_counter_ns()
    server = subprocess.Popen(
        binary_command(settings, port),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.buffer,
    )
    threading.Thread(target=stop_with_stdin, args=(server,), daemon=True).start()
    address = f"http://127.0.0.1:{port}"
    while server.poll() is None and not is_healthy(address):
        time.sleep(HEALTH_POLL_SECONDS)
    if server.poll() is None:
        announce(address, time.perf_counter_ns() - started_ns, None)
    code = server.wait()
    sys.stderr.flush()
    # The thread still reads stdin, which Python's own exit would stumble over.
    os._exit(code if code >= 0 else 1)


def binary_command(settings: dict[str, Any], port: int) -> list[str]:
    """The command line; flags that this build does not know are left out."""
    binary = settings["binary"]
    listed = subprocess.run(
        [binary, "--help"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    known = listed.stdout + listed.stderr
    wanted: list[list[str]] = [
        ["--model", settings["model"]],
        ["--alias", settings["alias"]],
        ["--host", "127.0.0.1"],
        ["--port", str(port)],
        ["--parallel", "1"],
        ["--ctx-size", str(settings["context_tokens"])],
        ["--metrics"],
        ["--slots"],
        ["--cache-ram", "0"],
        ["--fit", "off"],
        ["--no-webui"],
    ]
    if settings["threads"] is not None:
        threads = str(settings["threads"])
        wanted += [["--threads", threads], ["--threads-batch", threads]]
    if settings["kv_cache"]:
        keys, values = kv_types(settings["kv_cache"])
        wanted += [
            ["--cache-type-k", keys],
            ["--cache-type-v", values],
            ["--verbosity", str(LOG_OF_CACHE)],
        ]
    if settings["batch_tokens"] is not None:
        batch = settings["batch_tokens"]
        wanted += [
            ["--batch-size", str(batch)],
            ["--ubatch-size", str(min(batch, 512))],
        ]
    return [binary, *(word for flag in wanted if flag[0] in known for word in flag)]


def stop_with_stdin(server: subprocess.Popen[bytes]) -> None:
    """End the server when stdin closes."""
    sys.stdin.buffer.read()
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


def is_healthy(address: str) -> bool:
    """Whether the server has loaded its model."""
    # A proxy of the environment must not stand between the two.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def find_free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def announce(address: str, load_ns: int, devices: list[str] | None) -> None:
    """Tell Orket where the server is."""
    line = json.dumps({"address": address, "load_ns": load_ns, "devices": devices})
    print(line, flush=True)


if __name__ == "__main__":
    main()
