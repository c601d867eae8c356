"""The server `http`, in this process: what each request is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.serving.batcher import Batcher, BatchPolicy
from lingolite_cli.serving.sample import SampleLog, SampleLogOptions, read_sample_logs
from lingolite_cli.serving.service import ServingLimits, TranslationService
from lingolite_cli.tokenization.opening import open_tokenizer

pytestmark = pytest.mark.serve

ServiceMaker = Callable[..., TranslationService]
TEXT = "She reads. We ate bread and cheese."


@contextmanager
def client_of(service: TranslationService, *, log: SampleLog | None = None, **options: Any) -> Iterator[Any]:
    """A client of a server with these options."""
    from lingolite_serve.application import HttpApplication
    from lingolite_serve.options import HttpOptions
    from starlette.testclient import TestClient

    with TestClient(HttpApplication(service, HttpOptions(**options), log).asgi) as client:
        yield client


@pytest.fixture
def client(make_service: ServiceMaker) -> Iterator[Any]:
    with client_of(make_service()) as made:
        yield made


def asked(q: Any = TEXT, **fields: Any) -> dict[str, Any]:
    return {"q": q, "source": "en", "target": "da", **fields}


def test_a_text_is_translated_as_json_as_a_form_and_in_parts(client: Any) -> None:
    answers = [
        client.post("/translate", json=asked()),
        client.post("/translate", data=asked()),
        client.post("/translate", files={name: (None, value) for name, value in asked().items()}),
    ]
    assert [answer.json() for answer in answers] == [{"translatedText": TEXT}] * 3


def test_several_texts_have_an_answer_each(client: Any) -> None:
    texts = ["She reads.", "", "  \n", TEXT]
    assert client.post("/translate", json=asked(texts)).json() == {"translatedText": texts}
    assert client.post("/translate", data=asked(texts)).json() == {"translatedText": texts}


def test_paragraphs_and_white_space_stay_as_they_are(client: Any) -> None:
    text = "  She reads.\r\n\r\n\tWe ate bread.  She reads.\n"
    assert client.post("/translate", json=asked(text)).json()["translatedText"] == text


def test_a_source_language_that_is_the_only_one_need_not_be_named(client: Any) -> None:
    answer = client.post("/translate", json=asked(source="auto")).json()
    assert answer == {"translatedText": TEXT, "detectedLanguage": {"language": "en", "confidence": 0}}


def test_languages_are_not_detected_among_several(make_service: ServiceMaker) -> None:
    with client_of(make_service(pairs=(("en", "da"), ("da", "da")))) as client:
        answer = client.post("/translate", json=asked(source="auto"))
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "source `auto`: languages are not detected here; send one of en, da",
    )


def test_languages_and_health(make_service: ServiceMaker) -> None:
    with client_of(make_service(pairs=(("en", "da"), ("da", "en")))) as client:
        assert client.get("/languages").json() == [
            {"code": "en", "name": "English", "targets": ["da"]},
            {"code": "da", "name": "Danish", "targets": ["en"]},
        ]
        assert client.get("/health").json() == {"status": "ok"}


def test_a_server_that_ends_says_so_and_closes_connections(make_service: ServiceMaker) -> None:
    from lingolite_serve.application import HttpApplication
    from lingolite_serve.options import HttpOptions
    from starlette.testclient import TestClient

    application = HttpApplication(make_service(), HttpOptions(), None)
    with TestClient(application.asgi) as client:
        application.is_closing = True
        health = client.get("/health")
        translated = client.post("/translate", json=asked())
    assert (health.status_code, health.headers["connection"]) == (503, "close")
    assert (translated.json(), translated.headers["connection"]) == ({"translatedText": TEXT}, "close")


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("headers", "body", "status", "words"),
    [
        (JSON, b"", 400, "the body is not a request"),
        (JSON, b"{", 400, "the body is not a request"),
        (JSON, b'{"q": "a', 400, "the body is not a request"),
        (JSON, b"[]", 400, "the body is not a request"),
        (JSON, b'{"q": "\xff\xfe", "source": "en", "target": "da"}', 400, "the body is not UTF-8: byte 7"),
        (JSON, rb'{"q": "\ud83d", "source": "en", "target": "da"}', 400, "the body is not a request"),
        (JSON, b'{"q": 1, "source": "en", "target": "da"}', 400, "$.q"),
        (JSON, b'{"q": [["a"]], "source": "en", "target": "da"}', 400, "$.q"),
        (JSON, b'{"q": "a", "source": "en"}', 400, "target"),
        (
            JSON,
            b'{"q": "a", "source": "xx", "target": "da"}',
            400,
            "xx to da is not translated here; what is: en to da",
        ),
        (JSON, b'{"q": "a", "source": "da", "target": "en"}', 400, "da to en is not translated here"),
        (JSON, b'{"q": "a", "source": "en", "target": "da", "format": "html"}', 400, "format html"),
        (
            JSON,
            b'{"q": "a", "source": "en", "target": "da", "alternatives": 6}',
            413,
            "6 alternatives are not given: 0 to 5",
        ),
        (JSON, b'{"q": "a", "source": "en", "target": "da", "alternatives": -1}', 400, "-1 alternatives"),
        (JSON, b"[" * 100_000, 400, "the body is not a request"),
        (FORM, b"q=%ff&source=en&target=da", 400, "the body is not UTF-8"),
        (FORM, b"q=\xff", 400, "the body is not UTF-8"),
        (FORM, b"&".join([b"q=a"] * 1001), 400, "the body is not a request"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"nothing", 400, "the body is not a request"),
        ({"Content-Type": "multipart/form-data"}, b"nothing", 400, "the body is not a request"),
        ({"Content-Type": "text/plain"}, b"a", 415, "the body is of type text/plain"),
        ({}, b"a", 415, "the body is of type nothing"),
    ],
)
def test_what_is_no_request_is_refused_in_words(
    client: Any, headers: dict[str, str], body: bytes, status: int, words: str
) -> None:
    answer = client.post("/translate", content=body, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_other_paths_and_methods_are_refused_in_the_same_form(client: Any) -> None:
    assert client.get("/nothing").json() == {"error": "Not Found"}
    answer = client.get("/translate")
    assert (answer.status_code, answer.json()) == (405, {"error": "Method Not Allowed"})


def test_limits_of_size_are_told(make_service: ServiceMaker) -> None:
    limits = ServingLimits(max_characters=20, max_texts=2)
    with client_of(make_service(limits=limits), max_body_mb=0.001) as client:
        long, many, large = (client.post("/translate", json=asked(q)) for q in ("a" * 21, ["a"] * 3, "a" * 1000))
    assert [answer.status_code for answer in (long, many, large)] == [413] * 3
    assert long.json()["error"] == "21 characters are more than the 20 of a request"
    assert many.json()["error"] == "3 texts are more than the 2 of a request"
    assert large.json()["error"] == "the body is larger than 0.001 MB"


def test_a_request_of_more_sentences_than_may_wait_is_too_large(make_service: ServiceMaker) -> None:
    with client_of(make_service(policy=BatchPolicy(max_waiting=1))) as client:
        answer = client.post("/translate", json=asked())
        assert (answer.status_code, answer.json()["error"]) == (413, "2 sentences are more than the 1 that may wait")
        assert client.post("/translate", json=asked("She reads.")).status_code == 200


class Silence:
    """A pool that never answers."""

    num_workers = 1

    def submit(self, *batch: Any) -> Any:
        return Future()


@pytest.fixture
def silent(tiny: Artifact) -> TranslationService:
    """A service whose engine never answers, and where three sentences may wait."""
    tokenizer, pool = open_tokenizer(tiny), Silence()
    return TranslationService(
        lambda pair: Translator(pool, tokenizer, tiny.manifest.model, pair, options=DecodingOptions()),  # type: ignore[arg-type]
        [("en", "da")],
        Batcher(pool, BatchPolicy(batch_size=1, max_waiting=3)),  # type: ignore[arg-type]
        limits=ServingLimits(max_seconds=0.01),
        is_splitting=True,
        model="0",
        unknown_id=3,
    )


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_what_is_not_translated_in_time_is_given_up(silent: TranslationService, accept: str) -> None:
    with client_of(silent) as client:
        answer = client.post("/translate", json=asked(), headers={"Accept": accept})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "not translated within 0.01 s"}


def test_a_queue_without_room_refuses_and_says_when_to_come_again(silent: TranslationService) -> None:
    import httpx2
    from lingolite_serve.application import HttpApplication
    from lingolite_serve.options import HttpOptions

    async def asked_at_once() -> list[Any]:
        transport = httpx2.ASGITransport(HttpApplication(silent, HttpOptions(), None).asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
            return await asyncio.gather(*(client.post("/translate", json=asked("She reads.")) for _ in range(8)))

    answers = asyncio.run(asked_at_once())
    refused = [answer for answer in answers if "too many sentences are waiting" in answer.json()["error"]]
    assert len(refused) == 3, "two batches are with the worker, and three sentences wait"
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}


def test_alternatives_are_other_translations(make_service: ServiceMaker, network: Any) -> None:
    with client_of(make_service(network)) as client:
        one = client.post("/translate", json=asked(alternatives=2)).json()
        several = client.post("/translate", json=asked([TEXT, ""], alternatives=1)).json()
        streamed = client.post("/translate", json=asked(alternatives=1), headers={"Accept": "text/event-stream"})
    assert len({one["translatedText"], *one["alternatives"]}) == 3
    assert [len(found) for found in several["alternatives"]] == [1, 0]
    assert (streamed.status_code, "alternatives are not streamed" in streamed.json()["error"]) == (400, True)


def test_fields_may_stand_in_the_address(client: Any) -> None:
    assert client.post("/translate", params=asked()).json() == {"translatedText": TEXT}
    fields = {"q": TEXT, "source": "en"}
    assert client.post("/translate?target=da&source=xx", data=fields).json() == {"translatedText": TEXT}


def test_a_client_has_its_share_and_no_more() -> None:
    from lingolite_serve.access import ClientAccess
    from lingolite_serve.requests import AnswerError

    access = ClientAccess(None, max_requests=1)
    with access.counted("one"):
        with pytest.raises(AnswerError) as refused, access.counted("one"):
            pass
        with access.counted("other"):
            pass
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    with access.counted("one"):
        pass


def test_keys_are_asked_for_where_there_are_some(make_service: ServiceMaker, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# ours\nfirst\n  second  # of the app\n", encoding="utf-8-sig")
    with client_of(make_service(), api_keys=str(tmp_path / "keys")) as client:
        allowed = [
            client.post("/translate", json=asked(api_key="first")),
            client.post("/translate", data=asked(api_key="second")),
            client.post("/translate", json=asked(), headers={"Authorization": "Bearer second"}),
            client.post("/translate?api_key=first", json=asked()),
        ]
        refused = [client.post("/translate", json=asked(api_key=key)) for key in (None, "", "other", "# ours")]
        assert client.get("/health").status_code == 200
    assert [answer.status_code for answer in allowed] == [200] * 4
    assert [answer.status_code for answer in refused] == [403] * 4
    assert refused[2].json() == {"error": "invalid API key"}


def test_pages_of_other_origins_are_not_let_in_unless_they_are_named(make_service: ServiceMaker) -> None:
    origin = {"Origin": "https://example.org"}
    with client_of(make_service()) as client:
        assert "access-control-allow-origin" not in client.post("/translate", json=asked(), headers=origin).headers
    with client_of(make_service(), allow_origin="https://example.org, https://example.com") as client:
        named = client.post("/translate", json=asked(), headers=origin)
        other = client.post("/translate", json=asked(), headers={"Origin": "https://evil.org"})
    assert named.headers["access-control-allow-origin"] == "https://example.org"
    assert "access-control-allow-origin" not in other.headers


def events(text: str) -> list[tuple[str, Any]]:
    """Names and data of server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found


def test_a_stream_grows_sentence_by_sentence(client: Any) -> None:
    answer = client.post("/translate", json=asked(f"{TEXT}\n\nShe reads."), headers={"Accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events(answer.text) == [
        ("message", {"translatedText": "She reads."}),
        ("message", {"translatedText": f"{TEXT}\n\n"}),
        ("done", {"translatedText": f"{TEXT}\n\nShe reads."}),
    ]


@pytest.mark.parametrize("text", ["", "  \n", "She reads."])
def test_a_stream_of_one_sentence_or_none_is_its_end(client: Any, text: str) -> None:
    answer = client.post("/translate", json=asked(text), headers={"Accept": "text/event-stream"})
    assert events(answer.text) == [("done", {"translatedText": text})]


def test_several_texts_are_not_streamed(client: Any) -> None:
    answer = client.post("/translate", json=asked(["a"]), headers={"Accept": "text/event-stream"})
    assert (answer.status_code, "several texts are not streamed" in answer.json()["error"]) == (400, True)


def test_metrics_count_what_became_of_requests(client: Any) -> None:
    client.post("/translate", json=asked())
    client.post("/translate", json=asked("She reads."))
    client.post("/translate", json=asked(source="xx"))
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    assert lines['lingolite_requests_total{outcome="done"}'] == "2.0"
    assert lines['lingolite_requests_total{outcome="invalid"}'] == "1.0"
    assert lines["lingolite_request_seconds_count"] == "2.0"
    assert lines["lingolite_sentences_total"] == "3.0"
    assert lines['lingolite_faults_total{kind="loops"}'] == "0.0"
    assert lines['lingolite_faults_total{kind="copies"}'] == "1.0", "an engine that repeats its source"
    assert lines["lingolite_waiting_sentences"] == "0.0"
    assert float(lines['lingolite_tokens_total{side="target"}']) > 0
    assert lines["lingolite_batch_sentences_sum"] == "3.0"


def test_requests_are_recorded(make_service: ServiceMaker, tmp_path: Path) -> None:
    log = SampleLog(SampleLogOptions(path=str(tmp_path / "log"), has_texts=True))
    with client_of(make_service(), log=log) as client:
        client.post("/translate", json=asked())
        client.post("/translate", json=asked(), headers={"Accept": "text/event-stream"})
        client.post("/translate", json=asked(source="xx"))
    log.close()
    recorded = list(read_sample_logs([tmp_path / "log"]))
    assert [one.outcome for one in recorded] == ["done", "done", "invalid"]
    assert [len(one.sentences) for one in recorded] == [2, 2, 0]
    assert recorded[0].languages == ("en", "da")
    assert [one.source for one in recorded[0].sentences] == ["She reads.", "We ate bread and cheese."]
    assert recorded[0].sentences[1].faults == ("copies",)
    assert 0 <= recorded[0].waited_ms <= recorded[0].latency_ms


def test_the_openapi_document_is_valid(client: Any) -> None:
    from openapi_spec_validator import validate

    validate(client.get("/openapi.json").json())


def test_the_name_of_each_route_is_in_the_document(client: Any) -> None:
    assert set(client.get("/openapi.json").json()["paths"]) == {"/translate", "/languages", "/health", "/metrics"}
