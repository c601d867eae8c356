"""Options of the executor `ray`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RayOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Ray runs.

    Attributes:
        address: of a cluster: HOST:PORT of its head, `auto` for the one that this machine belongs to, or ray://HOST:PORT
            for one that it does not belong to; None starts Ray on this machine, for the time of the command.
        timeout_seconds: to reach the cluster and to get its workers.
    """

    address: str | None = None
    timeout_seconds: Annotated[float, Meta(gt=0.0, le=3600.0)] = 60.0
