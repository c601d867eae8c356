"""How an artifact that was looked at is shown."""

from __future__ import annotations

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.artifact import BUNDLE_STATIC_INT8
from lingolite_cli.console import Console
from lingolite_cli.jobs.inspection import Inspection, Judgement, Origin
from lingolite_cli.weights.header import StoredValues


def show_inspection(found: Inspection, console: Console) -> None:
    """What it is, what it computes with, where it comes from, how it was judged, and its files."""
    console.print_json(found)
    model = found.model
    lines = {
        "format": found.format + (f", {found.scheme}" if found.scheme else ""),
        "languages": ", ".join(found.languages) or "not stated",
        "trained on": found.trained_on,
        "network": (
            f"{model.n_encoder_layers} encoder and {model.n_decoder_layers} decoder layers, d_model {model.d_model}, "
            f"{model.n_heads} heads, {model.n_kv_heads} key/value heads, d_ff {model.d_ff}, "
            f"{model.max_seq_len} positions{_features(model)}"
        ),
        "parameters": f"{found.num_parameters:,}",
        "weights": "; ".join(map(_stored, found.weights)) or found.arithmetic.get("weights", "not stated"),
        "activations": found.arithmetic.get("activations", _activations(found)),
        "tokenizer": f"{found.tokenizer['kind']}, {model.vocab_size:,} pieces",
        "decoding": (
            f"beam size {found.decoding.beam_size}, at most {found.decoding.max_length} tokens"
            if found.decoding.beam_size > 1
            else f"greedy search, at most {found.decoding.max_length} tokens"
        ),
        "licence": found.licence or "not stated",
        "made by": f"{found.operation}, {found.tool}",
        "made from": "; ".join(map(_origin, found.made_from)) or "not stated",
        "verdict": "no run of this project measured it" if found.judgement is None else _verdict(found.judgement),
        "digest": found.digest,
    }
    console.print(f"{found.path}: {found.size_bytes / 1e6:,.2f} MB")
    width = max(map(len, lines))
    for name, text in lines.items():
        console.print(f"  {name.ljust(width)}  {text}")
    sizes = sorted(found.files.items(), key=lambda file: -file[1])
    console.table(["file", "bytes"], [[name, f"{size:,}"] for name, size in sizes], right="bytes")


def _features(architecture: Architecture) -> str:
    """What an architecture has that is not LingoLite's own."""
    own, values = Architecture().to_dict(), architecture.to_dict()
    positions = values.pop("positions", None)
    others = [f"{name} {value}" for name, value in values.items() if name not in own]
    if positions is not None:
        others.append(f"{positions['kind']} positions")
    return "".join(f", {one.lower()}" for one in others)


def _stored(values: StoredValues) -> str:
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8", "U8": "packed 4-bit or uint8"}
    name = names.get(values.dtype, values.dtype)
    return f"{values.num_values:,} values of {name} in {values.num_tensors} tensors, {values.size_bytes / 1e6:,.2f} MB"


def _activations(found: Inspection) -> str:
    if found.format == BUNDLE_STATIC_INT8:
        return "uint8 of calibrated ranges"
    return "as the backend computes" if found.scheme else "float32"


def _origin(origin: Origin) -> str:
    if origin.path is None:
        return f"{origin.use} {origin.digest[:12]}"
    return f"{origin.use} {origin.digest[:12]} ({origin.format} by {origin.operation}, {origin.path})"


def _verdict(judgement: Judgement) -> str:
    budgets = f", {judgement.num_budgets} budgets" if judgement.num_budgets else ""
    scores = "".join(f", {metric} {value:.2f}" for metric, value in judgement.scores.items())
    problem = f": {judgement.problem}" if judgement.problem else ""
    place = f"`{judgement.system}` of {judgement.recipe}, run {judgement.run}"
    return f"{judgement.verdict} as {place}{budgets}{scores}{problem}"
