"""Arrays arrive in another process as they were sent, and are not copied on the way into a message."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lingolite_cli.workers.channel import Child, Failed, _Decoder, _receive, _send
from lingolite_cli.workers.sent_array import ElementType, SentArray


class Note(msgspec.Struct):
    title: str
    arrays: dict[str, SentArray]


def sent(note: Note) -> bytes:
    stream = BytesIO()
    _send(stream, note)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([[1.5, -2.0, 3e30]], np.float32), "float32"),
        (np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1), "int64"),
        (np.array([True, False, True]), "bool"),
        (np.zeros((0, 7), np.float32), "float32"),
    ],
    ids=["rows", "transposed", "bool", "empty"],
)
def test_an_array_arrives_as_it_was(array: np.ndarray, kind: ElementType) -> None:
    stream = BytesIO(sent(Note("one", {"it": SentArray.of(array, kind)})))
    found = _Decoder(Note).decode(_receive(stream)).arrays["it"].array
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert stream.read() == b""


def test_arrays_of_several_messages_stay_apart() -> None:
    first, second = (
        Note(str(size), {str(n): SentArray.of(np.full(n, n), "int64") for n in range(size)}) for size in (3, 2)
    )
    stream, decoder = BytesIO(sent(first) + sent(second)), _Decoder(Note)
    notes = [decoder.decode(_receive(stream)) for _ in range(2)]
    found = [(note.title, {name: one.array.tolist() for name, one in note.arrays.items()}) for note in notes]
    assert found == [("3", {"0": [], "1": [1], "2": [2, 2]}), ("2", {"0": [], "1": [1]})]


def test_no_number_is_copied_into_a_message_or_out_of_it() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(SentArray.of(array, "float32").array, array)
    parts = _receive(BytesIO(sent(Note("one", {"it": SentArray.of(array, "float32")}))))
    assert [len(part) for part in parts[1:]] == [array.nbytes]
    found = _Decoder(Note).decode(parts).arrays["it"].array
    assert np.shares_memory(found, np.frombuffer(parts[1], np.float32))


def test_a_message_that_is_cut_short_is_none() -> None:
    whole = sent(Note("one", {"it": SentArray.of(np.arange(2), "int64")}))
    assert _receive(BytesIO(whole)) is not None
    for length in range(len(whole)):
        assert _receive(BytesIO(whole[:length])) is None


SERVING = """
import weakref

import msgspec
import numpy as np

from lingolite_cli.workers.channel import serve
from lingolite_cli.workers.sent_array import SentArray


class Ask(msgspec.Struct):
    size: int


class Reply(msgspec.Struct, tag="reply"):
    array: SentArray
    num_alive: int


sent = []


def answer(request: Ask) -> Reply:
    num_alive = sum(one() is not None for one in sent)
    array = np.arange(request.size, dtype=np.float32)
    sent.append(weakref.ref(array))
    return Reply(array=SentArray.of(array, "float32"), num_alive=num_alive)


if __name__ == "__main__":
    serve(answer, Ask)
"""


def test_what_was_sent_is_not_held_while_the_next_request_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may lend an array its own memory, and refuse to go on as long as the array is there."""
    (tmp_path / "serving_arrays.py").write_text(SERVING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("serving_arrays")
    with closing(Child("serving_arrays", response=module.Reply | Failed, what="test", threads=1)) as child:
        replies = [child.ask(module.Ask(size=size)) for size in (3, 4)]
    assert [reply.array.array.tolist() for reply in replies] == [[0, 1, 2], [0, 1, 2, 3]]
    assert [reply.num_alive for reply in replies] == [0, 0]
