"""How an imported bundle looks on a terminal."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console


def show_bundle(artifact: Artifact, out: Path, console: Console) -> None:
    """Its size, its languages and the sizes of its network."""
    model = artifact.manifest.model
    console.print_json({"out": str(out), "digest": artifact.digest, "manifest": artifact.manifest})
    console.print(
        f"{out}: bundle, {artifact.size_bytes / 1e6:.2f} MB, languages {', '.join(artifact.manifest.languages)}\n"
        f"  {model.n_encoder_layers} encoder and {model.n_decoder_layers} decoder layers, d_model {model.d_model}, "
        f"{model.n_heads} heads, {model.n_kv_heads} key/value heads, d_ff {model.d_ff}, "
        f"vocabulary {model.vocab_size:,}, {model.max_seq_len} positions"
    )
