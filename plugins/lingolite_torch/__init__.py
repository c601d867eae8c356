"""First-party backends that run bundles with PyTorch, and the quantizers that need it."""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, BUNDLE_STATIC_INT8
from lingolite_cli.plugins.extras import TORCH
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, QuantizerSpec
from lingolite_cli.weights.options import StaticInt8Options
from lingolite_torch.options import GptqInt4Options, TorchOptions

_FLOAT_COMPUTED = frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT4})
_REQUIRES = ("torch", "safetensors")
_INSTALL = TORCH.install


@hookimpl
def lingolite_backends() -> Iterable[BackendSpec]:
    """The backends `eager`, `cached` and `int8`."""
    yield BackendSpec(
        name="eager",
        summary="PyTorch, float32, no cache: reads the whole prefix at each step; the reference",
        factory="lingolite_torch.backends:EagerBackend",
        options=TorchOptions,
        accepts=_FLOAT_COMPUTED,
        capabilities=frozenset({"score"}),
        requires=_REQUIRES,
        install=_INSTALL,
    )
    yield BackendSpec(
        name="cached",
        summary="PyTorch, float32, with a KV cache",
        factory="lingolite_torch.backends:CachedBackend",
        options=TorchOptions,
        accepts=_FLOAT_COMPUTED,
        capabilities=frozenset({"score"}),
        requires=_REQUIRES,
        install=_INSTALL,
    )
    yield BackendSpec(
        name="int8",
        summary="PyTorch, int8 weights and activations, with a KV cache",
        factory="lingolite_torch.backends:Int8Backend",
        options=TorchOptions,
        accepts=frozenset({BUNDLE_INT8, BUNDLE_STATIC_INT8}),
        capabilities=frozenset({"diagnose", "score"}),
        requires=_REQUIRES,
        install=_INSTALL,
    )


@hookimpl
def lingolite_quantizers() -> Iterable[QuantizerSpec]:
    """The quantizers `static-int8` and `gptq-int4`."""
    yield QuantizerSpec(
        name="static-int8",
        summary="int8 weights, and activations over ranges calibrated while the model translates",
        factory="lingolite_torch.static_int8:StaticInt8",
        options=StaticInt8Options,
        accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16}),
        produces=BUNDLE_STATIC_INT8,
        needs=frozenset({"calibration"}),
        requires=_REQUIRES,
        install=_INSTALL,
    )
    yield QuantizerSpec(
        name="gptq-int4",
        summary="GPTQ: 4-bit rounding with error compensation on a calibration text; computed with in float32",
        factory="lingolite_torch.gptq_int4:GptqInt4",
        options=GptqInt4Options,
        accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16}),
        produces=BUNDLE_INT4,
        needs=frozenset({"calibration"}),
        requires=_REQUIRES,
        install=_INSTALL,
    )
