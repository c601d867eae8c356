"""SentencePiece models (unigram and BPE) in plain Python: text to pieces with ids, and back.

Owns what `LingoLite.kt` and `LingoLite.swift` do in the same order, so that they can be held against it. numpy is used
for float32 alone: SentencePiece adds scores in it.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

SPACE = "\u2581".encode()
UNIGRAM, BPE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNKNOWN_PENALTY = np.float32(10.0)


def read_fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer: numbers, with integers or bytes."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
            continue
        length = {1: 8, 5: 4}[key & 7] if key & 7 in (1, 5) else number()
        yield key >> 3, data[place : place + length]
        place += length


class TextNormalizer:
    """SentencePiece's rules for text before it is segmented, over UTF-8."""

    def __init__(self, fields: dict[int, Any]) -> None:
        charsmap = fields.get(2, b"")
        size = struct.unpack_from("<I", charsmap)[0] if charsmap else 0
        self.units = struct.unpack_from(f"<{size // 4}I", charsmap, 4) if charsmap else ()
        self.replacements = charsmap[4 + size :]
        self.adds_space = bool(fields.get(3, 1))
        self.removes_spaces = bool(fields.get(4, 1))
        self.space = SPACE if fields.get(5, 1) else b" "
        self.symbols: list[bytes] = []

    def normalize(self, text: bytes, *, is_suffix: bool) -> bytes:
        """`is_suffix`: spaces belong to the words before them."""
        place, is_after_space = 0, self.removes_spaces
        found = bytearray()
        while self.removes_spaces and place < len(text):
            replaced, length = self._prefix(text, place)
            if replaced != b" ":
                break
            place += length
        if place == len(text):
            return b""
        if self.adds_space and not is_suffix:
            found += self.space
        while place < len(text):
            replaced, length = self._prefix(text, place)
            if is_after_space:
                replaced = replaced.lstrip(b" ")
            if replaced:
                found += replaced.replace(b" ", self.space)
                is_after_space = replaced.endswith(b" ")
            is_after_space = is_after_space and self.removes_spaces
            place += length
        while self.removes_spaces and found.endswith(self.space):
            del found[-len(self.space) :]
        if self.adds_space and is_suffix:
            found += self.space
        return bytes(found)

    def _prefix(self, text: bytes, place: int) -> tuple[bytes, int]:
        """What stands for the text at `place`, and how many bytes of it that replaces."""
        for symbol in self.symbols:  # the longest come first
            if text.startswith(symbol, place):
                return symbol, len(symbol)
        length, value = self._longest(text, place)
        if length:
            return self.replacements[value : self.replacements.index(b"\0", value)], length
        length = character_length(text, place)
        return text[place : place + length], length

    def _longest(self, text: bytes, place: int) -> tuple[int, int]:
        """Length and value of the longest key of the double array (darts-clone) that `text` has at `place`."""
        if not self.units:
            return 0, 0
        found = 0, 0
        node = offset(self.units[0])
        for index in range(place, len(text)):
            node ^= text[index]
            if node >= len(self.units) or self.units[node] & 0x800000FF != text[index]:
                break
            unit = self.units[node]
            node ^= offset(unit)
            if unit >> 8 & 1:
                found = index - place + 1, self.units[node] & 0x7FFFFFFF
        return found


def offset(unit: int) -> int:
    """Where the children of a unit of the double array are."""
    return unit >> 10 << ((unit & 512) >> 6)


def character_length(text: bytes | bytearray, place: int) -> int:
    """Bytes of the UTF-8 character at `place`."""
    first = text[place]
    return min(1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4, len(text) - place)


def mended(text: bytes | bytearray) -> bytes:
    """UTF-8 with the replacement character in the place of each byte that is none."""
    found, place = b"", 0
    while place < len(text):
        length = character_length(text, place)
        try:
            found += text[place : place + length].decode().encode()
        except UnicodeDecodeError:
            found, length = found + "\ufffd".encode(), 1
        place += length
    return found


class PieceModel:
    """A SentencePiece model: text to pieces with ids, and pieces back to text."""

    def __init__(self, model: bytes) -> None:
        fields = list(read_fields(model))
        trainer = {}
        for name, value in fields:
            if name == 2:
                trainer = dict(read_fields(value))
        self.kind = trainer.get(3, UNIGRAM)
        self.falls_back = bool(trainer.get(35, 0))
        self.is_suffix = bool(trainer.get(24, 0))
        self.unknown_surface = trainer.get(44, " \u2047 ".encode())
        self.pieces: list[bytes] = []
        self.scores: list[np.float32] = []
        self.types: list[int] = []
        for name, value in fields:
            if name == 1:
                piece = dict(read_fields(value))
                self.pieces.append(piece.get(1, b""))
                self.scores.append(np.frombuffer(piece.get(2, bytes(4)), "<f4")[0])
                self.types.append(piece.get(3, NORMAL))
        self._index()
        self.normalizer = TextNormalizer(dict(read_fields(next((v for n, v in fields if n == 3), b""))))
        self.normalizer.symbols = self.symbols
        denormalizer = dict(read_fields(next((v for n, v in fields if n == 5), b"")))
        self.denormalizer = TextNormalizer(denormalizer) if denormalizer.get(2) else None

    def _index(self) -> None:
        in_text = (NORMAL, USER_DEFINED, UNUSED)
        self.ids = {piece: id for id, piece in enumerate(self.pieces)}
        self.in_text = {piece: id for piece, id in self.ids.items() if self.types[id] in in_text}
        self.bytes = {int(self.pieces[id][3:5], 16): id for id in self.ids.values() if self.types[id] == BYTE}
        self.unknown = self.types.index(UNKNOWN)
        symbols = [piece for piece, id in self.ids.items() if self.types[id] == USER_DEFINED]
        self.symbols = sorted(symbols, key=len, reverse=True)
        self.longest = max(map(len, self.in_text), default=0)
        self.lowest = min(score for score, kind in zip(self.scores, self.types, strict=True) if kind == NORMAL)

    def encode(self, text: str) -> list[tuple[bytes, int]]:
        """Pieces and their ids; several unknown characters in a row are one piece."""
        normalized = self.normalizer.normalize(text.encode("utf-8", "replace"), is_suffix=self.is_suffix)
        segmented = self._unigram(normalized) if self.kind == UNIGRAM else self._bpe(normalized)
        found: list[tuple[bytes, int]] = []
        for piece, id in segmented:
            if id != self.unknown:
                found.append((piece, id))
            elif self.falls_back:
                found += [(self.pieces[self.bytes[byte]], self.bytes[byte]) for byte in piece]
            elif found and found[-1][1] == self.unknown:
                found[-1] = found[-1][0] + piece, id
            else:
                found.append((piece, id))
        return found

    def _unigram(self, text: bytes) -> list[tuple[bytes, int]]:
        """The segmentation with the highest score; sums are float32, as SentencePiece has them."""
        unknown_score = self.lowest - UNKNOWN_PENALTY
        best: list[Any] = [None] * (len(text) + 1)
        best[0] = (np.float32(0), 0, 0)
        place = 0
        while place < len(text):
            before = best[place][0]
            length = character_length(text, place)
            has_character = False
            for end in range(place + 1, min(len(text), place + self.longest) + 1):
                id = self.in_text.get(text[place:end])
                if id is None or self.types[id] == UNUSED:
                    continue
                is_symbol = self.types[id] == USER_DEFINED
                score = before + (np.float32(0.1 * (end - place - 1)) if is_symbol else self.scores[id])
                if best[end] is None or score > best[end][0]:
                    best[end] = score, id, place
                has_character = has_character or end - place == length
            end = place + length
            if not has_character and (best[end] is None or before + unknown_score > best[end][0]):
                best[end] = before + unknown_score, self.unknown, place
            place = end
        found = []
        while place > 0:
            _, id, start = best[place]
            found.append((text[start:place], id))
            place = start
        return found[::-1]

    def _bpe(self, text: bytes) -> list[tuple[bytes, int]]:
        """Merges the pair with the highest score, the leftmost of equal ones, until none is left."""
        parts, frozen = self._characters(text)
        before, after = list(range(-1, len(parts) - 1)), [*range(1, len(parts)), -1]
        waiting: list[tuple[float, int, int, bytes]] = []
        halves: dict[bytes, tuple[bytes, bytes]] = {}

        def offer(left: int, right: int) -> None:
            if left < 0 or right < 0 or frozen[left] or frozen[right]:
                return
            merged = parts[left] + parts[right]
            id = self.in_text.get(merged)
            if id is not None:
                heapq.heappush(waiting, (-float(self.scores[id]), left, right, merged))
                if self.types[id] == UNUSED:
                    halves[merged] = parts[left], parts[right]

        for right in range(1, len(parts)):
            offer(right - 1, right)
        while waiting:
            _, left, right, merged = heapq.heappop(waiting)
            if not parts[left] or not parts[right] or len(parts[left]) + len(parts[right]) != len(merged):
                continue  # one of them has been merged with another
            parts[left], parts[right] = merged, b""
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        return [found for part in parts if part for found in self._split(part, halves)]

    def _characters(self, text: bytes) -> tuple[list[bytes], list[bool]]:
        """Characters, with user-defined symbols in one part, and which parts are such symbols."""
        parts, frozen = [], []
        place = 0
        while place < len(text):
            symbol = next((symbol for symbol in self.symbols if text.startswith(symbol, place)), None)
            length = character_length(text, place) if symbol is None else len(symbol)
            parts.append(text[place : place + length])
            frozen.append(symbol is not None)
            place += length
        return parts, frozen

    def _split(self, part: bytes, halves: dict[bytes, tuple[bytes, bytes]]) -> list[tuple[bytes, int]]:
        """A piece, or what an unused one was merged from."""
        id = self.ids.get(part, self.unknown)
        if self.types[id] != UNUSED or part not in halves:
            return [(part, id)]
        left, right = halves[part]
        return self._split(left, halves) + self._split(right, halves)

    def decode(self, pieces: list[bytes]) -> str:
        """Text of pieces; one that the model does not have is spelled as it is."""
        text, waiting = bytearray(), bytearray()
        is_begin = True
        ate_space = False
        for piece in pieces:
            id = self.ids.get(piece, self.unknown)
            if self.types[id] == BYTE:
                waiting.append(int(piece[3:5], 16))
                continue
            text += mended(waiting)
            waiting.clear()
            if ate_space or text:
                is_begin = False
            ate_space = False
            if self.types[id] == UNKNOWN:
                text += self.unknown_surface if piece == self.pieces[id] else piece
                continue
            if self.types[id] == CONTROL:
                continue
            normalizer = self.normalizer
            if is_begin and (normalizer.adds_space or normalizer.removes_spaces) and piece.startswith(SPACE):
                piece = piece[len(SPACE) :]
                ate_space = not normalizer.removes_spaces
            text += piece.replace(SPACE, b" ")
        text += mended(waiting)
        if self.denormalizer is not None:
            text = bytearray(self.denormalizer.normalize(bytes(text), is_suffix=False))
        return text.decode("utf-8", "replace")
