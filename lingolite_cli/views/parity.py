"""Parity as people read it in a terminal."""

from __future__ import annotations

from lingolite_cli.console import Console
from lingolite_cli.evaluation.parity import Parity

_PROBES = {"padding": "padded", "reorder": "beams reordered", "rows": "rows moved", "repetition": "repeated"}


def show_parity(parity: Parity, console: Console) -> None:
    """Agreement, logits, probes, and what they point to."""
    forced = (
        "not by logits, for this backend gives none"
        if parity.top1_agreement is None
        else f"{parity.top1_agreement:.2%} of {parity.num_tokens:,} tokens ranked first when forced"
    )
    console.print(f"parity: {forced}, {parity.exact_match:.1%} of sentences token for token the same")
    if parity.logits is not None:
        logits = parity.logits
        console.print(
            f"logits: KL {logits.kl_mean:.2g} nats a token (95 % below {logits.kl_p95:.2g}), off by "
            f"{logits.mean_difference:.2g}, at most {logits.max_difference:.2g} of {logits.max_logit:.1f}, "
            f"on {logits.num_sentences:,} sentences"
        )
    if parity.probes:
        found = ", ".join(f"{_PROBES[probe.name]} {probe.max_difference:.2g}" for probe in parity.probes)
        console.print(f"against itself, logits are off by at most: {found}")
    for missing in parity.not_measured:
        console.print(f"not measured: {missing}")
    for cause in parity.causes:
        console.print(f"second opinion, by the pattern: {cause.name}: {cause.summary}\n  seen: {cause.evidence}")
