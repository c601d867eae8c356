"""What an importer gives: a foreign model under LingoLite's names.

Owns the structs. How a bundle is made of them is in `lingolite_cli.importing.writing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Quantization
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.tokenization.description import TokenizerDescription


class ImportedTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenizer.

    Attributes:
        description: its kind, special ids, frame and rules.
        files: content by name; the names are `lingolite_cli.artifact.TOKENIZER_NAMES`.
    """

    description: TokenizerDescription
    files: Mapping[str, bytes]


class ImportedShortlist(msgspec.Struct, frozen=True, kw_only=True):
    """A vocabulary shortlist.

    Attributes:
        languages: source and target language.
        frequent: [F] int32, target ids of any sentence, ascending.
        candidates: [V, k] int32, target ids of each source id, -1 where it has fewer.
        method: where it comes from.
        multiple_of: what the number of a sentence's target ids is filled up to a multiple of.
    """

    languages: tuple[str, str]
    frequent: npt.NDArray[np.int32]
    candidates: npt.NDArray[np.int32]
    method: str
    multiple_of: int = 1


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A model.

    Attributes:
        architecture: what the network is made of.
        tensors: by the names of a bundle (`lingolite_cli.architecture.tensors.tensor_shapes`). Integers that the
            foreign file holds are int8, with a scale for each row; see `lingolite_cli.weights.bundle`.
        tokenizer: its tokenizer.
        languages: that the model knows.
        decoding: defaults of a search.
        shortlist: its vocabulary shortlist, if it has one.
        licence: of the weights, as the foreign model states it; None where it does not.
        quantization: of the tensors; None where they are float32.
        trained_on: what the model was trained on, if that is known.
        inputs: files that were read, by what they are; their digests stand in the manifest.
        options: what else the manifest says of how the bundle was made.
    """

    architecture: Architecture
    tensors: Mapping[str, Array]
    tokenizer: ImportedTokenizer
    languages: tuple[str, ...]
    decoding: DecodingOptions = DecodingOptions()
    shortlist: ImportedShortlist | None = None
    licence: str | None = None
    quantization: Quantization | None = None
    trained_on: Literal["sentences", "documents"] | msgspec.UnsetType = msgspec.UNSET
    inputs: Mapping[str, Path] = {}
    options: Mapping[str, Any] = {}
