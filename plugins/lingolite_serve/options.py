"""Options of the server `http`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

_Seconds = Annotated[float, Meta(gt=0.0, le=3600.0)]


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Address, access and limits of the server.

    Attributes:
        host: the address to listen on; 0.0.0.0 is every one of this machine.
        port: 0 is any that is free.
        api_keys: a file with a key a line; requests without one of them are refused. Default: anybody may translate.
        allow_origin: origins whose pages may call the server from a browser (CORS), separated by commas; `*` is all.
        max_body_mb: largest body of a request; 1 MB is 10^6 bytes.
        max_connections: most connections open at the same time.
        max_client_requests: most requests of one client, by its key or its address, at the same time.
        receive_seconds: longest time for the headers of a request, and for its body.
        drain_seconds: how long open connections may still send requests after the process was asked to end.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 5000
    api_keys: str | None = None
    allow_origin: str | None = None
    max_body_mb: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0
    max_connections: Annotated[int, Meta(ge=1)] = 1000
    max_client_requests: Annotated[int, Meta(ge=1)] = 256
    receive_seconds: _Seconds = 10.0
    drain_seconds: Annotated[float, Meta(ge=0.0, le=3600.0)] = 0.5

    def files(self) -> list[Path]:
        """The file of keys, if there is one."""
        return [] if self.api_keys is None else [Path(self.api_keys)]
