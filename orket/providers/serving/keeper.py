"""The program that keeps a server which Orket starts, in a process of its own.

Orket starts it as a script; it imports nothing of Orket. It reads one JSON line of
settings from stdin, starts the command, tells its process as one JSON line on stdout
and ends when the command does, with its exit code. When stdin closes it ends the
command and all that it started: so no server outlives Orket, however Orket ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

STOP_SECONDS = 5.0
POLL_SECONDS = 0.05
HIDDEN = b"[secret]"
_SET_PARENT_DEATH_SIGNAL = 1


def main() -> NoReturn:
    """Serve until the command ends or stdin closes."""
    settings = json.loads(sys.stdin.buffer.readline())
    if settings["cpus"]:
        bind_to(settings["cpus"])
    secrets = [secret.encode() for secret in settings["secrets"]]
    try:
        server = start(settings["argv"], is_piped=bool(secrets))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr, flush=True)
        os._exit(127)
    if hasattr(signal, "SIGTERM"):
        # A handler, not "ignore": what is ignored would be ignored by the server too.
        signal.signal(signal.SIGTERM, lambda *_: None)
    copier = copy_output(server, secrets) if secrets else None
    print(json.dumps({"pid": server.pid}), flush=True)
    threading.Thread(target=stop_with_stdin, args=(server,), daemon=True).start()
    code = server.wait()
    end_rest(server.pid)
    if copier is not None:
        copier.join(STOP_SECONDS)
    sys.stderr.flush()
    # The thread still reads stdin, which Python's own exit would stumble over.
    os._exit(code if code >= 0 else 128 - code)


def bind_to(cpus: Sequence[int]) -> None:
    """Bind this process before the server starts, which inherits it."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cpus)
    else:
        import psutil

        psutil.Process().cpu_affinity(list(cpus))


def start(argv: Sequence[str], is_piped: bool) -> subprocess.Popen[bytes]:
    """Start the command in this session; its output goes where this one's errors go."""
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if is_piped else sys.stderr.buffer,
        stderr=subprocess.STDOUT if is_piped else sys.stderr.buffer,
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - no thread runs yet
    )


def die_with_parent() -> Callable[[], None] | None:
    """Where the system can: end the command also when this process is killed."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None
    return lambda: prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)


def copy_output(
    server: subprocess.Popen[bytes], secrets: Sequence[bytes]
) -> threading.Thread:
    """Copy what the command writes, without its secrets, line by line."""

    def copy() -> None:
        assert server.stdout is not None
        for line in server.stdout:
            for secret in secrets:
                line = line.replace(secret, HIDDEN)
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()

    copier = threading.Thread(target=copy, daemon=True)
    copier.start()
    return copier


def stop_with_stdin(server: subprocess.Popen[bytes]) -> None:
    """End the command and all that it started when stdin closes."""
    sys.stdin.buffer.read()
    everything = processes_of(server.pid)
    signal_all(everything, is_last=False)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        signal_all([*everything, *processes_of(server.pid)], is_last=True)


def end_rest(server_pid: int) -> None:
    """End what the command started and left behind."""
    deadline = time.monotonic() + STOP_SECONDS
    rest = processes_of(server_pid)
    signal_all(rest, is_last=False)
    while rest and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        rest = processes_of(server_pid)
    signal_all(rest, is_last=True)


def processes_of(server_pid: int) -> list[Any]:
    """What runs below the command, and what else runs in this session."""
    import psutil

    found: dict[int, Any] = {}
    own = os.getpid()
    try:
        server = psutil.Process(server_pid)
        found = {each.pid: each for each in [server, *server.children(recursive=True)]}
    except psutil.Error:
        pass
    if hasattr(os, "getsid"):
        session = os.getsid(0)
        for each in psutil.process_iter():
            if each.pid != own and is_in_session(each.pid, session):
                found[each.pid] = each
    return [each for each in found.values() if is_running(each)]


def is_in_session(pid: int, session: int) -> bool:
    """Whether a process belongs to a session."""
    try:
        return os.getsid(pid) == session
    except OSError:
        return False


def is_running(process: Any) -> bool:
    """Whether a process is there and not yet to be buried."""
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def signal_all(processes: Sequence[Any], is_last: bool) -> None:
    """Ask processes to end, or end them."""
    import psutil

    for process in processes:
        try:
            process.kill() if is_last else process.terminate()
        except psutil.Error:
            continue


if __name__ == "__main__":
    main()
