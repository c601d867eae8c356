"""How many positions an exported file has: those of its model, or fewer on request."""

from __future__ import annotations

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError


def exported_positions(source: Artifact, wanted: int | None) -> int:
    """Positions of a file that is exported from `source`; `wanted` is what the user asked for.

    Raises:
        LingoLiteError: the model has fewer, or the frame around a source leaves no room for text.
    """
    limit = source.manifest.model.max_seq_len
    num_framing = source.manifest.tokenizer_description.frame.num_source_tokens
    if wanted is not None and not num_framing < wanted <= limit:
        raise LingoLiteError(
            f"cannot export max_seq_len {wanted}: the model has {limit} positions, and the frame around a source "
            f"takes {num_framing}",
            hint=f"pass --max-seq-len with {num_framing + 1} to {limit}, or leave it out",
        )
    return wanted or limit
