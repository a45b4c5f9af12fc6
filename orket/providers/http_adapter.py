"""What adapters of servers spoken to over HTTP have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from orket.providers.contract import Generation, ServerInfo, ServerLoad, ServerOptions
from orket.providers.http.endpoint import read_endpoint, without_version
from orket.providers.http.transport import Transport
from orket.providers.registry import DEFAULT_URLS
from orket.records import Capabilities

READY_SECONDS = 5.0
TRIAL_SECONDS = 60.0
"""How long a call of one token may take that tries what a server tells."""


class HttpAdapter:
    """Base of an adapter: one address, one connection, and nothing known of it.

    A server that can say more, or that loads and unloads models, says so by a method
    of its own. Another package gives its `default_url`.
    """

    name: str
    default_url: ClassVar[str | None] = None
    ready_route: ClassVar[str] = "/v1/models"
    """What answers once the server takes calls."""

    def __init__(self, options: ServerOptions) -> None:
        url = options.url or self.default_url or DEFAULT_URLS[self.name]
        endpoint = read_endpoint(
            without_version(url), options.api_key_env, options.api_key_file
        )
        self._options = options
        self._http = Transport(
            endpoint, options.insecure, options.clock, options.call_seconds
        )

    def is_ready(self) -> bool:
        """Whether the server answers, be it to refuse a key."""
        status = self._http.get(self.ready_route, READY_SECONDS).status
        return status is not None and status < 500

    def other_models(self) -> list[str] | None:
        """Unknown."""
        return None

    def server_load(self) -> ServerLoad | None:
        """Unknown."""
        return None

    def unload(self) -> None:
        """Nothing: the model was there before Orket came."""

    def close(self) -> None:
        """Let go of the server and of the connection."""
        try:
            self.unload()
        finally:
            self._http.close()

    def _info(
        self,
        version: str | None,
        capabilities: Capabilities,
        notes: Iterable[str] = (),
    ) -> ServerInfo:
        return ServerInfo(
            provider=self.name,
            version=version,
            endpoint=self._http.endpoint.url,
            locality=self._http.endpoint.locality,
            capabilities=capabilities,
            tls_verified=self._http.tls_verified,
            notes=tuple(notes),
        )

    @property
    def _trial_seconds(self) -> float:
        return min(TRIAL_SECONDS, self._options.call_seconds or TRIAL_SECONDS)

    def _streams(self, request: Generation) -> bool:
        return request.stream and self._options.streaming


def unswitched_cache(request: Generation) -> str:
    """How a prompt cache is met that has no switch: by a nonce, or not at all."""
    return "nonce" if request.prompt_cache == "nonce" else "uncontrolled"
