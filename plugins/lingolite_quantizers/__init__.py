"""First-party quantizers: those that work on the weights alone, and one that trains them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8
from lingolite_cli.plugins.extras import TORCH
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import QuantizerSpec
from lingolite_quantizers.options import PRECISIONS, Int4Options, MixedOptions, QatInt8Options

_REQUIRES = ("ml_dtypes", "numpy", "safetensors")
_weights_only = partial(QuantizerSpec, requires=_REQUIRES, install="pip install ml_dtypes numpy safetensors")


@hookimpl
def lingolite_quantizers() -> Iterable[QuantizerSpec]:
    """The quantizers `dynamic-int8`, `fp16`, `bf16`, `int4`, `mixed` and `qat-int8`."""
    yield _weights_only(
        name="dynamic-int8",
        summary="int8 weights, one scale per row; activations are quantized dynamically, by row",
        factory="lingolite_quantizers.dynamic_int8:DynamicInt8",
        accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16}),
        produces=BUNDLE_INT8,
    )
    yield _weights_only(
        name="fp16",
        summary="half-precision weights: half the size, computed with in float32",
        factory="lingolite_quantizers.fp16:Fp16",
        accepts=frozenset({BUNDLE}),
        produces=BUNDLE_FP16,
    )
    yield _weights_only(
        name="bf16",
        summary="bfloat16 weights: half the size, the range of float32, computed with in float32",
        factory="lingolite_quantizers.bf16:Bf16",
        accepts=frozenset({BUNDLE}),
        produces=BUNDLE_BF16,
    )
    yield _weights_only(
        name="int4",
        summary="4-bit weights, one scale a group; computed with in float32",
        factory="lingolite_quantizers.int4:Int4",
        options=Int4Options,
        accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16}),
        produces=BUNDLE_INT4,
    )
    yield _weights_only(
        name="mixed",
        summary="4-bit, 8-bit and float weights, matrix by matrix; computed with in float32",
        factory="lingolite_quantizers.mixed:Mixed",
        options=MixedOptions,
        accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16}),
        produces=BUNDLE_INT4,
        precisions=PRECISIONS,
    )
    yield QuantizerSpec(
        name="qat-int8",
        summary="fine-tuned with int8 weights and activations, then the integers trained with",
        factory="lingolite_quantizers.qat_int8:QatInt8",
        options=QatInt8Options,
        accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16}),
        produces=BUNDLE_INT8,
        needs=frozenset({"training"}),
        requires=("torch", *_REQUIRES),
        install=TORCH.install,
    )
