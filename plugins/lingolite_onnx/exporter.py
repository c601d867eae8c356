"""The exporter `onnx`: graphs over one file of weights, checked before they are handed over.

Owns the order of work, which is the same for every profile of `lingolite_onnx.profiles`. The portable profile makes
graphs of standard operators (and, for int4 bundles, two of ONNX Runtime's own), the ORT profile graphs of the
fastest operators that ONNX Runtime has.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort

from lingolite_cli.artifact import SHORTLIST_NAME, Artifact, Product
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.shortlist import Shortlist, read_shortlist
from lingolite_cli.tokenization.positions import exported_positions
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.export_config import FILE_NAME, export_config, source_frame
from lingolite_onnx.options import FORMAT, OPSET_VERSIONS, OnnxExportOptions
from lingolite_onnx.profiles import PROFILES, GraphSettings


class OnnxExporter:
    """Writes the graphs of a profile, `weights.bin` and `export_config.json`.

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
        self._profile = PROFILES[options.profile]

    def export(self, source: Artifact, directory: Path, *, shortlist: Path | None = None) -> Product:
        """Export a bundle into `directory`, with a vocabulary shortlist if one is given.

        Raises:
            LingoLiteError: the bundle cannot be carried by these graphs, or a check of the graphs failed; or the
                shortlist is not of this model, or the profile has none.
        """
        max_seq_len = exported_positions(source, self._options.max_seq_len)
        candidates = self._shortlist(source, shortlist)
        frame = source_frame(source, max_seq_len)
        weights = Weights.read(source)
        if candidates is not None:
            candidates.write(directory / SHORTLIST_NAME)
        settings = self._settings(max_seq_len, has_shortlist=candidates is not None)
        profile = self._profile
        graphs = profile.write_graphs(weights, directory, settings)
        details = OnnxExportDetails(
            opset_version=settings.opset_version,
            max_seq_len=max_seq_len,
            weights=weights.kind,
            activations=profile.group_activations if weights.has_groups else weights.activations,
            exact=settings.is_exact and weights.has_int8,
            optimize=self._options.optimize,
            graphs=graphs,
            checks=profile.check_graphs(weights, directory, settings),
            onnx_version=onnx.__version__,
            onnxruntime_version=ort.__version__,
            profile=self._options.profile,
            shortlist=candidates.details.languages if candidates is not None else None,
        )
        described = profile.describe_graphs(details, weights, directory)
        (directory / FILE_NAME).write_bytes(export_config(source, details, frame, described, directory))
        return Product(format=FORMAT, max_seq_len=max_seq_len, details=details.to_dict())

    def _shortlist(self, source: Artifact, path: Path | None) -> Shortlist | None:
        if path is None:
            return None
        if not self._profile.has_shortlist:
            raise LingoLiteError(
                f"the {self._profile.title} carries no shortlist",
                hint="pass --option profile=optimized, or leave it out",
            )
        shortlist = read_shortlist(path)
        shortlist.check_tokenizer(source, where=path)
        return shortlist

    def _settings(self, max_seq_len: int, *, has_shortlist: bool) -> GraphSettings:
        options = self._options
        return GraphSettings(
            opset_version=options.opset_version,
            max_seq_len=max_seq_len,
            is_exact=options.exact is not False and self._profile.has_exact,
            optimize=options.optimize,
            ort=options.ort is True,
            has_shortlist=has_shortlist,
            test=options.test,
        )
