"""How an imported bundle looks on a terminal."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.console import Console
from lingolite_cli.jobs.importing import ImportedBundle


def show_bundle(imported: ImportedBundle, out: Path, console: Console) -> None:
    """Its size, its languages, the sizes of its network, and what it makes of a few sentences."""
    artifact = imported.artifact
    model = artifact.manifest.model
    console.print_json(
        {
            "out": str(out),
            "digest": artifact.digest,
            "manifest": artifact.manifest,
            "samples": imported.samples,
            "warnings": imported.doubts,
        }
    )
    console.print(
        f"{out}: bundle, {artifact.size_bytes / 1e6:.2f} MB, languages {', '.join(artifact.manifest.languages)}\n"
        f"  {model.n_encoder_layers} encoder and {model.n_decoder_layers} decoder layers, d_model {model.d_model}, "
        f"{model.n_heads} heads, {model.n_kv_heads} key/value heads, d_ff {model.d_ff}, "
        f"vocabulary {model.vocab_size:,}, {model.max_seq_len} positions"
    )
    padding = artifact.manifest.made_by.options.get("padding_rows")
    if padding:
        console.print(f"  {padding:,} rows without a piece of the tokenizer were left out of the vocabulary")
    for sample in imported.samples:
        console.print(f"  {sample.languages[0]}: {sample.source}\n  {sample.languages[1]}: {sample.translation}")
    for doubt in imported.doubts:
        console.warn(doubt)
