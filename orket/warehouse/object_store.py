"""Objects of a store that many machines reach: listed, fetched, and created once.

Any store that fsspec knows (`s3://`, `gs://`, `az://` ...). Who may do what there is
for its client to find out, from the environment or the machine: Orket is given no keys
and keeps none.
"""

from __future__ import annotations

import importlib
import os
import urllib.request
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orket.errors import MissingExtra, UsageError, WarehouseError
from orket.text import printable
from orket.urls import is_loopback, without_query, without_secret

S3 = ("s3", "s3a")
_AT_ONCE = 8
"""So many objects are removed at the same time."""


class ObjectGone(WarehouseError):
    """What was listed is not there any more: others removed it."""


def is_url(place: str) -> bool:
    """Whether a warehouse is named by a URL, and not by a folder."""
    return "://" in place


class ObjectStore:
    """All objects below one URL, by their names relative to it."""

    def __init__(self, url: str) -> None:
        """Asks nobody yet. Raises UsageError for what is no such URL."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise UsageError(
                f"{without_secret(url)} is no URL", "write it as s3://BUCKET/FOLDER"
            ) from None
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UsageError(
                f"{without_query(without_secret(url))} has more than a place in it",
                "name bucket and folder only; keys come from the environment",
            )
        if not parts.netloc:
            raise UsageError(f"{url} names no bucket", "write it as s3://BUCKET/FOLDER")
        self.url = url.rstrip("/")
        self._scheme = parts.scheme
        self._opened: tuple[Any, str] | None = None

    def sizes(self, prefix: str) -> dict[str, int]:
        """Sizes, bytes, by name, of all objects below a prefix; none is normal.

        Raises WarehouseError where the store cannot be asked.
        """
        system, root = self._open()
        try:
            system.invalidate_cache()
            found: Mapping[str, Any] = system.find(f"{root}/{prefix}", detail=True)
        except Exception as error:
            raise self._failure("read", error) from error
        start = len(root) + 1
        return {name[start:]: int(told["size"]) for name, told in found.items()}

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders right below a prefix, without what is before them."""
        system, root = self._open()
        try:
            system.invalidate_cache()
            found = system.ls(f"{root}/{prefix}", detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failure("read", error) from error
        return sorted(
            entry["name"].rstrip("/").rpartition("/")[2]
            for entry in found
            if entry["type"] == "directory"
        )

    def fetch(self, files: Mapping[str, Path]) -> None:
        """Copy each object to its file, all at once.

        Raises ObjectGone where one was removed meanwhile, else WarehouseError.
        """
        system, root = self._open()
        try:
            system.get(
                [f"{root}/{name}" for name in files], [str(p) for p in files.values()]
            )
        except FileNotFoundError as error:
            raise ObjectGone(f"an object is gone from {self.url}") from error
        except Exception as error:
            raise self._failure("read", error) from error

    def read(self, name: str) -> bytes:
        """The content of a small object. Raises WarehouseError."""
        system, root = self._open()
        try:
            content: bytes = system.cat_file(f"{root}/{name}")
        except Exception as error:
            raise self._failure("read", error) from error
        return content

    def create(self, name: str, content: bytes) -> bool:
        """Store an object that was not there; False where it is there already.

        Of two who do so at once, one is told False. Raises WarehouseError.
        """
        system, root = self._open()
        try:
            system.pipe_file(f"{root}/{name}", content, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise self._failure("write", error) from error
        return True

    def remove(self, names: Collection[str]) -> None:
        """Remove objects, those that are gone already too. Raises WarehouseError."""
        system, root = self._open()

        def remove_one(name: str) -> None:
            with suppress(FileNotFoundError):
                system.rm_file(f"{root}/{name}")

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(remove_one, names))
        except Exception as error:
            raise self._failure("write", error) from error

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            options: dict[str, Any] = {}
            try:
                core = importlib.import_module("fsspec.core")
                if self._scheme in S3:
                    importlib.import_module("s3fs")
                    options = _proxy_options(self.url)
            except ImportError as error:
                package = error.name or "fsspec"
                raise MissingExtra(
                    package, "s3", f"a warehouse at {self.url}"
                ) from error
            try:
                system, root = core.url_to_fs(
                    self.url,
                    use_listings_cache=False,
                    skip_instance_cache=True,
                    **options,
                )
            except (ImportError, ValueError) as error:
                raise UsageError(
                    f"{self.url} cannot be opened ({_said(error)})",
                    "s3:// needs the extra s3; other stores need their fsspec package",
                ) from error
            self._opened = system, root.rstrip("/")
        return self._opened

    def _failure(self, what: str, error: Exception) -> WarehouseError:
        """Whatever a client raises is one line for a person."""
        return WarehouseError(
            f"{self.url} cannot be {'read' if what == 'read' else 'written'} "
            f"({_said(error)})",
            "see that the bucket exists, that its keys stand in the environment, and "
            "that AWS_ENDPOINT_URL names its server where it is not Amazon's",
        )


def _proxy_options(url: str) -> dict[str, Any]:
    """What the client of S3 is told about proxies: none for a server on this machine.

    It takes HTTP_PROXY and HTTPS_PROXY, each an HTTP proxy, and would pass over any
    other without a word. Raises UsageError where that would happen.
    """
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    server = urlsplit(named or "https://s3.amazonaws.com")
    if is_loopback(server.hostname or ""):
        return {"config_kwargs": {"proxies": {}}}
    if urllib.request.proxy_bypass(server.netloc):
        return {}
    proxies = urllib.request.getproxies()
    variable = server.scheme if proxies.get(server.scheme) else "all"
    proxy = proxies.get(variable, "")
    if proxy and (variable == "all" or proxy.casefold().startswith("socks")):
        raise UsageError(
            f"{url} would be reached without the proxy that {variable.upper()}_PROXY "
            "names: the client of S3 does not take it",
            f"name an HTTP proxy in {server.scheme.upper()}_PROXY, or the store's "
            "server in NO_PROXY",
        )
    return {}


def _said(error: Exception) -> str:
    return printable(str(error).partition("\n")[0]) or type(error).__name__
