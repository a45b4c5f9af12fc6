"""Runs one code answer inside a separate interpreter; imported by nothing.

Its source is handed to `python -c`. It reads one JSON request from stdin, puts up
its walls, runs the code and writes one JSON line per result to what was stdout. Only
the standard library is used, and the answer sees neither stdin nor stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

# Everything a Python without files, processes and network needs; all else is EPERM.
# Numbers of system calls are the kernel's contract: include/uapi/asm*/unistd*.h.
ALLOWED = {
    "x86_64": (
        0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 21, 23, 24, 25,
        28, 32, 35, 39, 60, 63, 78, 79, 89, 96, 97, 98, 99, 100, 102, 104, 107,
        108, 131, 158, 186, 201, 202, 217, 218, 219, 228, 229, 230, 231, 262, 267, 269,
        270, 271, 273, 318, 332, 334, 439,
    ),
    "aarch64": (
        17, 23, 48, 57, 61, 62, 63, 64, 66, 67, 72, 73, 78, 79, 80, 93, 94,
        96, 98, 99, 101, 113, 114, 115, 124, 132, 134, 135, 139, 153, 160, 165, 169,
        172, 173, 174, 175, 176, 177, 178, 179, 214, 215, 216, 222, 226, 233, 278, 291,
        293, 439,
    ),
}  # fmt: skip
OPEN = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}
# fcntl can have signals sent and ioctl drive devices: only what a file needs is left.
FCNTL = {"x86_64": 72, "aarch64": 25}
FCNTL_VALUES = (0, 1, 2, 3, 1030)  # duplicate, flags
IOCTL = {"x86_64": 16, "aarch64": 29}
IOCTL_VALUES = (
    0x5401,
    0x5413,
    0x541B,
    0x5450,
    0x5451,
)  # terminal?, size, close-on-exec
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND
WRITING = 0x1 | 0x2 | 0x40 | 0x200 | 0x400
ERRNO_EPERM = 0x00050001
ALLOW = 0x7FFF0000
KILL = 0x80000000

LANDLOCK_READ = 0x1 | 0x4 | 0x8  # execute, read file, read folder
LANDLOCK_WRITE = 0x2 | 0x1FF0 | 0x2000 | 0x4000  # write, remove, make, refer, truncate


def limit_resources(limits: dict[str, int]) -> bool:
    """Hard limits of the kernel; False where it refuses one."""
    try:
        import resource
    except ImportError:
        return False
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):
            return False
    return True


def fence_files(readable: list[str]) -> bool:
    """Landlock: nothing can be read but these folders, nothing written at all."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(444, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    handled = LANDLOCK_READ | LANDLOCK_WRITE
    if version < 2:
        handled &= ~0x2000
    if version < 3:
        handled &= ~0x4000
    net = 0x3 if version >= 4 else 0
    ruleset = struct.pack("QQ", handled, net)
    fd = libc.syscall(444, ruleset, ctypes.c_size_t(16 if net else 8), 0)
    if fd < 0:
        return False
    for folder in readable:
        try:
            place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rule = struct.pack("=Qi", 0x4 | 0x8, place)
        libc.syscall(445, fd, 1, rule, 0)
        os.close(place)
    libc.prctl(38, 1, 0, 0, 0)
    done = bool(libc.syscall(446, fd, 0) == 0)
    os.close(fd)
    return done


def judge_argument(
    number: int, argument: int, tests: list[tuple[int, int]], verdict: int
) -> list[tuple[int, int, int, int]]:
    """Steps for one system call: `verdict` when a test holds of its argument."""
    steps = [(0x20, 0, 0, 16 + 8 * argument)]
    for test, value in tests:
        steps += [(test, 0, 1, value), (0x06, 0, 0, verdict)]
    steps.append((0x06, 0, 0, ALLOW if verdict == ERRNO_EPERM else ERRNO_EPERM))
    return [(0x15, 0, len(steps), number), *steps]


def fence_calls() -> bool:
    """Seccomp: no process, no network, no signal, no file opened for writing."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ALLOWED or sys.maxsize < 2**32:
        return False
    program = [
        (0x20, 0, 0, 4),
        (0x15, 1, 0, ARCH[machine]),
        (0x06, 0, 0, KILL),
        (0x20, 0, 0, 0),
    ]
    for number, argument in OPEN[machine]:
        program += judge_argument(number, argument, [(0x45, WRITING)], ERRNO_EPERM)
    for numbers, values in ((FCNTL, FCNTL_VALUES), (IOCTL, IOCTL_VALUES)):
        equal = [(0x15, value) for value in values]
        program += judge_argument(numbers[machine], 1, equal, ALLOW)
    for number in ALLOWED[machine]:
        program += [(0x15, 0, 1, number), (0x06, 0, 0, ALLOW)]
    program.append((0x06, 0, 0, ERRNO_EPERM))
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    filters = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    return bool(libc.prctl(22, 2, filters, 0, 0) == 0)


def stop_clocks(epoch: int) -> None:
    """Clocks that stand still and a seeded random generator: the same every time."""
    import datetime
    import random
    import time

    class StillDate(datetime.date):
        @classmethod
        def today(cls) -> Any:
            return cls.fromtimestamp(epoch)

    class StillTime(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.fromtimestamp(epoch, tz)

        utcnow = today = now

    os.environ["TZ"] = "UTC"
    if hasattr(time, "tzset"):
        time.tzset()
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        setattr(time, name, lambda: float(epoch))
        setattr(time, name + "_ns", lambda: epoch * 10**9)
    time.sleep = lambda seconds: None
    vars(datetime).update(date=StillDate, datetime=StillTime)
    seeded = random.Random(0)
    os.urandom = seeded.randbytes
    random.seed(0)


def make_encoder(request: dict[str, Any]) -> Callable[[Any], str]:
    """The function that spells a value, out of the answer's sight."""
    # What an instance says of its class is the answer's word; its type is not.
    scope: dict[str, Any] = {
        "isinstance": lambda value, kinds: issubclass(type(value), kinds)
    }
    exec(request["encoder"], scope)
    encode: Callable[[Any], str] = scope[request["encode"]]
    return encode


def attempt(results: int, action: Callable[[], Any]) -> bool:
    """Write what the action gives or raises."""
    line: dict[str, Any]
    try:
        line = {"value": action()}
    except BaseException as error:
        names = [kind.__name__ for kind in type(error).__mro__[:-1]]
        line = {"error": names}
    os.write(results, json.dumps(line).encode() + b"\n")
    return "value" in line


class Sink:
    """Takes what the answer prints."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return

    def isatty(self) -> bool:
        return False


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    results = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        setattr(sys, name, Sink())
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115
    sys.argv = ["answer"]
    # The codecs and the compiler load parts of themselves late.
    for codec in ("latin-1", "utf-16", "ascii"):
        "".encode(codec)
    stop_clocks(request["epoch"])
    walls = {
        "rlimits": limit_resources(request["limits"]),
        "landlock": request["fences"] and fence_files(sys.path),
        "seccomp": request["fences"] and fence_calls(),
    }
    os.write(results, json.dumps({"walls": walls}).encode() + b"\n")
    encode = make_encoder(request)
    # A module like any other: dataclasses look theirs up.
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    scope = vars(module)
    # Annotations are not run: Python 3.14 does not, and neither does monty.
    flags = annotations.compiler_flag

    def call_answer(call: str) -> str:
        return encode(eval(call, scope))

    def run_answer() -> str:
        code = compile(request["code"], "answer", "exec", flags, dont_inherit=True)
        exec(code, scope)
        return encode(None)

    if attempt(results, run_answer):
        for call in request["calls"]:
            attempt(results, partial(call_answer, call))
    os._exit(0)


main()
