from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orket.machine.servers import (
    SERVER_PROGRAMS,
    ServerFinder,
    ServerProcess,
    _read_loopback_port,
)
from tests.recorded_machine import process_stat, write_machine

LISTENER = """
import os, socket, sys
family = socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET
server = socket.socket(family)
server.bind((sys.argv[1], int(sys.argv[4]) if sys.argv[4:] else 0))
server.listen()
is_worker = sys.argv[3] == "fork" and os.fork() == 0
if not is_worker:
    print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when uid"


def find_server(url: str, root: Path = Path("/")) -> ServerProcess | None:
    return ServerFinder(root).find(url)


def start_listener(address: str, family: str = "4", mode: str = "alone", port: int = 0):
    child = subprocess.Popen(
        [sys.executable, "-c", LISTENER, address, family, mode, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    return child, int(child.stdout.readline())


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/v1", "http://localhost:{}"])
def test_the_owner_of_a_listening_socket_is_found(url):
    child, port = start_listener("127.0.0.1")
    try:
        assert find_server(url.format(port)) == ServerProcess((child.pid,), "socket")
    finally:
        child.communicate("")
    assert find_server(url.format(port)) is None


def test_a_server_that_was_found_stands_until_another_has_its_socket():
    finder = ServerFinder()
    children = []
    first, port = start_listener("127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    try:
        assert finder.find(url) == finder.find(url)
        assert finder.find(url) == ServerProcess((first.pid,), "socket")
        first.communicate("")
        assert finder.find(url) is None
        children.append(start_listener("127.0.0.1", port=port)[0])
        assert finder.find(url) == ServerProcess((children[0].pid,), "socket")
    finally:
        for child in children:
            child.communicate("")


def test_a_server_that_was_found_is_not_looked_for_again(tmp_path):
    root = tmp_path / "machine"
    (root / "proc/net").mkdir(parents=True)
    (root / "proc/7/fd").mkdir(parents=True)
    line = "0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 1000 0 4242"
    (root / "proc/net/tcp").write_text(f"{HEADER}\n{line}\n")
    (root / "proc/7/stat").write_text("7 (server) S 1 " + "0 " * 22)
    (root / "proc/7/fd/3").symlink_to("socket:[4242]")
    finder = ServerFinder(root)
    found = finder.find("http://127.0.0.1:8080")
    assert found == ServerProcess((7,), "socket")
    (root / "proc/net/tcp").write_text(HEADER)
    assert finder.find("http://127.0.0.1:8080") is found
    (root / "proc/7/fd/3").unlink()
    (root / "proc/7/fd/3").symlink_to("socket:[4243]")
    assert finder.find("http://127.0.0.1:8080") is None


def test_a_worker_that_shares_the_socket_is_below_its_root():
    child, port = start_listener("0.0.0.0", mode="fork")
    try:
        found = find_server(f"http://127.0.0.1:{port}")
    finally:
        child.communicate("")
    assert found == ServerProcess((child.pid,), "socket")


def test_ipv6():
    try:
        child, port = start_listener("::1", "6")
    except ValueError:
        pytest.skip("this machine has no IPv6 loopback")
    try:
        found = find_server(f"http://[::1]:{port}")
    finally:
        child.communicate("")
    assert found == ServerProcess((child.pid,), "socket")


def test_our_own_listening_socket_is_ours():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = find_server(f"http://127.0.0.1:{port}")
    assert found == ServerProcess((os.getpid(),), "socket")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9:1", True),
        ("http://localhost:1", True),
        ("http://LOCALHOST:1", True),
        ("http://[::1]:1", True),
        ("http://[::ffff:127.0.0.1]:1", True),
        ("http://0.0.0.0:1", True),
        ("http://192.0.2.1:1", False),
        ("http://[2001:db8::1]:1", False),
        ("http://no-such-host.invalid:1", False),
        ("http://localhost.example.org:1", False),
    ],
)
def test_a_process_is_looked_for_behind_loopback_only(url, expected):
    assert (_read_loopback_port(url) == 1) is expected


def test_what_is_no_url_has_no_process():
    assert find_server("not a url") is None


@pytest.mark.parametrize("url", ["http://192.0.2.1:11434", "http://127.0.0.1:99999"])
def test_what_is_remote_or_no_port_has_no_process(url):
    assert find_server(url) is None


def other_users_machine(tmp_path, processes, port=11434, uid=998, local="0100007F"):
    """Sockets whose owner is hidden, and processes by pid: (uid, parent, command)."""
    files = {
        "proc/net/tcp": (
            f"{HEADER}\n   0: {local}:{port:04X} 00000000:0000 0A 00000000:00000000 "
            f"00:00000000 00000000   {uid}        0 31415 1 0 100 0 0 10 0\n"
            f"   1: {local}:{port:04X} 0100007F:9999 01 00000000:00000000 "
            f"00:00000000 00000000   {uid}        0 27182 1 0 100 0 0 10 0\n"
        )
    }
    for pid, (owner, parent, command) in processes.items():
        files[f"proc/{pid}/stat"] = process_stat(pid, parent, command.split()[0])
        files[f"proc/{pid}/status"] = f"Uid:\t{owner}\t{owner}\t{owner}\t{owner}\n"
        files[f"proc/{pid}/cmdline"] = command.replace(" ", "\0") + "\0"
        files[f"proc/{pid}/comm"] = command.split()[0] + "\n"
    return write_machine(tmp_path, files)


OLLAMA = {
    11: (998, 1, "/usr/local/bin/ollama serve"),
    12: (998, 11, "/usr/local/bin/ollama runner --model x"),
    13: (998, 1, "/bin/sh backup"),
    14: (1000, 1, "ollama run llama3"),
}


def test_a_service_of_another_user_is_found_by_user_and_name(tmp_path):
    root = other_users_machine(tmp_path, OLLAMA)
    expected = ServerProcess((11,), "user and name")
    assert find_server("http://127.0.0.1:11434", root) == expected
    assert find_server("http://127.0.0.1:8080", root) is None


def test_of_two_servers_of_one_user_the_one_that_names_the_port(tmp_path):
    processes = {
        21: (998, 1, "/opt/llama-server --port 8081 -m a.gguf"),
        22: (998, 1, "/opt/llama-server --port 8082 -m b.gguf"),
    }
    root = other_users_machine(tmp_path, processes, port=8082)
    expected = ServerProcess((22,), "user and name")
    assert find_server("http://127.0.0.1:8082", root) == expected


def test_two_servers_that_could_be_meant_are_none(tmp_path):
    processes = {21: (998, 1, "llama-server"), 22: (998, 1, "ollama serve")}
    root = other_users_machine(tmp_path, processes, port=8082)
    assert find_server("http://127.0.0.1:8082", root) is None


def test_a_forwarder_is_not_the_server(tmp_path):
    root = other_users_machine(tmp_path, {31: (0, 1, "docker-proxy -proto tcp")})
    (root / "proc/31/fd").mkdir()
    (root / "proc/31/fd/4").symlink_to("socket:[31415]")
    assert find_server("http://127.0.0.1:11434", root) is None


def test_a_socket_on_another_address_does_not_answer_loopback(tmp_path):
    root = other_users_machine(tmp_path, OLLAMA, local="0A01A8C0")
    assert find_server("http://127.0.0.1:11434", root) is None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/usr/local/bin/ollama serve", True),
        ("/home/me/llama.cpp/build/bin/llama-server -m x", True),
        ("C:\\tools\\llama-server.exe -m x", True),
        ("/opt/LM Studio/lm-studio --type=utility", True),
        ("/usr/bin/python3 -m vllm.entrypoints.openai.api_server", True),
        ("/venv/bin/python /venv/bin/vllm serve x", True),
        ("VLLM::EngineCore", True),
        ("ollama run llama3", False),
        ("/tmp/ollama123/runners/ollama_llama_server --port 4", True),
        ("text-generation-launcher --port 80", True),
        ("/usr/bin/vim notes-about-ollama.txt", False),
        ("/usr/bin/python3 train.py --model llama", False),
        ("grep vllmore", False),
    ],
)
def test_known_server_programs(command, expected):
    assert bool(SERVER_PROGRAMS.search(command)) is expected


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can become another user",
)
def test_the_live_server_of_another_user_is_found_by_its_name(tmp_path):
    program = tmp_path / "llama-server"
    program.write_text(LISTENER)
    # The port among its arguments tells it from any other server that runs here.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = subprocess.Popen(
        [sys.executable, str(program), "127.0.0.1", "4", "alone", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert int(child.stdout.readline()) == port
    os.seteuid(65534)
    try:
        found = find_server(f"http://127.0.0.1:{port}")
    finally:
        os.seteuid(0)
        child.communicate("")
    assert found == ServerProcess((child.pid,), "user and name")
