"""Finds the process behind a loopback URL, so that its CPU and memory are attributed.

The listening socket names its process. Where the socket belongs to another user, the
system hides that link but tells the user: then the server programs of that user are
looked at by name. Where more than one could be meant, none is: a guess would charge
one program with the work of another.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orket.machine.processes import find_tree, read_parents
from orket.machine.readings import is_there, list_names, read_text
from orket.urls import is_loopback, is_loopback_address

LISTEN = "0A"
DEFAULT_PORTS = {"http": 80, "https": 443}
FORWARDERS = frozenset(
    {"docker-proxy", "rootlessport", "ssh", "sshd", "socat", "wslrelay", "kubectl"}
)
"""Programs that pass a connection on: the model server is elsewhere."""
SERVER_PROGRAMS = re.compile(
    r"(?:^|[/\\ ])(?:ollama(?! (?:run|pull|push|list|ls|ps|show|create|cp|rm|stop)\b)"
    r"(?:_llama_server)?|llama-server|llama-box|llamafile"
    r"|lm[ -]?studio|llmster|lms|koboldcpp|local-ai|text-generation-(?:launcher|server"
    r"|router)|vllm|sglang|mlx_lm[.]server|aphrodite|tabbyapi)"
    r"(?:[.](?:exe|appimage|py))?(?:[ :.]|$)"
    r"|-m (?:vllm|sglang|mlx_lm|llama_cpp|aphrodite)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """Root processes of a server, and how they were found."""

    pids: tuple[int, ...]
    how: str
    """`socket`, or `user and name` where the socket's owner is hidden."""


@dataclass(frozen=True, slots=True)
class _Listener:
    inode: str
    uid: int


class ServerFinder:
    """Finds servers; what was found stands for as long as it holds its socket.

    Looking at every process takes milliseconds, and at a link microseconds.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """`root` is where proc/ is found, so that a recorded machine can be read."""
        self._root = root
        self._found: dict[str, tuple[ServerProcess, dict[Path, str]]] = {}

    def find(self, url: str) -> ServerProcess | None:
        """The processes that serve `url`; None when it is remote or none is found."""
        known = self._found.pop(url, None)
        if known is None or not _are_held(known[1]):
            server, sockets = _find(url, self._root)
            if server is None or not sockets:
                return server
            known = server, sockets
        self._found[url] = known
        return known[0]


def _are_held(sockets: Mapping[Path, str]) -> bool:
    return all(_read_link(link) == socket for link, socket in sockets.items())


def _find(url: str, root: Path) -> tuple[ServerProcess | None, dict[Path, str]]:
    """The server, and by what it is known: links to its sockets, if it shows them."""
    port = _read_loopback_port(url)
    if port is None:
        return None, {}
    if not is_there(root / "proc/net/tcp"):
        return _find_portable(port), {}
    listeners = _list_listeners(root, port)
    if not listeners:
        return None, {}
    parents = read_parents(root)
    owners = _find_socket_owners(root, parents, {entry.inode for entry in listeners})
    if owners:
        held = dict(owners.values())
        return _attribute(root, parents, list(owners), "socket"), held
    uids = {entry.uid for entry in listeners}
    named = _list_named(root, parents, uids)
    return _choose_named(root, parents, named, port), {}


def _read_loopback_port(url: str) -> int | None:
    parts = urlsplit(url)
    if parts.hostname is None or not is_loopback(parts.hostname):
        return None
    try:
        return parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def _list_listeners(root: Path, port: int) -> list[_Listener]:
    """Sockets that listen on `port`, on any address a loopback client reaches."""
    found = []
    for name in ("tcp", "tcp6"):
        text = read_text(root / "proc/net" / name) or ""
        for line in text.splitlines()[1:]:
            words = line.split()
            if len(words) < 10 or words[3] != LISTEN:
                continue
            address, _, hex_port = words[1].rpartition(":")
            if int(hex_port, 16) == port and _answers_loopback(address):
                found.append(_Listener(inode=words[9], uid=int(words[7])))
    return found


def _answers_loopback(hex_address: str) -> bool:
    """Judge an address of /proc/net/tcp: 32-bit words in the machine's byte order."""
    packed = b"".join(
        int(hex_address[at : at + 8], 16).to_bytes(4, sys.byteorder)
        for at in range(0, len(hex_address), 8)
    )
    return is_loopback_address(str(ipaddress.ip_address(packed)))


def _find_socket_owners(
    root: Path, pids: Iterable[int], inodes: set[str]
) -> dict[int, tuple[Path, str]]:
    """Processes that hold one of these sockets, each with a link to it and its name."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    owners = {}
    for pid in pids:
        folder = root / "proc" / str(pid) / "fd"
        for name in list_names(folder):
            link = folder / name
            if (socket := _read_link(link)) in wanted:
                owners[pid] = link, socket
                break
    return owners


def _read_link(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _list_named(root: Path, pids: Iterable[int], uids: set[int]) -> list[int]:
    """Processes of these users that run a known server program."""
    return [
        pid
        for pid in pids
        if _read_uid(root, pid) in uids
        and SERVER_PROGRAMS.search(_read_command(root, pid))
    ]


def _read_uid(root: Path, pid: int) -> int | None:
    status = read_text(root / "proc" / str(pid) / "status") or ""
    found = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    return int(found.group(1)) if found else None


def _read_command(root: Path, pid: int) -> str:
    """Program and arguments; the bare program name where the arguments are hidden."""
    line = read_text(root / "proc" / str(pid) / "cmdline") or ""
    command = line.replace("\0", " ").strip()
    return command or read_text(root / "proc" / str(pid) / "comm") or ""


def _choose_named(
    root: Path, parents: dict[int, int], named: list[int], port: int
) -> ServerProcess | None:
    """One tree of the named ones; of several, the one whose arguments name the port."""
    tops = _find_tops(parents, named)
    if len(tops) > 1:
        number = re.compile(rf"(?<!\d){port}(?!\d)")
        tops = [pid for pid in tops if number.search(_read_command(root, pid))]
    if len(tops) != 1:
        return None
    return ServerProcess(tuple(tops), "user and name")


def _attribute(
    root: Path, parents: dict[int, int], owners: list[int], how: str
) -> ServerProcess | None:
    tops = _find_tops(parents, owners)
    names = {(read_text(root / "proc" / str(pid) / "comm") or "") for pid in tops}
    if names & FORWARDERS:
        return None
    return ServerProcess(tuple(tops), how)


def _find_tops(parents: dict[int, int], pids: list[int]) -> list[int]:
    """Those of `pids` that are not below another of them."""
    below = {
        child for pid in pids for child in find_tree(parents, [pid]) if child != pid
    }
    return sorted(set(pids) - below)


def _find_portable(port: int) -> ServerProcess | None:
    """macOS and Windows: the sockets of each process that may be looked into."""
    import psutil

    owners: list[int] = []
    named: list[int] = []
    for process in psutil.process_iter(["pid", "ppid", "name", "cmdline"]):
        try:
            sockets = process.net_connections(kind="tcp")
        except psutil.Error:
            command = " ".join(process.info["cmdline"] or [process.info["name"] or ""])
            if SERVER_PROGRAMS.search(command):
                named.append(process.pid)
            continue
        if any(
            s.status == psutil.CONN_LISTEN
            and s.laddr.port == port
            and is_loopback_address(s.laddr.ip)
            for s in sockets
        ):
            owners.append(process.pid)
    parents = {p.pid: p.info["ppid"] for p in psutil.process_iter(["ppid"])}
    if owners:
        return ServerProcess(tuple(_find_tops(parents, owners)), "socket")
    tops = _find_tops(parents, named)
    return ServerProcess(tuple(tops), "user and name") if len(tops) == 1 else None
