"""Who may translate: API keys, and how many requests of one client are handled at the same time."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.text import read_text_bytes
from lingolite_serve.requests import AnswerError

_BEARER = "bearer "


class ClientAccess:
    """Checks clients, and counts their requests.

    Args:
        keys: a file with a key a line, comments behind `#`; None accepts every client.
        max_requests: of one client at the same time.

    Raises:
        LingoLiteError: the file has no key, or is not text.
    """

    def __init__(self, keys: Path | None, *, max_requests: int) -> None:
        self._digests = None if keys is None else read_api_keys(keys)
        self._max_requests = max_requests
        self._requests: Counter[str] = Counter()

    def check(self, request: Request, api_key: str | None) -> str:
        """The client of a request, by its key, or else by its address.

        Args:
            request: may have its key as a bearer token, or in the query.
            api_key: that of its body.

        Raises:
            AnswerError: status 403, the client sends no key or a wrong one.
        """
        address = request.client.host if request.client else ""
        if self._digests is None:
            return address
        authorization = request.headers.get("authorization", "")
        bearer = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else None
        given = api_key or bearer or request.query_params.get("api_key")
        if not given:
            raise AnswerError(403, "please send an API key: `api_key`, or as a bearer token")
        digest = _digest(given)
        if not any([hmac.compare_digest(digest, known) for known in self._digests]):
            raise AnswerError(403, "invalid API key")
        return digest.hex()

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """Count a request of a client while the block runs.

        Raises:
            AnswerError: status 429, the client has `max_requests` already.
        """
        if self._requests[client] >= self._max_requests:
            raise AnswerError(
                429, f"more than {self._max_requests} requests at the same time", headers={"Retry-After": "1"}
            )
        self._requests[client] += 1
        try:
            yield
        finally:
            self._requests[client] -= 1
            if not self._requests[client]:
                del self._requests[client]


def read_api_keys(path: Path) -> list[bytes]:
    """Digests of the keys in a file.

    Raises:
        LingoLiteError: it has no key, or is not text.
    """
    try:
        lines = read_text_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise LingoLiteError(f"{path} is not UTF-8", hint="a file of API keys has one a line") from None
    keys = [key for line in lines if (key := line.partition("#")[0].strip())]
    if not keys:
        raise LingoLiteError(f"{path} has no API key", hint="write one a line")
    return [_digest(key) for key in keys]


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
