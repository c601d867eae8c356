"""The exporter `ctranslate2`: a bundle as a model directory that CTranslate2 reads.

Owns the files; which array goes where is the business of `lingolite_ctranslate2.specification`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import ctranslate2
import msgspec

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from lingolite_ctranslate2.options import FORMAT
from lingolite_ctranslate2.specification import require_exportable, transformer_spec
from lingolite_ctranslate2.weights import Kind, kind_of


class CTranslate2Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exporter's part of the manifest.

    Attributes:
        weights: what matrices are stored in.
        activations: what they are multiplied with; int8 ones are quantized dynamically, by row.
        ctranslate2_version: whose specification was filled.
    """

    weights: Kind
    activations: Literal["float32", "dynamic int8"]
    ctranslate2_version: str


class CTranslate2Exporter:
    """Writes `model.bin`, `config.json` and `shared_vocabulary.json`, or a vocabulary for each side.

    The directory is a whole CTranslate2 model: `ctranslate2.Translator(DIRECTORY)` opens it without LingoLite.

    Args:
        options: there are none.
    """

    def __init__(self, *, options: NoOptions) -> None:
        """It has no options."""

    def export(self, source: Artifact, directory: Path) -> Product:
        """Export a bundle into `directory`.

        Raises:
            LingoLiteError: CTranslate2 cannot carry the bundle.
        """
        weights = Weights.read(source)
        require_exportable(source.manifest.model)
        kind = kind_of(weights)
        tokenizer = open_tokenizer(source)
        spec = transformer_spec(
            weights,
            source.manifest.model,
            tokenizer.target_pieces,
            source_pieces=tokenizer.source_pieces,
            ids=tokenizer.description.ids,
        )
        spec.save(str(directory))
        details = CTranslate2Details(
            weights=kind,
            activations="dynamic int8" if kind == "int8" else "float32",
            ctranslate2_version=ctranslate2.__version__,
        )
        return Product(format=FORMAT, details=msgspec.to_builtins(details))
