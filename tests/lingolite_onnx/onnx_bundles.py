"""Making bundles and exports for the tests of the ONNX plugin."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from lingolite_onnx.exporter import OnnxExporter
from lingolite_onnx.options import OnnxExportOptions
from lingolite_onnx.session.saturation import int8_is_exact
from lingolite_onnx.session.sessions import session_options
from safetensors.numpy import load_file, save_file

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.tensors import shared_inputs
from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT4,
    BUNDLE_INT8,
    BUNDLE_STATIC_INT8,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    Artifact,
    Manifest,
    Provenance,
    Quantization,
    derive_artifact,
    write_manifest,
)
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.shortlist.shortlist import NO_TOKEN, Details, Shortlist
from lingolite_cli.testing import tiny_tokenizer
from lingolite_cli.testing.tiny import IDS, random_weights
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.weights.groups import quantize_groups
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX

Tensors: TypeAlias = dict[str, npt.NDArray[Any]]

needs_exact_int8 = pytest.mark.skipif(
    not int8_is_exact(1).is_exact, reason="this CPU saturates 8-bit products (no VNNI)"
)


def quantized(tensors: Tensors, *, keep: tuple[str, ...] = ()) -> Tensors:
    """Matrices as int8 by row, in float64 and one row at a time; norms and the matrices `keep` stay."""
    result: Tensors = {}
    for name, tensor in tensors.items():
        if "norm" in name or name in keep:
            result[name] = tensor
            continue
        scales = [max(abs(float(value)) for value in row) / 127 or 1.0 for row in tensor]
        result[name] = np.stack([np.rint(row / scale) for row, scale in zip(tensor, scales, strict=True)]).astype(
            np.int8
        )
        result[f"{name}_scale"] = np.array(scales, dtype=np.float32)[:, None]
    return result


def calibrated(tensors: Tensors, architecture: Architecture) -> Tensors:
    """Int8 tensors with a range for every input, which clips some activations and whose 0 is not in the middle."""
    ranges: Tensors = {}
    for part in (part for group in shared_inputs(architecture) for part in group):
        ranges[f"{part}{INPUT_SCALE_SUFFIX}"] = np.array([0.02], np.float32)
        ranges[f"{part}{INPUT_ZERO_POINT_SUFFIX}"] = np.array([120], np.uint8)
    return {**tensors, **ranges}


def grouped(tensors: Tensors, *, group_size: int, is_symmetric: bool = True, embedding_bits: int = 4) -> Tensors:
    """Matrices by groups, as the quantizer `int4` stores them; its integers have a test of their own."""
    result: Tensors = {}
    for name, tensor in tensors.items():
        if "norm" in name:
            result[name] = tensor
            continue
        bits = embedding_bits if "embedding" in name or "lm_head" in name else 4
        matrix = quantize_groups(tensor, bits=bits, group_size=group_size, is_symmetric=is_symmetric)
        result |= matrix.tensors(name)
    return result


def write_bundle(path: Path, origin: Artifact, tensors: Tensors, format: str) -> Artifact:
    """A bundle like `origin` with other tensors."""
    schemes = {
        BUNDLE: None,
        BUNDLE_FP16: Quantization("fp16"),
        BUNDLE_BF16: Quantization("bf16"),
        BUNDLE_INT8: Quantization("dynamic-int8"),
        BUNDLE_STATIC_INT8: Quantization("static-int8"),
        BUNDLE_INT4: Quantization("int4"),
    }
    manifest = msgspec.structs.replace(origin.manifest, format=format, quantization=schemes[format], files={})
    with atomic_directory(path) as directory:
        (directory / TOKENIZER_NAME).write_bytes(origin.tokenizer_path.read_bytes())
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, directory / WEIGHTS_NAME)
        write_manifest(directory, manifest)
    return Artifact.open(path)


def export_to(source: Artifact, path: Path, *, shortlist: Path | None = None, **options: Any) -> Artifact:
    """Export as the host does."""
    chosen = OnnxExportOptions(**options)
    with atomic_directory(path) as directory:
        product = OnnxExporter(options=chosen).export(source, directory, shortlist=shortlist)
        provenance = Provenance(operation="onnx", options=options, inputs={"source": source.digest})
        derive_artifact(source, path, product, provenance, directory=directory)
    return Artifact.open(path)


def shortlist_of(bundle: Artifact, *, every: int = 3) -> Shortlist:
    """A shortlist for `bundle`: of all tokens each `every`th is frequent, and each token brings itself and another."""
    ids = np.arange(bundle.manifest.model.vocab_size, dtype=np.int32)
    return Shortlist(
        details=Details(
            languages=("en", "da"), tokenizer=sha256_file(bundle.tokenizer_path), method="by hand", num_pairs=1
        ),
        frequent=np.unique(np.append(ids[::every], IDS.end)).astype(np.int32),
        candidates=np.stack([ids, np.where(ids % 2, (ids * 7 + 1) % len(ids), NO_TOKEN)], axis=1).astype(np.int32),
    )


def wide_headed_bundle(path: Path) -> Artifact:
    """A tiny bundle with heads of 16 dimensions, which the ORT profile asks for, and a d_ff of two blocks."""
    with atomic_directory(path) as directory:
        tokenizer = directory / TOKENIZER_NAME
        tokenizer.write_bytes(tiny_tokenizer())
        model = Architecture(
            vocab_size=len(read_tokenizer(tokenizer).target_pieces),
            d_model=64,
            n_encoder_layers=3,
            n_decoder_layers=2,
            n_heads=4,
            n_kv_heads=2,
            d_ff=512,
            max_seq_len=48,
            dropout=0.0,
        )
        save_file(random_weights(model, seed=17), directory / WEIGHTS_NAME)
        manifest = Manifest(
            format=BUNDLE, model=model, languages=("en", "da"), made_by=Provenance(operation="random weights")
        )
        write_manifest(directory, manifest)
    return Artifact.open(path)


def tensors_of(bundle: Artifact) -> Tensors:
    """The tensors of a bundle."""
    return load_file(bundle.weights_path)


def operators_run(graph: Path, scratch: Path) -> Counter[str]:
    """The operators that ONNX Runtime makes of a graph."""
    options = session_options(threads=1)
    options.optimized_model_filepath = str(scratch / graph.name)
    ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(scratch / graph.name, load_external_data=False).graph.node)
