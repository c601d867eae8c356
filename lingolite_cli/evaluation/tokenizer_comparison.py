"""Does a file's tokenizer read text as its bundle's does? By the ids of sentences, the vocabulary and the rules.

Owns the comparison. SentencePiece's model file is a protocol buffer; of it only the name of the normalization is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lingolite_cli.artifact import TOKENIZER_NAMES, Artifact
from lingolite_cli.evaluation.exported import TokenizerDifference
from lingolite_cli.evaluation.token_tables import describe_difference

if TYPE_CHECKING:
    from lingolite_cli.tokenization.tokenizer import Tokenizer

_NORMALIZER = 3
"""Field of ModelProto: NormalizerSpec; see sentencepiece_model.proto."""
_NAME = 1
"""Field of NormalizerSpec."""


def compare_tokenizers(bundle: Artifact, candidate: Artifact, texts: Sequence[str]) -> TokenizerDifference | None:
    """How the candidate's tokenizer differs from the bundle's; None where they are the same files with the same frame.

    Args:
        bundle: what the candidate was exported from.
        candidate: the artifact to judge.
        texts: sentences whose ids are compared.

    Raises:
        LingoLiteError: a tokenizer cannot be read.
    """
    manifests = bundle.manifest, candidate.manifest
    files = [{name: manifest.files.get(name) for name in TOKENIZER_NAMES} for manifest in manifests]
    descriptions = [manifest.tokenizer_description for manifest in manifests]
    if files[0] == files[1] and descriptions[0] == descriptions[1]:
        return None
    from lingolite_cli.tokenization.opening import open_tokenizer

    first, second = open_tokenizer(bundle), open_tokenizer(candidate)
    others = [text for text in texts if first.encode(text) != second.encode(text)]
    return TokenizerDifference(
        num_sentences=len(others),
        num_compared=len(texts),
        summary=_summary((bundle, candidate), (first, second), is_framed=descriptions[0] != descriptions[1]),
        example=_example(others[0], first, second) if others else "",
    )


def _summary(artifacts: tuple[Artifact, Artifact], tokenizers: tuple[Tokenizer, Tokenizer], *, is_framed: bool) -> str:
    pieces = [tokenizer.source_pieces for tokenizer in tokenizers]
    targets = [tokenizer.target_pieces for tokenizer in tokenizers]
    found = []
    rules = [normalization(artifact.tokenizer_path.read_bytes()) for artifact in artifacts]
    if rules[0] != rules[1]:
        names = [name or "unnamed rules" for name, _ in rules]
        found.append(
            f"text is normalized by {names[1]}, not {names[0]}"
            if names[0] != names[1]
            else f"other normalization rules under the name {names[0]}"
        )
    if is_framed:
        found.append("its special ids or the frame around a source differ")
    if not found or pieces[0] != pieces[1]:
        found.append(describe_difference(*pieces))
    if targets[0] != targets[1] and targets != pieces:
        found.append(f"targets: {describe_difference(*targets)}")
    return "; ".join(found)


def _example(text: str, first: Tokenizer, second: Tokenizer) -> str:
    expected, seen = ([tokenizer.source_pieces[id] for id in tokenizer.encode(text)] for tokenizer in (first, second))
    place = next((i for i, (one, other) in enumerate(zip(expected, seen, strict=False)) if one != other), 0)
    return f"{' '.join(seen[max(0, place - 2) : place + 4])} for {' '.join(expected[max(0, place - 2) : place + 4])}"


def normalization(model: bytes) -> tuple[str, bytes]:
    """Name and rules of the normalization in a SentencePiece model; both empty where the file holds none."""
    rules = b"".join(value for field, value in _fields(model) if field == _NORMALIZER)
    name = next((value.decode(errors="replace") for field, value in _fields(rules) if field == _NAME), "")
    return name, rules


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the fields of a protocol buffer that have a length; it ends where the bytes do not fit."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == 2:
            length, place = _varint(message, place)
            yield tag >> 3, message[place : place + length]
            place += length
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            return


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    return value, place
