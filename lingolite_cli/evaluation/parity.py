"""Parity: how far one model follows another's own hypotheses, token by token.

Owns the comparison; the forcing itself is `lingolite_cli.decoding.forced`. Cheap to import, for run records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.errors import LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.architecture import ModelConfig
    from lingolite_cli.decoding.forced import ForcedTarget
    from lingolite_cli.plugins.interfaces import Backend
    from lingolite_cli.tokenizer import Tokenizer

    Tokens = tuple[int, ...]


class Parity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far the candidate follows the reference's own hypotheses.

    Attributes:
        exact_match: share of sentences whose hypothesis is token for token the same in free running.
        num_tokens: tokens of the reference's hypotheses, `</s>` included.
        top1_agreement: share of these tokens that the candidate ranks first when it is fed the reference's hypothesis
            up to there (teacher forcing). None for a candidate whose engine gives no logits.
        max_logit_margin: the largest margin (candidate's best logit minus its logit of the reference's token)
            at a disagreement; 0 when there is none. None as above.
    """

    exact_match: float
    num_tokens: int
    top1_agreement: float | None = None
    max_logit_margin: float | None = None


def compare_hypotheses(reference_tokens: Sequence[Tokens], candidate_tokens: Sequence[Tokens]) -> Parity:
    """What can be said of a candidate whose engine gives no logits, from both systems' own hypotheses.

    Args:
        reference_tokens: the reference's N hypotheses, as `Translation.tokens`.
        candidate_tokens: the candidate's.
    """
    same = [reference == own for reference, own in zip(reference_tokens, candidate_tokens, strict=True)]
    return Parity(exact_match=sum(same) / len(same), num_tokens=sum(map(len, reference_tokens)))


def measure_parity(
    backend: Backend,
    tokenizer: Tokenizer,
    model: ModelConfig,
    sources: Sequence[str],
    languages: tuple[str, str],
    reference_tokens: Sequence[Tokens],
    candidate_tokens: Sequence[Tokens],
    *,
    batch_size: int = 32,
    max_batch_tokens: int = 4096,
) -> Parity:
    """Feed the candidate the reference's hypotheses, and compare both systems' own.

    Args:
        backend: the candidate.
        tokenizer: that of both.
        model: the candidate's configuration; sources are cut to its positions.
        sources: N texts.
        languages: source and target language.
        reference_tokens: the reference's N hypotheses, as `Translation.tokens`; an empty one, of an empty source,
            has no token to compare and counts for `exact_match` only.
        candidate_tokens: the candidate's own N hypotheses.
        batch_size: most sentences in a batch.
        max_batch_tokens: most source tokens in a batch, padding included.

    Raises:
        LingoLiteError: there is no token to compare.
    """
    num_agreed = num_tokens = 0
    max_margin = 0.0
    forced = _force(
        backend,
        [tokenizer.encode_source(source, languages, max_length=model.max_seq_len).ids for source in sources],
        reference_tokens,
        batch_size=batch_size,
        max_batch_tokens=max_batch_tokens,
    )
    for target, seen in forced:
        disagreed = [
            margin for token, best, margin in zip(target, seen.best_ids, seen.margins, strict=True) if token != best
        ]
        num_tokens += len(target)
        num_agreed += len(target) - len(disagreed)
        max_margin = max([max_margin, *disagreed])
    if not num_tokens:
        raise LingoLiteError(
            "parity cannot be measured: the reference's translations hold no token",
            hint="choose a corpus with text in it",
        )
    return msgspec.structs.replace(
        compare_hypotheses(reference_tokens, candidate_tokens),
        top1_agreement=num_agreed / num_tokens,
        max_logit_margin=max_margin,
    )


def _force(
    backend: Backend,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Tokens],
    *,
    batch_size: int,
    max_batch_tokens: int,
) -> Iterator[tuple[Tokens, ForcedTarget]]:
    """Each target that holds a token, with what the backend says along it."""
    from lingolite_cli.decoding.batching import batches, pad
    from lingolite_cli.decoding.forced import force_decode

    kept = [index for index, target in enumerate(targets) if target]
    lengths = [len(sources[index]) for index in kept]
    for group in batches(lengths, batch_size=batch_size, max_batch_tokens=max_batch_tokens):
        members = [kept[position] for position in group]
        chosen = [targets[index] for index in members]
        yield from zip(
            chosen,
            force_decode(backend, *pad([sources[index] for index in members]), targets=chosen),
            strict=True,
        )
