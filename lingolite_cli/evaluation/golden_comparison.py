"""Goldens that ship, held against the bundle: ids of sentences, texts, and whether it would choose the same tokens.

Owns the comparison. What replays them, on this processor and on others, is `lingolite_cli.emulation`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.console import Progress
from lingolite_cli.evaluation.described import value_differences
from lingolite_cli.evaluation.exported_measurement import ExportedText, compare_end_to_end
from lingolite_cli.evaluation.goldens import GOLDEN_NAME, Goldens, decode_goldens, greedy_decoding
from lingolite_cli.tokenization.opening import open_tokenizer

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.tokenization.tokenizer import Tokenizer
    from lingolite_cli.weights.bundle import Weights


def golden_differences(artifact: Artifact, bundle: Artifact, weights: Weights, arithmetic: Arithmetic) -> list[str]:
    """In what the goldens of an artifact are not what its bundle gives, a line each.

    Ids, texts and decoding options must be equal. Of the tokens as many must be those that the bundle ranks first as
    the engine's rounding leaves.

    Raises:
        LingoLiteError: the file holds no goldens.
    """
    goldens = decode_goldens(artifact.read_bytes(GOLDEN_NAME), where=artifact.path / GOLDEN_NAME)
    tokenizer, num_tokens = open_tokenizer(bundle), weights.config.vocab_size
    if any(not 0 <= token < num_tokens for golden in goldens.sentences for token in golden.tokens):
        return [f"{GOLDEN_NAME}: a token is not one of the {num_tokens:,}"]
    described = _described(goldens, artifact, tokenizer)
    found = value_differences(GOLDEN_NAME, msgspec.to_builtins(described), msgspec.to_builtins(goldens))
    return found or _token_differences(goldens, artifact, tokenizer, weights, arithmetic)


def _described(goldens: Goldens, artifact: Artifact, tokenizer: Tokenizer) -> Goldens:
    """The goldens with ids, texts and options as the bundle has them."""
    positions = artifact.manifest.model.max_seq_len
    num_prefix = len(tokenizer.decoding_ids(goldens.languages).prefix)
    return msgspec.structs.replace(
        goldens,
        decoding=greedy_decoding(artifact, num_prefix=num_prefix),
        sentences=tuple(
            msgspec.structs.replace(
                golden,
                ids=tuple(tokenizer.encode_source(golden.source, goldens.languages, max_length=positions).ids),
                text=tokenizer.decode(golden.tokens),
            )
            for golden in goldens.sentences
        ),
    )


def _token_differences(
    goldens: Goldens, artifact: Artifact, tokenizer: Tokenizer, weights: Weights, arithmetic: Arithmetic
) -> list[str]:
    chosen = [golden for golden in goldens.sentences if golden.tokens]
    if not chosen or goldens.decoding.min_length:  # with a least length, the best token is not always the one chosen
        return []
    text = ExportedText(
        sources=[golden.ids for golden in chosen],
        tokens=[golden.tokens for golden in chosen],
        positions=artifact.manifest.model.max_seq_len,
        ids=tokenizer.decoding_ids(goldens.languages),
        never_generated=tokenizer.description.never_generated,
    )
    found = compare_end_to_end(None, text, weights, arithmetic, progress=Progress())
    assert found.agreement is not None
    if found.agreement >= arithmetic.parity_min:
        return []
    return [
        f"{GOLDEN_NAME}: {1 - found.agreement:.2%} of {found.num_tokens:,} tokens are not those that the bundle ranks "
        "first"
    ]
