"""The routes: LibreTranslate's `/translate`, `/languages` and `/health`, metrics, and the OpenAPI document.

Owns what each request is answered. How bodies are read is in `requests`, who may ask in `access`; listening and ending
is the business of `server`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.serving.batcher import QueueFullError
from lingolite_cli.serving.sample import Outcome, SampleLog
from lingolite_cli.serving.service import Languages, RequestError, ServedText, TooLateError, TranslationService
from lingolite_serve.access import ClientAccess
from lingolite_serve.metrics import ServerMetrics
from lingolite_serve.openapi import language_name, openapi_document
from lingolite_serve.options import HttpOptions
from lingolite_serve.requests import AnswerError, TranslateBody, parse_translate, receive_body

T = TypeVar("T")
_EVENTS = "text/event-stream"
_AUTO = "auto"


class HttpApplication:
    """The routes over a service.

    Args:
        service: translates.
        options: of the server.
        log: where requests are recorded, if anywhere.

    Attributes:
        is_closing: whether the process was asked to end: connections are closed after their answers.
        asgi: the application.
    """

    def __init__(self, service: TranslationService, options: HttpOptions, log: SampleLog | None) -> None:
        self._service = service
        self._options = options
        self._log = log
        self._metrics = ServerMetrics(service, log)
        keys = None if options.api_keys is None else Path(options.api_keys)
        self._access = ClientAccess(keys, max_requests=options.max_client_requests)
        self.is_closing = False
        self.asgi = Starlette(
            routes=[
                Route("/translate", self._translate, methods=["POST"]),
                Route("/languages", self._languages, methods=["GET", "POST"]),
                Route("/health", self._health, methods=["GET"]),
                Route("/metrics", self._exposed, methods=["GET"]),
                Route("/openapi.json", self._openapi, methods=["GET"]),
            ],
            middleware=_cross_origin(options),
            exception_handlers={HTTPException: self._unknown},
        )

    async def _translate(self, request: Request) -> Response:
        arrived = time.monotonic()
        try:
            asked = await self._asked(request, arrived)
        except AnswerError as error:
            self._record("invalid", arrived)
            return self._refused(error)
        except ClientDisconnect:
            self._record("abandoned", arrived)
            return Response(status_code=400)
        if _EVENTS in request.headers.get("accept", ""):
            return await self._streamed(asked)
        try:
            with self._access.counted(asked.client):
                work = self._service.translate(asked.texts, asked.languages, num_alternatives=asked.body.alternatives)
                served = await _unless_gone(request, work)
        except Exception as error:
            return self._failed(error, asked)
        self._record("done", arrived, languages=asked.languages, served=served)
        found, others = [one.text for one in served], [one.alternatives for one in served]
        answer = asked.answer(found[0] if isinstance(asked.body.q, str) else found)
        if asked.body.alternatives:
            answer["alternatives"] = others[0] if isinstance(asked.body.q, str) else others
        return self._json(answer)

    async def _asked(self, request: Request, arrived: float) -> _Asked:
        """What a request asks for.

        Raises:
            AnswerError: nothing that is done here.
            ClientDisconnect: the client went away before it was said.
        """
        content = await receive_body(request, self._options)
        body = parse_translate(request.headers.get("content-type", ""), content, query=request.url.query)
        client = self._access.check(request, body.api_key)
        if body.format != "text":
            raise AnswerError(400, f"format {body.format} is not translated here: send `text`")
        return _Asked(request, arrived, client, body, self._pair(body))

    def _pair(self, body: TranslateBody) -> Languages:
        if body.source != _AUTO:
            return body.source, body.target
        sources = [source for source, target in self._service.pairs if target == body.target]
        if len(sources) > 1:
            raise AnswerError(
                400, f"source `{_AUTO}`: languages are not detected here; send one of {', '.join(sources)}"
            )
        return (sources[0] if sources else self._service.pairs[0][0]), body.target

    async def _streamed(self, asked: _Asked) -> Response:
        """The text so far after each sentence, as server-sent events."""
        events = self._events(asked)
        try:
            if not isinstance(asked.body.q, str):
                raise RequestError("several texts are not streamed: send one, or leave out `Accept: text/event-stream`")
            if asked.body.alternatives:
                raise RequestError("alternatives are not streamed: leave them out, or `Accept: text/event-stream`")
            first = await anext(events)  # so that a refusal has its status
        except Exception as error:
            return self._failed(error, asked)
        return StreamingResponse(
            _behind(first, events), media_type=_EVENTS, headers={"Cache-Control": "no-store", **self._closing_headers}
        )

    async def _events(self, asked: _Asked) -> AsyncIterator[bytes]:
        """Events of a stream; what goes wrong after the first is one of them."""
        last: ServedText | None = None
        try:
            with self._access.counted(asked.client):
                async for served in self._service.stream(asked.texts[0], asked.languages):
                    if last is not None:
                        yield _event("message", asked.answer(last.text))
                    last = served
        except Exception as error:
            if last is None:
                raise
            outcome, answer = _answer_to(error)
            self._record(outcome, asked.arrived, languages=asked.languages)
            yield _event("error", {"error": answer.message})
            return
        except BaseException:  # the client went away
            self._record("abandoned", asked.arrived, languages=asked.languages)
            raise
        assert last is not None
        self._record("done", asked.arrived, languages=asked.languages, served=[last])
        yield _event("done", asked.answer(last.text))

    async def _languages(self, request: Request) -> Response:
        targets: dict[str, list[str]] = {}
        for source, target in self._service.pairs:
            targets.setdefault(source, []).append(target)
        return self._json(
            [{"code": code, "name": language_name(code), "targets": found} for code, found in targets.items()]
        )

    async def _health(self, request: Request) -> Response:
        if self.is_closing:
            return self._json({"status": "closing"}, status=503)
        return self._json({"status": "ok"})

    async def _exposed(self, request: Request) -> Response:
        content, content_type = self._metrics.exposed(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": content_type, **self._closing_headers})

    async def _openapi(self, request: Request) -> Response:
        return self._json(openapi_document(self._service, self._options))

    async def _unknown(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._refused(AnswerError(error.status_code, error.detail, headers=error.headers))

    def _failed(self, error: Exception, asked: _Asked) -> Response:
        outcome, answer = _answer_to(error)
        self._record(outcome, asked.arrived, languages=asked.languages)
        return self._refused(answer)

    def _refused(self, error: AnswerError) -> Response:
        return self._json({"error": error.message}, status=error.status, headers=error.headers)

    def _json(self, content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        return Response(
            msgspec.json.encode(content),
            status_code=status,
            media_type="application/json",
            headers={**self._closing_headers, **(headers or {})},
        )

    @property
    def _closing_headers(self) -> dict[str, str]:
        return {"Connection": "close"} if self.is_closing else {}

    def _record(
        self,
        outcome: Outcome,
        arrived: float,
        *,
        languages: Languages | None = None,
        served: Sequence[ServedText] = (),
    ) -> None:
        sample = self._service.sample(outcome, arrived=arrived, languages=languages, served=served)
        self._metrics.request(sample)
        if self._log is not None:
            self._log.write(sample)


class _Asked(NamedTuple):
    """A request to translate, received and allowed."""

    request: Request
    arrived: float
    client: str
    body: TranslateBody
    languages: Languages

    @property
    def texts(self) -> list[str]:
        """What is translated."""
        return [self.body.q] if isinstance(self.body.q, str) else self.body.q

    def answer(self, translated: str | list[str]) -> dict[str, Any]:
        """The answer with a translation. For `auto` it names the only source language, which was not detected."""
        if self.body.source != _AUTO:
            return {"translatedText": translated}
        found = {"language": self.languages[0], "confidence": 0}
        return {"translatedText": translated, "detectedLanguage": found}


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled where the client goes away first.

    Raises:
        ClientDisconnect: it did.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer_to(error: Exception) -> tuple[Outcome, AnswerError]:
    """What became of a request that ended with an error, and what its client is told.

    Raises:
        Exception: `error` itself, where it is a bug.
    """
    match error:
        case AnswerError():
            return "refused" if error.status == 429 else "invalid", error
        case RequestError():
            return "invalid", AnswerError(413 if error.is_too_large else 400, error.message)
        case QueueFullError():
            return "refused", AnswerError(503, str(error), headers={"Retry-After": str(error.retry_after_seconds)})
        case TooLateError():
            return "late", AnswerError(503, str(error), headers={"Retry-After": "1"})
        case ClientDisconnect():
            return "abandoned", AnswerError(400, "the client went away")
        case LingoLiteError():
            return "failed", AnswerError(500, f"not translated: {error.message}")
        case _:
            raise error


def _event(name: str, content: Mapping[str, Any]) -> bytes:
    head = b"" if name == "message" else f"event: {name}\n".encode()
    return head + b"data: " + msgspec.json.encode(content) + b"\n\n"


async def _behind(first: bytes, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in events:
        yield event


def _cross_origin(options: HttpOptions) -> list[Middleware]:
    if options.allow_origin is None:
        return []
    origins = [origin.strip() for origin in options.allow_origin.split(",") if origin.strip()]
    return [Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"])]
