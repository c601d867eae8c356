"""What an executor and the process of one of its workers say to each other."""

from __future__ import annotations

import msgspec

from lingolite_cli.workers.channel import Failed


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Make(_Message, tag="make", frozen=True, kw_only=True):
    """Make the handler; the first message. See `lingolite_cli.plugins.executors.Work`."""

    handler: str
    setup: bytes
    artifacts: dict[str, str]


class Handle(_Message, tag="handle", frozen=True, kw_only=True):
    """Answer a request."""

    request: bytes


HandlerRequest = Make | Handle


class Made(_Message, tag="made", frozen=True, kw_only=True):
    """The handler is there."""


class Handled(_Message, tag="handled", frozen=True, kw_only=True):
    """The handler's answer."""

    content: bytes


HandlerResponse = Made | Handled | Failed
