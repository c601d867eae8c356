"""Requests as LibreTranslate's clients send them: JSON or a form, within limits of size and time.

Owns how a body is received and what it may say. What becomes of a request is `application`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

import msgspec
from python_multipart import parse_form
from python_multipart.exceptions import FormParserError
from starlette.requests import Request

from lingolite_serve.options import HttpOptions

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_MOST_FIELDS = 1000
_MOST_DISCARDED = 64 * 10**6
"""Bytes of a body that is too large which are received, so that the client reads why; beyond, the connection ends."""


class AnswerError(Exception):
    """An answer that is not a translation.

    Args:
        status: the HTTP status.
        message: for the client.
        headers: besides those of every answer.
    """

    def __init__(self, status: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class TranslateBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/translate`, as LibreTranslate has it; keys that it does not have are ignored, as there.

    Attributes:
        q: a text, or several.
        source: language of the texts; `auto` where a server has one source language for the target.
        target: language to translate into.
        format: only `text`.
        alternatives: translations of each text besides the best.
        api_key: one of the server's, where it has some.
    """

    q: str | list[str]
    source: str
    target: str
    format: str = "text"
    alternatives: int = 0
    api_key: str | None = None


async def receive_body(request: Request, options: HttpOptions) -> bytes:
    """The body of a request.

    Raises:
        AnswerError: it is too large, or does not come in time.
        ClientDisconnect: the client went away.
    """
    most = int(options.max_body_mb * 1e6)
    too_large = AnswerError(413, f"the body is larger than {options.max_body_mb:g} MB", headers={"Connection": "close"})
    is_asking = request.headers.get("expect", "").lower() == "100-continue"
    if is_asking and _claimed_bytes(request) > most:  # the client waits for leave to send
        raise too_large
    try:
        return await asyncio.wait_for(_received(request, most, too_large), options.receive_seconds)
    except asyncio.TimeoutError:
        raise AnswerError(
            408, f"the body did not come within {options.receive_seconds:g} s", headers={"Connection": "close"}
        ) from None


async def _received(request: Request, most: int, too_large: AnswerError) -> bytes:
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MOST_DISCARDED:
            raise too_large
        if size <= most:
            body += chunk
    if size > most:
        raise too_large
    return bytes(body)


def _claimed_bytes(request: Request) -> int:
    claimed = request.headers.get("content-length", "")
    return int(claimed) if claimed.isascii() and claimed.isdigit() else 0


def parse_translate(content_type: str, body: bytes, *, query: str = "") -> TranslateBody:
    """What a body says, and the query where the body is a form or nothing.

    Args:
        content_type: of the request.
        body: whole.
        query: of the request's address.

    Raises:
        AnswerError: it is not what LibreTranslate's clients send.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = body.decode("utf-8")
        if kind == _JSON or (not kind and body[:1] == b"{"):
            return msgspec.json.decode(text, type=TranslateBody)
        if kind == _FORM or (query and not body):
            fields = _form_fields(text)
        elif kind == _MULTIPART:
            fields = _multipart_fields(content_type, body)
        else:
            raise AnswerError(415, f"the body is of type {kind or 'nothing'}: send {_JSON}, {_FORM} or {_MULTIPART}")
        return msgspec.convert(_plain({**_form_fields(query), **fields}), TranslateBody, strict=False)
    except UnicodeDecodeError as error:
        raise AnswerError(400, f"the body is not UTF-8: byte {error.start}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError, FormParserError) as error:
        raise AnswerError(400, f"the body is not a request: {error}") from None


def _form_fields(text: str) -> dict[str, list[str]]:
    return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)


def _plain(fields: Mapping[str, list[str]]) -> dict[str, Any]:
    """A field that comes once as its value; a text may come several times."""
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _multipart_fields(content_type: str, body: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}

    def add(field: Any) -> None:
        fields.setdefault(field.field_name.decode("utf-8"), []).append((field.value or b"").decode("utf-8"))

    parse_form({"Content-Type": content_type.encode()}, BytesIO(body), add, lambda file: None)
    return fields
