"""How a model of transformers generates, in LingoLite's words.

Owns `generation_config.json` and what older directories have of it in `config.json`. What changes the tokens of a
search and cannot be carried is refused by its name. Scores differ where `length_penalty` is not 0: transformers
divides by a power of the length, LingoLite by GNMT's penalty.
"""

from __future__ import annotations

from typing import Any

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_importers.hugging_face.directory import Directory

_UNSET_MAX_LENGTH = 20
"""The default of transformers, which older directories spell out: nobody chose it for a model that translates."""
_WIDEST_BEAM = 64
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (None, 1, 1.0),
    "encoder_repetition_penalty": (None, 1, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "encoder_no_repeat_ngram_size": (None, 0),
    "num_beam_groups": (None, 1),
    "do_sample": (None, False),
    "force_words_ids": (None, []),
    "constraints": (None, []),
    "sequence_bias": (None, {}, []),
    "begin_suppress_tokens": (None, []),
    "exponential_decay_length_penalty": (None,),
}
"""Values with which an option changes no token."""


def decoding_options(directory: Directory, *, positions: int, num_forced: int) -> DecodingOptions:
    """The defaults of a search.

    Args:
        directory: of the model.
        positions: of the model.
        num_forced: target tokens before those of a hypothesis, besides the start.

    Raises:
        LingoLiteError: it generates in a way that no bundle carries.
    """
    for key, values in _NEUTRAL.items():
        if directory.setting(key) not in values:
            raise LingoLiteError(
                f"{directory.path} generates with {key} {str(directory.setting(key))[:60]}, which no bundle carries",
                hint="remove it from generation_config.json or config.json to import the model without it",
            )
    beam_size = directory.setting("num_beams")
    if beam_size is not None and not (type(beam_size) is int and 1 <= beam_size <= _WIDEST_BEAM):
        raise LingoLiteError(
            f"{directory.path} generates with num_beams {str(beam_size)[:60]}, which no bundle carries",
            hint=f"importable are 1 to {_WIDEST_BEAM}",
        )
    max_length = _most_tokens(directory, positions, num_forced=num_forced)
    return DecodingOptions(
        beam_size=beam_size or 1,
        max_length=max_length,
        min_length=min(_fewest_tokens(directory, num_forced=num_forced), max_length),
    )


def never_generated(directory: Directory) -> tuple[int, ...]:
    """Ids that are not to be generated.

    Raises:
        LingoLiteError: sequences of several tokens are not to be.
    """
    words: Any = directory.setting("bad_words_ids") or []
    if not isinstance(words, list) or not all(
        isinstance(ids, list) and len(ids) == 1 and type(ids[0]) is int for ids in words
    ):
        raise LingoLiteError(
            f"{directory.path} has bad_words_ids of several tokens, which no bundle carries",
            hint="single tokens can be kept from being generated",
        )
    suppressed: Any = directory.setting("suppress_tokens") or []
    if not isinstance(suppressed, list) or not all(type(id) is int for id in suppressed):
        raise LingoLiteError(f"{directory.path} has suppress_tokens that are not ids", hint="remove them")
    return tuple(sorted({*(ids[0] for ids in words), *suppressed}))


def forced_first_piece(directory: Directory, pieces: tuple[str, ...]) -> tuple[str, ...]:
    """The piece that every target begins with; none where there is no such.

    Raises:
        LingoLiteError: it is not one of `pieces`.
    """
    id = directory.setting("forced_bos_token_id")
    if id is None:
        return ()
    if type(id) is not int or not 0 <= id < len(pieces):
        raise LingoLiteError(
            f"{directory.path} has forced_bos_token_id {id!r}, which is not a token of its vocabulary",
            hint="the vocabulary must be the one that the model was trained with",
        )
    return (pieces[id],)


def _most_tokens(directory: Directory, positions: int, *, num_forced: int) -> int:
    """transformers counts the start and forced tokens, and an end that it forces says nothing about the text."""
    is_ended = directory.setting("forced_eos_token_id") is not None
    total, new = _count(directory, "max_length"), _count(directory, "max_new_tokens")
    if total is None or total <= _UNSET_MAX_LENGTH or total > positions:
        total = positions
    if new:
        total = min(positions, new + 1)
    return max(1, total - 1 - num_forced - is_ended)


def _fewest_tokens(directory: Directory, *, num_forced: int) -> int:
    total, new = _count(directory, "min_length"), _count(directory, "min_new_tokens")
    if new is not None:
        return max(0, new - num_forced)
    return max(0, (total or 0) - 1 - num_forced)


def _count(directory: Directory, key: str) -> int | None:
    """A number of tokens; None where there is none.

    Raises:
        LingoLiteError: it is something else.
    """
    value = directory.setting(key)
    if value is None or (type(value) is int and value >= 0):
        return value
    raise LingoLiteError(
        f"{directory.path} generates with {key} {str(value)[:60]}, which is not a number of tokens",
        hint="remove it from generation_config.json or config.json to import the model without it",
    )
