"""What a CTranslate2 model says besides its weights, held against the bundle: `config.json`, the vocabularies, and the
manifest's details.

Owns which values these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.evaluation.described import file_differences, value_differences
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from lingolite_ctranslate2.specification import described_config
from lingolite_ctranslate2.weights import kind_of

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact


def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    """See `lingolite_cli.plugins.interfaces.DescribedBackend`."""
    tokenizer, kind = open_tokenizer(bundle), kind_of(Weights.read(bundle))
    config = described_config(bundle.manifest.model, tokenizer.target_pieces, tokenizer.description.ids)
    sides = {"source": tokenizer.source_pieces, "target": tokenizer.target_pieces}
    if tokenizer.source_pieces == tokenizer.target_pieces:
        sides = {"shared": tokenizer.target_pieces}
    expected = {
        "config.json": msgspec.json.encode(config),
        **{f"{side}_vocabulary.json": msgspec.json.encode(list(pieces)) for side, pieces in sides.items()},
    }
    details = {"weights": kind, "activations": "dynamic int8" if kind == "int8" else "float32"}
    own = {key: artifact.manifest.details.get(key) for key in details}
    return [*value_differences("lingolite.json: details", details, own), *file_differences(artifact, expected)]
