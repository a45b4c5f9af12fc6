"""Sandboxes: what code answers can do, and what they cannot however hard they try."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orket.errors import UsageError
from orket.tasks.monty_sandbox import MontySandbox
from orket.tasks.process_sandbox import ProcessSandbox
from orket.tasks.sandbox import (
    RAISED,
    STOPPED,
    UNSUPPORTED,
    VALUE,
    Outcome,
    Sandbox,
)
from orket.tasks.sandboxes import open_sandbox

linux = pytest.mark.skipif(sys.platform != "linux", reason="walls of the Linux kernel")


@pytest.fixture(scope="module", params=["monty", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    opened = open_sandbox(request.param)
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def monty() -> Iterator[Sandbox]:
    opened = open_sandbox("monty")
    assert opened is not None
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def process() -> Sandbox:
    return ProcessSandbox()


def run_one(sandbox: Sandbox, code: str, call: str) -> Outcome:
    (outcome,) = sandbox.run(code, [call])
    return outcome


def test_values_keep_their_types(sandbox: Sandbox) -> None:
    code = (
        "def f(x):\n    return [x, (1, 2.5), {'a': {1, 2}}, None, True, b'x', '\u00e9']"
    )
    found = run_one(sandbox, code, "f(-7)")
    assert found == Outcome(VALUE, [-7, (1, 2.5), {"a": {1, 2}}, None, True, b"x", "é"])


def test_an_error_of_one_call_leaves_the_others(sandbox: Sandbox) -> None:
    found = sandbox.run("def f(x):\n    return 10 // x", ["f(5)", "f(0)", "f(2)"])
    assert [outcome.kind for outcome in found] == [VALUE, RAISED, VALUE]
    assert found[1].error[0] == "ZeroDivisionError"
    assert "ArithmeticError" in found[1].error


def test_an_error_of_the_code_itself_is_that_of_every_call(sandbox: Sandbox) -> None:
    found = sandbox.run("x = [][1]", ["x", "1"])
    assert [outcome.error[0] for outcome in found] == ["IndexError", "IndexError"]


def test_prints_go_nowhere(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    code = "print('seen?')\ndef f():\n    print('seen?')\n    return 1"
    assert run_one(sandbox, code, "f()").value == 1
    assert "seen" not in "".join(capfd.readouterr())


def test_what_is_for_the_command_line_is_not_run(sandbox: Sandbox) -> None:
    code = "def f():\n    return 1\nif __name__ == '__main__':\n    f = None"
    assert run_one(sandbox, code, "f()").value == 1


def test_clocks_stand_still_and_chance_is_seeded(sandbox: Sandbox) -> None:
    code = (
        "import random, time, datetime\n"
        "def f():\n"
        "    time.sleep(1000)\n"
        "    return [random.random(), time.time(), datetime.date.today().isoformat()]"
    )
    first, second = run_one(sandbox, code, "f()"), run_one(sandbox, code, "f()")
    assert first.kind == VALUE
    assert first == second
    assert first.value[1:] == [1767225600.0, "2026-01-01"]


def test_the_order_of_a_set_is_the_same_every_time(sandbox: Sandbox) -> None:
    code = "def f():\n    return list({'ab', 'cd', 'ef', 'gh', 'ij', 'kl'})"
    assert run_one(sandbox, code, "f()") == run_one(sandbox, code, "f()")


HUNGRY = {
    "endless loop": "while True:\n        pass",
    "endless loop that catches all": (
        "while True:\n        try:\n            while True:\n                pass\n"
        "        except BaseException:\n            pass"
    ),
    "endless growth": "x = []\n    while True:\n        x.append('a' * 100000)",
    "one huge text": "return 'x' * 10**10",
    "one huge number": "return 9 ** (9 ** 9)",
    "endless recursion": "return f()",
    "flood of output": "while True:\n        print('x' * 10000)",
    "huge result": "return list(range(3 * 10**6))",
    "exit": "exit()",
}


@pytest.mark.parametrize("body", HUNGRY.values(), ids=HUNGRY.keys())
@pytest.mark.parametrize("name", ["monty", "process"])
def test_no_appetite_gets_a_value_or_breaks_orket(name: str, body: str) -> None:
    hasty = MontySandbox(0.3) if name == "monty" else ProcessSandbox(seconds=1)
    found = run_one(hasty, f"def f():\n    {body}", "f()")
    assert found.kind in (STOPPED, RAISED, UNSUPPORTED) or found.value is ...
    hasty.close()


def test_a_sandbox_serves_on_after_a_limit_was_hit() -> None:
    monty = MontySandbox(0.3)
    assert run_one(monty, "while True:\n    pass", "1").kind == STOPPED
    assert run_one(monty, "x = 1", "x").value == 1
    monty.close()


@pytest.mark.parametrize("call", ["exit(0)", "__import__('os')._exit(0)", "input()"])
def test_leaving_or_asking_is_no_way_to_pass(process: Sandbox, call: str) -> None:
    assert run_one(process, "", call).kind in (RAISED, STOPPED)


def test_files_of_the_host_cannot_be_read(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hush")
    found = run_one(sandbox, "", f"open({str(secret)!r}).read()")
    assert found.kind == RAISED
    assert found.error[0] in ("PermissionError", "FileNotFoundError")


def test_nothing_can_be_written(sandbox: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written.txt"
    assert run_one(sandbox, "", f"open({str(target)!r}, 'w')").kind == RAISED
    assert not target.exists()


@linux
@pytest.mark.parametrize(
    "call",
    [
        "os.symlink({target!r}, 'link')",
        "os.link({target!r}, 'link')",
        "os.unlink({target!r})",
        "os.rename({target!r}, {target!r} + '2')",
        "os.chmod({target!r}, 0)",
        "os.truncate({target!r}, 0)",
        "os.mkdir({target!r} + '.d')",
        "os.open({target!r}, os.O_RDWR)",
    ],
)
def test_files_cannot_be_touched_in_any_way(
    process: Sandbox, tmp_path: Path, call: str
) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("kept")
    found = run_one(process, "import os", call.format(target=str(target)))
    assert found.kind == RAISED
    assert target.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [target]


def test_secrets_of_the_environment_are_not_there(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORKET_TEST_SECRET", "hush")
    code = "import os\ndef f():\n    return 'hush' in str(dict(os.environ))"
    assert run_one(sandbox, code, "f()").value is not True
    proc = "open('/proc/self/environ').read().count('hush')"
    assert not run_one(sandbox, "", proc).value


def test_the_network_cannot_be_reached(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        call = f"socket.create_connection({address!r}, timeout=1) and 1"
        assert run_one(sandbox, "import socket", call).kind in (RAISED, UNSUPPORTED)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@linux
@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    while True:\n        os.fork()",
        "def f():\n    import subprocess\n    return subprocess.run(['/bin/true'])",
        "def f():\n    return os.execv('/bin/true', ['true'])",
        "def f():\n    return os.posix_spawn('/bin/true', ['true'], {})",
        "def f():\n    os.kill(os.getppid(), 9)",
        pytest.param(f"def f():\n    os.kill({os.getpid()}, 9)", id="this process"),
        "def f():\n    os.kill(-1, 9)",
        "def f():\n    import ctypes\n    ctypes.CDLL(None).abort()",
        "def f():\n    import ctypes\n    return ctypes.string_at(0)",
    ],
)
def test_no_process_is_started_or_ended(process: Sandbox, code: str) -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        assert run_one(process, "import os\n" + code, "f()").kind in (RAISED, STOPPED)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught == []


@linux
def test_the_kernel_sends_no_signal_for_an_answer(process: Sandbox) -> None:
    code = "import fcntl, os\nfd = os.open(os.path.dirname(os.__file__), os.O_RDONLY)"
    for command in ("fcntl.F_SETSIG, 9", f"fcntl.F_SETOWN, {os.getpid()}"):
        assert run_one(process, code, f"fcntl.fcntl(fd, {command})").kind == RAISED


@linux
def test_limits_cannot_be_lifted(process: Sandbox) -> None:
    code = "import resource\ndef f(kind):\n    resource.setrlimit(kind, (-1, -1))"
    for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_NPROC"):
        assert run_one(process, code, f"f(resource.{name})").kind == RAISED


def test_a_result_cannot_be_forged_on_the_way_out(process: Sandbox) -> None:
    code = (
        "import os\n"
        "for fd in range(3, 32):\n"
        "    try:\n"
        '        os.write(fd, b\'{"value": ["set", [["list", []]]]}\\n[[[\\n\')\n'
        "    except OSError:\n"
        "        pass\n"
        "def f():\n"
        "    return 1"
    )
    assert run_one(process, code, "f()").kind == STOPPED


def test_the_label_names_the_walls_that_stand(process: ProcessSandbox) -> None:
    assert process.label.startswith("process (")
    assert all(wall in process.label for wall in process.walls)


def test_without_walls_the_label_says_what_is_open() -> None:
    bare = ProcessSandbox(bwrap="/nonexistent/bwrap", fences=False)
    assert "files can be read" in bare.label
    assert "the network can be reached" in bare.label


LACKING = {
    "a generator": "def f():\n    yield 1",
    "a module": "import heapq\ndef f():\n    return list(heapq.merge([1], [2]))",
    "a name of a module": (
        "from collections import OrderedDict\ndef f():\n    return OrderedDict()"
    ),
    "inheritance": "class A(Exception):\n    pass\ndef f():\n    return 1",
    "del": "def f():\n    x = [1]\n    y = x\n    del x\n    return y",
    "a class of errors": "def f():\n    try:\n        raise EOFError('x')\n"
    "    except EOFError:\n        return 1",
    "an error with a number": "def f():\n    try:\n        raise ValueError(1)\n"
    "    except ValueError:\n        return 1",
    "a property": "class A:\n    @property\n    def x(self):\n        return 1\n"
    "def f():\n    return A().x",
    "a built-in": "def f():\n    return callable(f)",
    "a method of a built-in": "def f():\n    return 'a'.translate({97: 'b'})",
    "a special method": "class A:\n    def __len__(self):\n        return 1\n"
    "def f():\n    return len(A())",
}


@pytest.mark.parametrize("code", LACKING.values(), ids=LACKING.keys())
def test_what_monty_lacks_is_unsupported(monty: Sandbox, code: str) -> None:
    assert run_one(monty, code, "f()").kind == UNSUPPORTED


@pytest.mark.parametrize("code", LACKING.values(), ids=LACKING.keys())
def test_the_process_sandbox_has_what_monty_lacks(process: Sandbox, code: str) -> None:
    assert run_one(process, code, "f()").kind == VALUE


@pytest.mark.parametrize("code", LACKING.values(), ids=LACKING.keys())
def test_a_fallback_runs_what_the_first_one_lacks(code: str) -> None:
    both = open_sandbox("monty+process")
    assert both is not None
    assert both.name == "monty+process"
    assert run_one(both, code, "f()").kind == VALUE
    # What the first one can run stays there: only it has no files at all.
    assert run_one(both, "def f():\n    return 1", "f()") == Outcome(VALUE, 1)
    both.close()


SAME_IN_BOTH = {
    "a generator expression": ("def f():\n    return (x for x in [1])", ...),
    "the first of one": ("def f():\n    return next(x for x in [1, 2])", 1),
    "a map": ("def f():\n    return map(str, [1])", ...),
    "a map of one's own": (
        "def map(a, b):\n    return [9]\ndef f():\n    return map(1, 2)",
        [9],
    ),
    "a map that is used up": (
        "def f():\n    m = map(str, [1])\n    return [list(m), list(m)]",
        [["1"], []],
    ),
    "a zip as a condition": ("def f():\n    return bool(zip([], []))", True),
    "an item deleted": (
        "def f():\n    x = [1, 2, 3]\n    del x[1]\n    return x",
        [1, 3],
    ),
    "a key deleted": ("def f():\n    x = {1: 2}\n    del x[1]\n    return x", {}),
    "a slice deleted": (
        "def f():\n    x = [1, 2, 3]\n    del x[:2]\n    return x",
        [3],
    ),
    "constants": ("import string\ndef f():\n    return string.digits", "0123456789"),
    "constants by name": (
        "from string import digits as d\ndef f():\n    return d",
        "0123456789",
    ),
    "the base of all": ("class A(object):\n    x = 1\ndef f():\n    return A.x", 1),
    "imports for annotations": (
        "from __future__ import annotations\nfrom typing import NamedTuple, Never\n"
        "from collections.abc import Iterable\nimport heapq, enum\n"
        "def f() -> Iterable[Never]:\n    x: NamedTuple = 1\n    return x",
        1,
    ),
    "a name that only an annotation has": (
        "def f() -> List[int]:\n    return [1]",
        [1],
    ),
    "a script at the end": (
        "def f():\n    return 1\nif __name__ == '__main__':\n    import doctest\n"
        "    doctest.testmod()",
        1,
    ),
    "a data class": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
        "def f():\n    return P(3).x",
        3,
    ),
    "a counter for a dictionary": (
        "from collections import Counter\ndef f():\n    return Counter('aab')",
        {"a": 2, "b": 1},
    ),
    "a queue is no list": (
        "from collections import deque\ndef f():\n    return deque([1])",
        ...,
    ),
}


@pytest.mark.parametrize(
    ("code", "value"), SAME_IN_BOTH.values(), ids=SAME_IN_BOTH.keys()
)
def test_a_value_is_the_same_in_every_sandbox(
    sandbox: Sandbox, code: str, value: object
) -> None:
    assert run_one(sandbox, code, "f()") == Outcome(VALUE, value)


@pytest.mark.parametrize(
    "code", ["from math import nosuch", "import numpy", "from nowhere import x"]
)
def test_an_import_that_fails_is_not_left_out(sandbox: Sandbox, code: str) -> None:
    assert run_one(sandbox, code + "\ndef f():\n    return 1", "f()").kind == RAISED


OWN_ERRORS = {
    "not implemented": "raise NotImplementedError",
    "with monty's words": (
        "raise NotImplementedError("
        "'The monty syntax parser does not yet support yield expressions')"
    ),
    "a module, as if missing": "raise ModuleNotFoundError(\"No module named 'heapq'\")",
    "a name that nobody has": "return nosuchname",
    "a method that nobody has": "return 'a'.nosuchmethod()",
    "a package": "import numpy",
    "a length of something without": "return len(3)",
    "a missing argument": "return (lambda a, b: a)(1)",
    "an assertion": "assert False, 'not yet supported'",
}


@pytest.mark.parametrize("body", OWN_ERRORS.values(), ids=OWN_ERRORS.keys())
def test_the_answers_own_errors_are_failures(sandbox: Sandbox, body: str) -> None:
    assert run_one(sandbox, f"def f():\n    {body}", "f()").kind == RAISED


def test_a_sandbox_is_opened_by_name() -> None:
    default = open_sandbox()
    assert default is not None
    assert default.name == "monty"
    assert open_sandbox("none") is None
    with pytest.raises(UsageError, match="use monty, process, monty.process or none"):
        open_sandbox("docker")
