"""Cross-entropy of a model on reference translations, per token.

Owns the mean; teacher forcing is `lingolite_cli.decoding.forced`. It often separates two models where chrF of a few
hundred sentences cannot: it depends on every logit, and not only on which token is the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.plugins.interfaces import Backend
    from lingolite_cli.tokenization.tokenizer import Tokenizer


def token_cross_entropy(
    backend: Backend,
    tokenizer: Tokenizer,
    model: Architecture,
    languages: tuple[str, str],
    *,
    sources: Sequence[str],
    references: Sequence[str],
    capabilities: frozenset[str],
    batch_size: int = 32,
    max_batch_tokens: int = 4096,
) -> float:
    """Mean over all reference tokens, the end token included, in nats.

    Args:
        backend: runs the model.
        tokenizer: the model's own.
        model: its configuration; sources and references are cut to its positions.
        languages: source and target language.
        sources: N texts.
        references: their N translations.
        capabilities: those that the backend declares.
        batch_size: most sentences in a batch.
        max_batch_tokens: most source tokens in a batch, padding included.
    """
    from lingolite_cli.decoding.batching import batches, pad
    from lingolite_cli.decoding.forced import target_log_probabilities

    positions, ids = model.max_seq_len, tokenizer.decoding_ids(languages)
    framed = [tokenizer.encode_source(source, languages, max_length=positions).ids for source in sources]
    room = positions - len(ids.prefix) - 1
    targets = [[*tokenizer.encode_target(reference)[:room], ids.end] for reference in references]
    total = 0.0
    for group in batches([len(source) for source in framed], batch_size=batch_size, max_batch_tokens=max_batch_tokens):
        found = target_log_probabilities(
            backend,
            *pad([framed[index] for index in group], ids.pad),
            targets=[targets[index] for index in group],
            ids=ids,
            capabilities=capabilities,
        )
        total -= sum(float(row.sum(dtype="float64")) for row in found)
    return total / sum(map(len, targets))
