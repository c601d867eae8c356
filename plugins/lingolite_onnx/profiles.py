"""The profiles: ways to write the network as ONNX graphs and to run them, each declared once.

Owns what exporter, backend and `export_config.json` ask of a profile, and which profiles there are. A profile's room
implements it, its check lies in `lingolite_onnx.checks`, and nothing else names it. Parts are named and imported when
they are first used: whoever runs graphs needs no builder and no reference.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
    from lingolite_cli.weights.bundle import Weights
    from lingolite_onnx.backend_options import OnnxBackendOptions
    from lingolite_onnx.details import GraphCheck, OnnxExportDetails
    from lingolite_onnx.export_config import ProfileDescription
    from lingolite_onnx.runner import GraphRunner


class GraphSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an export asks of graphs.

    Attributes:
        opset_version: of the default `ai.onnx` operators.
        max_seq_len: rows of the rotary tables.
        is_exact: compute what lies between integer products in float64.
        optimize: method of offline graph optimization, or `none`.
        ort: also write the graphs in ONNX Runtime's own format.
        has_shortlist: a vocabulary shortlist lies in the directory.
        test: compare the graphs with the reference.
    """

    opset_version: int
    max_seq_len: int
    is_exact: bool
    optimize: str
    ort: bool
    has_shortlist: bool
    test: bool


class WriteGraphs(Protocol):
    """Writes graphs and `weights.bin` into a directory, and returns the graphs' names."""

    def __call__(self, weights: Weights, directory: Path, settings: GraphSettings) -> tuple[str, ...]: ...


class CheckGraphs(Protocol):
    """Runs the graphs of a directory, compares them with the reference when settings ask for that, and refuses them
    by a `LingoLiteError`."""

    def __call__(self, weights: Weights, directory: Path, settings: GraphSettings) -> tuple[GraphCheck, ...]: ...


class DescribeGraphs(Protocol):
    """The part of `export_config.json` that depends on the profile, for graphs that lie in a directory."""

    def __call__(self, details: OnnxExportDetails, weights: Weights, directory: Path) -> ProfileDescription: ...


class OpenRunner(Protocol):
    """Opens the graphs of an artifact. Options that the profile does not have are refused by a `LingoLiteError`.

    `entries` are further settings of the sessions, in ONNX Runtime's words.
    """

    def __call__(
        self,
        artifact: Artifact,
        details: OnnxExportDetails,
        options: OnnxBackendOptions,
        *,
        threads: int,
        entries: Mapping[str, str],
    ) -> GraphRunner: ...


class ComputeBy(Protocol):
    """How the graphs of an artifact compute, given the weights that they were made from."""

    def __call__(self, details: OnnxExportDetails, weights: Weights, options: OnnxBackendOptions) -> Arithmetic: ...


class TraceGraphs(Protocol):
    """Values of named operations in the graphs of an artifact.

    `weights` are those that it was made from: only their names and shapes are used, to know which tensor is which.
    """

    def __call__(
        self,
        artifact: Artifact,
        details: OnnxExportDetails,
        options: OnnxBackendOptions,
        weights: Weights,
        tokens: ForcedTokens,
        *,
        entries: Mapping[str, str],
    ) -> list[Trace]: ...


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A profile, with its functions as "package.module:name".

    Attributes:
        name: value of the export option `profile`, and of `profile` in manifests.
        title: what messages call it.
        has_shortlist: its graphs can choose from candidate tokens.
        has_exact: its graphs can compute in float64 between integer products.
        has_offline_optimization: the export option `optimize` applies to its graphs.
        has_ort_format: the export option `ort` applies to its graphs.
        group_activations: how activations meet matrices that are stored by groups.
        writer: a `WriteGraphs`.
        checker: a `CheckGraphs`.
        describer: a `DescribeGraphs`.
        opener: an `OpenRunner`.
        computing: a `ComputeBy`.
        tracer: a `TraceGraphs`.
    """

    name: str
    title: str
    has_shortlist: bool
    has_exact: bool
    has_offline_optimization: bool
    has_ort_format: bool
    group_activations: Literal["float32", "by group"]
    writer: str
    checker: str
    describer: str
    opener: str
    computing: str
    tracer: str

    @property
    def write_graphs(self) -> WriteGraphs:
        """Writes graphs."""
        write: WriteGraphs = _load(self.writer)
        return write

    @property
    def check_graphs(self) -> CheckGraphs:
        """Checks graphs."""
        check: CheckGraphs = _load(self.checker)
        return check

    @property
    def describe_graphs(self) -> DescribeGraphs:
        """Describes graphs."""
        describe: DescribeGraphs = _load(self.describer)
        return describe

    @property
    def open_runner(self) -> OpenRunner:
        """Opens graphs."""
        opener: OpenRunner = _load(self.opener)
        return opener

    @property
    def arithmetic(self) -> ComputeBy:
        """Says how graphs compute."""
        compute: ComputeBy = _load(self.computing)
        return compute

    @property
    def trace_graphs(self) -> TraceGraphs:
        """Traces graphs."""
        trace: TraceGraphs = _load(self.tracer)
        return trace


PORTABLE = Profile(
    name="portable",
    title="portable profile",
    has_shortlist=False,
    has_exact=True,
    has_offline_optimization=True,
    has_ort_format=True,
    group_activations="float32",
    writer="lingolite_onnx.portable.writing:write_portable_graphs",
    checker="lingolite_onnx.checks.portable_graphs:check_portable_graphs",
    describer="lingolite_onnx.portable.description:describe_portable_graphs",
    opener="lingolite_onnx.portable.runner:open_portable_runner",
    computing="lingolite_onnx.trace.portable:portable_arithmetic",
    tracer="lingolite_onnx.trace.portable:trace_portable",
)

ORT = Profile(
    name="optimized",  # the word in options and manifests since before there was offline graph optimization
    title="ORT profile",
    has_shortlist=True,
    has_exact=False,
    has_offline_optimization=False,
    has_ort_format=False,
    group_activations="by group",
    writer="lingolite_onnx.ort.writing:write_ort_graphs",
    checker="lingolite_onnx.checks.ort_graphs:check_ort_graphs",
    describer="lingolite_onnx.ort.description:describe_ort_graphs",
    opener="lingolite_onnx.ort.runner:open_ort_runner",
    computing="lingolite_onnx.trace.ort:ort_arithmetic",
    tracer="lingolite_onnx.trace.ort:trace_ort",
)

PROFILES = {profile.name: profile for profile in (PORTABLE, ORT)}


def _load(name: str) -> Any:
    """What "package.module:name" stands for; its type is that of the `Profile` attribute that holds the name."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
