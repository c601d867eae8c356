"""The exporter `onnx`: graphs over one file of weights, checked before they are handed over.

Owns the order of work. `lingolite_onnx.portable` makes graphs of standard operators (int4 bundles need two of ONNX
Runtime's own besides), `lingolite_onnx.ort` graphs of the fastest operators that ONNX Runtime has.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx
import onnxruntime as ort

from lingolite_cli.artifact import ONNX as ONNX_FORMAT
from lingolite_cli.artifact import SHORTLIST_NAME, Artifact, Product
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.shortlist import Shortlist, read_shortlist
from lingolite_cli.tokenization.tokenizer import FRAME_LENGTH
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.comparison import check_models, check_run
from lingolite_onnx.details import GraphCheck, OnnxExportDetails
from lingolite_onnx.export_config import source_frame, write_export_config
from lingolite_onnx.graph import WEIGHTS_FILE, WeightFile, write_model
from lingolite_onnx.options import OPSET_VERSIONS, OnnxExportOptions
from lingolite_onnx.ort.writing import check_graphs, require_exportable, write_graphs
from lingolite_onnx.portable.offline_optimization import optimize
from lingolite_onnx.portable.runner import GRAPHS
from lingolite_onnx.portable.stacks import build_portable_decoder, build_portable_encoder


class OnnxExporter:
    """Writes `encoder.onnx`, `decoder.onnx`, `weights.bin` and `export_config.json`, or the graphs of the optimized
    profile in the place of those two.

    The graphs are built from the weights, not traced, so equal bundles and options give equal bytes.

    Args:
        options: see `OnnxExportOptions`.

    Raises:
        LingoLiteError: the opset version is not one of those that the graphs are written in.
    """

    def __init__(self, *, options: OnnxExportOptions) -> None:
        if options.opset_version not in OPSET_VERSIONS:
            raise LingoLiteError(
                f"cannot write opset version {options.opset_version}",
                hint=f"choose {OPSET_VERSIONS[0]} (runs on the most devices) to {OPSET_VERSIONS[-1]}",
            )
        self._options = options

    def export(self, source: Artifact, directory: Path, *, shortlist: Path | None = None) -> Product:
        """Export a bundle into `directory`, with a vocabulary shortlist if one is given.

        Raises:
            LingoLiteError: the bundle cannot be carried by these graphs, or a check of the graphs failed; or the
                shortlist is not of this model, or the profile has none.
        """
        max_seq_len = self._positions(source)
        words = self._shortlist(source, shortlist)
        frame = source_frame(source, max_seq_len)
        weights = Weights.read(source)
        if words is not None:
            words.write(directory / SHORTLIST_NAME)
        write = self._write_optimized if self._options.profile == "optimized" else self._write_portable
        graphs, checks = write(weights, directory, max_seq_len)
        details = self._details(weights, max_seq_len, graphs, checks)
        if words is not None:
            details = msgspec.structs.replace(details, shortlist=words.details.languages)
        write_export_config(source, details, frame, directory)
        return Product(format=ONNX_FORMAT, max_seq_len=max_seq_len, details=details.to_dict())

    def _shortlist(self, source: Artifact, path: Path | None) -> Shortlist | None:
        if path is None:
            return None
        if self._options.profile != "optimized":
            raise LingoLiteError(
                "the portable profile carries no shortlist", hint="pass --option profile=optimized, or leave it out"
            )
        shortlist = read_shortlist(path)
        shortlist.check_tokenizer(source.tokenizer_path, where=path)
        return shortlist

    def _write_optimized(
        self, weights: Weights, directory: Path, max_seq_len: int
    ) -> tuple[tuple[str, ...], tuple[GraphCheck, ...]]:
        require_exportable(weights)
        graphs = write_graphs(weights, directory, num_positions=max_seq_len, opset_version=self._options.opset_version)
        return graphs, check_graphs(weights, directory, max_seq_len=max_seq_len, test=self._options.test)

    def _write_portable(
        self, weights: Weights, directory: Path, max_seq_len: int
    ) -> tuple[tuple[str, ...], tuple[GraphCheck, ...]]:
        self._write_graphs(weights, directory, max_seq_len)
        checks = [self._check_portable(weights, directory, max_seq_len)]
        if self._options.optimize != "none":
            optimize(directory, self._options.optimize, config=weights.config)
            checks.append(
                check_run(
                    weights,
                    directory,
                    "optimized",
                    max_seq_len=max_seq_len,
                    checked_by=(),
                    test=self._options.test,
                )
            )
        return tuple(name for check in checks for name in GRAPHS[check.graph]), tuple(checks)

    @property
    def _is_exact(self) -> bool:
        return self._options.exact is not False and self._options.profile == "portable"

    def _positions(self, source: Artifact) -> int:
        """Rows of the rotary tables."""
        limit, wanted = source.manifest.model.max_seq_len, self._options.max_seq_len
        if wanted is not None and not FRAME_LENGTH < wanted <= limit:
            raise LingoLiteError(
                f"cannot export max_seq_len {wanted}: the model has {limit} positions, and the frame around a source "
                f"takes {FRAME_LENGTH}",
                hint=f"pass --max-seq-len with {FRAME_LENGTH + 1} to {limit}, or leave it out",
            )
        return wanted or limit

    def _write_graphs(self, weights: Weights, directory: Path, max_seq_len: int) -> None:
        weight_file = WeightFile(directory / WEIGHTS_FILE)
        for name, build in zip(GRAPHS["portable"], (build_portable_encoder, build_portable_decoder), strict=True):
            model = build(
                weights,
                weight_file,
                num_positions=max_seq_len,
                opset_version=self._options.opset_version,
                is_exact=self._is_exact,
            )
            write_model(model, directory / name)

    def _check_portable(self, weights: Weights, directory: Path, max_seq_len: int) -> GraphCheck:
        check_models([directory / name for name in GRAPHS["portable"]])
        return check_run(
            weights,
            directory,
            "portable",
            max_seq_len=max_seq_len,
            checked_by=("onnx.checker",),
            test=self._options.test,
        )

    def _details(
        self, weights: Weights, max_seq_len: int, graphs: tuple[str, ...], checks: tuple[GraphCheck, ...]
    ) -> OnnxExportDetails:
        is_by_group = weights.has_groups and self._options.profile == "optimized"
        return OnnxExportDetails(
            opset_version=self._options.opset_version,
            max_seq_len=max_seq_len,
            weights=weights.kind,
            activations="by group" if is_by_group else weights.activations,
            exact=self._is_exact and weights.has_int8,
            optimize=self._options.optimize,
            graphs=graphs,
            checks=checks,
            onnx_version=onnx.__version__,
            onnxruntime_version=ort.__version__,
            profile=self._options.profile,
        )
