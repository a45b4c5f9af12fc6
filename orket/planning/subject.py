"""What one argument means: a preset, GGUF files, a server, a model of Ollama.

    quickstart, my.toml              a preset
    ./models, ./model-Q4_K_M.gguf    files on this machine, run by the embedded engine
    http://host:8000                 whatever answers there
    localhost:8000, 10.0.0.2:8000    the same: an address with a port is no model
    llama3.1:8b, qwen2.5             installed models of Ollama, by name or by family

For all but a preset a neutral one stands behind it; every option still goes over that.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, replace
from pathlib import Path

from orket.errors import UsageError
from orket.planning.neutral import NEUTRAL_PRESET as NEUTRAL_PRESET
from orket.planning.preset import known_presets
from orket.providers.contract import ServerOptions
from orket.providers.recognise import recognise
from orket.providers.registry import DEFAULT_URLS, EMBEDDED
from orket.text import nearest, whole_number
from orket.urls import without_secret

OLLAMA = "ollama"
OLLAMA_HOST = "OLLAMA_HOST"
OLLAMA_PORT = 11434


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be measured, and by whom it is served."""

    provider: str
    url: str | None = None
    place: Path | None = None
    """A folder of GGUF files, or one file."""
    model: str | None = None
    """A model or a family by its server's name; None for whatever is there."""
    note: str | None = None
    """What the server was taken for, where that is not plain."""


def find_subject(
    word: str, options: ServerOptions, provider: str | None = None
) -> Subject | None:
    """What the argument means; None for a preset, which speaks for itself.

    A server is asked what it is, unless `provider` says it. Raises ServerError when
    none answers at a URL, UsageError for a word that can mean nothing.
    """
    if word in known_presets() or word.endswith(".toml"):
        return None
    if (url := _url_of(word)) is not None:
        return Subject(provider, url) if provider else _served_at(url, options)
    place = Path(word).expanduser()
    if place.is_dir() or place.suffix.lower() == ".gguf":
        if not place.exists():
            raise UsageError(f"there is no file {place}", "check the path")
        return Subject(provider or EMBEDDED, place=place)
    if place.exists():
        raise UsageError(
            f"{place} is neither a folder nor a GGUF file",
            "name a folder of GGUF files, one file, a URL or a model of Ollama",
        )
    if _looks_like_a_path(word):
        raise UsageError(f"there is no folder {place}", "check the path")
    return Subject(provider or OLLAMA, url=options.url or ollama_url(), model=word)


def is_model_name(word: str) -> bool:
    """Whether a word names no preset, no file and no server, and so a model."""
    if word in known_presets() or word.endswith((".toml", ".gguf")):
        return False
    is_place = _url_of(word) is not None or _looks_like_a_path(word)
    return not is_place and not Path(word).expanduser().exists()


def ollama_url(environment: str | None = None) -> str:
    """Where the user's Ollama listens, as $OLLAMA_HOST says it.

    Ollama reads a host, host:port or a URL; 0.0.0.0 is every address of the server,
    and so this machine for a client. Raises UsageError for what is no address.
    """
    said = os.environ.get(OLLAMA_HOST) if environment is None else environment
    said = (said or "").strip().strip("\"'")
    if not said:
        return DEFAULT_URLS[OLLAMA]
    scheme, separator, rest = said.partition("://")
    if not separator:
        scheme, rest = "http", said
    authority, slash, path = rest.partition("/")
    user_info, at, host = authority.rpartition("@")
    name, port = _split_port(host)
    if port is None:
        # Without a port, a URL means that of its scheme, and a bare host Ollama's own.
        known = {"http": "80", "https": "443"} if separator else {}
        port = known.get(scheme, str(OLLAMA_PORT))
    number = whole_number(port)
    if scheme not in ("http", "https") or number is None or number > 65_535:
        raise UsageError(
            f"{OLLAMA_HOST} is {without_secret(said)!r}: no address of a server",
            "write it as host:port",
        )
    shown = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(name, name)
    return f"{scheme}://{user_info}{at}{shown}:{port}{slash}{path}".rstrip("/")


def match_names(wanted: str, names: list[str]) -> list[str]:
    """Those of the installed names that a word means: a name, or all of a family.

    `qwen2.5` is every tag of qwen2.5 and not qwen2.5-coder; `llama3.1:8b` is that tag
    and what goes on from it, such as llama3.1:8b-instruct-q4_K_M. Raises UsageError,
    naming what is nearest, when nothing is meant.
    """
    low = wanted.casefold()
    exact = [name for name in names if name.casefold() == low]
    family = [name for name in names if _continues(name.casefold(), low)]
    found = exact + [name for name in family if name not in exact]
    if not found:
        raise UsageError(
            f"no installed model is called {wanted!r}",
            nearest(wanted, names, list_all=True)
            if names
            else "nothing is installed there; fetch one with: ollama pull NAME",
        )
    return found


def _continues(name: str, wanted: str) -> bool:
    rest = name[len(wanted) :]
    if not name.startswith(wanted):
        # A name without its publisher or registry is the same name.
        return name.endswith(f"/{wanted}") or f"/{wanted}:" in name
    return rest.startswith(":") or (":" in wanted and rest.startswith("-"))


def _served_at(url: str, options: ServerOptions) -> Subject:
    found = recognise(replace(options, url=url))
    if found.provider is None:
        raise UsageError(f"{found.url} {found.note}")
    note = f"{found.url} {found.note}" if found.note else None
    return Subject(found.provider, url=url, note=note)


def _split_port(host: str) -> tuple[str, str | None]:
    """Host and port; an IPv6 address stands in brackets or has no port."""
    if host.startswith("["):
        name, _, port = host.partition("]")
        return f"{name}]", port.removeprefix(":") or None
    if host.count(":") > 1:
        return f"[{host}]", None
    name, colon, port = host.partition(":")
    return name, port if colon else None


def _url_of(word: str) -> str | None:
    """The URL that a word is: of an address with a port over plain HTTP, else None.

    A name with a tag looks the same as another host with a port, and means a model.
    """
    if word.startswith(("http://", "https://")):
        return word
    authority = word.partition("/")[0]
    if authority.count(":") > 1 and not authority.startswith("["):
        return None
    host, port = _split_port(authority)
    if whole_number(port) is None:
        return None
    if host.casefold() != "localhost" and not _is_address(host.strip("[]")):
        return None
    return f"http://{word}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _looks_like_a_path(word: str) -> bool:
    return word.startswith((".", "~", os.sep)) or word.endswith(os.sep)
