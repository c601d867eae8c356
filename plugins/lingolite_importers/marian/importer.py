"""The importer `marian`: a file of weights, its vocabularies and its shortlist as a bundle.

Owns the way from Marian's tensors to a bundle's. Integers are carried as they are: Marian's one multiplier of a matrix
is the scale of each of its rows, and its alphas are calibrated ranges. Marian's decoder starts from a zero embedding; a
row of zeros is added that stands for it, `<s>`, which is padding as well and is never generated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Quantization
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.imported import Imported
from lingolite_cli.weights.activations import MIDDLE
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX
from lingolite_cli.weights.rows import INT8_MAX, SCALE_SUFFIX
from lingolite_importers.marian.container import MarianModel, MarianTensor, is_multiplier, read_model
from lingolite_importers.marian.files import MarianFiles, find_files
from lingolite_importers.marian.names import Names, architecture_of, names_of, vocabulary_sizes
from lingolite_importers.marian.shortlist import read_lexical_shortlist
from lingolite_importers.marian.vocabulary import marian_tokenizer
from lingolite_importers.options import MarianOptions
from lingolite_importers.reading import read_file

_POSITIONS = 512
_IMPOSSIBLE = -3e4
"""The bias of rows that stand for no token: their probability is 0 in float32, and float16 holds the number."""
_ALPHA = "_QuantMultA"
_OUTPUT_ALPHA = "none" + _ALPHA
"""What the tied output's alpha is called. That of the embedding, `Wemb_QuantMultA`, means nothing."""


class MarianImporter:
    """See `lingolite_cli.plugins.interfaces.Importer`.

    Args:
        options: what becomes of integers, and files that are not beside the weights.
    """

    def __init__(self, *, options: MarianOptions) -> None:
        self._options = options

    def read(self, path: Path) -> Imported:
        """Read a directory as Firefox publishes it, or a file of weights with the others beside it.

        Raises:
            LingoLiteError: a file is missing or damaged, or the model has a feature that no bundle carries.
        """
        files = find_files(path, self._options)
        model = read_model(files.model)
        if not model.configuration:
            raise LingoLiteError(
                f"{files.model} has no special:model.yml, so nobody knows its network",
                hint="save the model with marian-train or marian-conv",
            )
        sizes = vocabulary_sizes(model.configuration, files.model)
        # Both get the same number of rows where they are not one: padding has one id on both sides.
        rows = (max(sizes) + 1, max(sizes) + 1)
        positions = self._options.max_seq_len or _POSITIONS
        architecture = architecture_of(model.configuration, rows=rows, max_seq_len=positions, where=files.model)
        tensors = _Tensors(model, names_of(architecture, model.configuration), self._options.weights).read(rows[0])
        tokenizer = marian_tokenizer(files, sizes=sizes, rows=rows[0])
        rules = tokenizer.description.rules
        return Imported(
            architecture=architecture,
            tensors=tensors,
            tokenizer=tokenizer,
            languages=tuple(dict.fromkeys((*rules.source_languages, *rules.target_languages))),
            decoding=_decoding(files, positions),
            shortlist=None
            if files.shortlist is None
            else read_lexical_shortlist(
                read_file(files.shortlist), where=files.shortlist, languages=files.languages, sizes=sizes, rows=rows
            ),
            licence=self._options.licence,
            quantization=_quantization(tensors, self._options),
            inputs=_inputs(files),
            options={"importer": "marian", "weights": self._options.weights},
        )


class _Tensors:
    """The tensors of a bundle from those of Marian, each of which must be used.

    Args:
        model: what the file holds.
        names: where each parameter comes from.
        weights: what becomes of integers.
    """

    def __init__(self, model: MarianModel, names: Names, weights: str) -> None:
        self._model = model
        self._names = names
        self._weights = weights
        self._found: dict[str, Array] = {}
        self._used: set[str] = set()

    def read(self, rows: int) -> dict[str, Array]:
        """All tensors; embeddings with `rows` rows."""
        names = self._names
        for ours, theirs in names.embeddings.items():
            self._matrix(ours, theirs, rows=rows)
        for ours, theirs in names.matrices.items():
            self._matrix(ours, theirs)
            self._range(ours, theirs + _ALPHA)
        if names.projection is not None:
            self._matrix("decoder.lm_head", names.projection, rows=rows)
        output = names.projection + _ALPHA if names.projection is not None else _OUTPUT_ALPHA
        self._range("decoder.lm_head", output)
        for ours, theirs in names.vectors.items():
            vector = self._take(theirs).values.reshape(-1)
            is_output = ours == "decoder.lm_head.bias"
            self._found[ours] = _padded(vector, rows, _IMPOSSIBLE) if is_output else vector
        self._check_rest()
        return self._found

    def _matrix(self, ours: str, theirs: str, *, rows: int | None = None) -> None:
        tensor = self._take(theirs)
        values = tensor.values
        if values.ndim != 2:
            raise LingoLiteError(
                f"{self._model.path}: {theirs} has the shape {list(values.shape)}, not that of a matrix",
                hint="its configuration and its weights do not fit",
            )
        if tensor.multiplier is None and "Wemb" not in theirs:
            values = values.T  # floats lie as [in, out]
        if rows is not None and len(values) < rows:
            values = np.concatenate([values, np.zeros((rows - len(values), values.shape[1]), values.dtype)])
        if tensor.multiplier is None:
            self._found[f"{ours}.weight"] = values
        elif self._weights == "float":
            self._found[f"{ours}.weight"] = values.astype(np.float32) / np.float32(tensor.multiplier)
        else:
            self._found[f"{ours}.weight"] = self._integers(values, theirs)
            scale = np.float32(1) / np.float32(tensor.multiplier)
            self._found[f"{ours}.weight{SCALE_SUFFIX}"] = np.full((len(values), 1), scale, np.float32)

    def _integers(self, values: Array, theirs: str) -> Array:
        if int(values.min(initial=0)) < -INT8_MAX:
            raise LingoLiteError(
                f"{self._model.path}: {theirs} has the integer {values.min()}, and a bundle carries -127 to 127",
                hint="import it with --option weights=float",
            )
        return values

    def _range(self, ours: str, theirs: str) -> None:
        """The calibrated range of what a linear layer reads: Marian's alpha a stands for the integers round(x · a)."""
        alpha = self._model.tensors.get(theirs)
        self._used.add(theirs)
        if self._weights != "static":
            return
        if alpha is None:
            raise LingoLiteError(
                f"{self._model.path} has no alphas: {theirs} is missing",
                hint="import it with --option weights=int8: activations are then quantized by row",
            )
        multiplier = float(alpha.values.reshape(-1)[0])
        if not is_multiplier(multiplier):
            raise LingoLiteError(
                f"{self._model.path}: {theirs} is {multiplier}, not an alpha",
                hint="copy the file again, or import it with --option weights=int8",
            )
        self._found[ours + INPUT_SCALE_SUFFIX] = np.array([np.float32(1) / np.float32(multiplier)], np.float32)
        self._found[ours + INPUT_ZERO_POINT_SUFFIX] = np.array([MIDDLE], np.uint8)

    def _take(self, theirs: str) -> MarianTensor:
        self._used.add(theirs)
        if theirs not in self._model.tensors:
            raise LingoLiteError(
                f"{self._model.path} has no tensor {theirs}", hint="its configuration and its weights do not fit"
            )
        return self._model.tensors[theirs]

    def _check_rest(self) -> None:
        rest = sorted(name for name in set(self._model.tensors) - self._used if not name.endswith(_ALPHA))
        if rest:
            raise LingoLiteError(
                f"{self._model.path} has tensors that no bundle carries: {', '.join(rest[:4])}",
                hint="the network has a part that its configuration does not name",
            )


def _padded(vector: Array, rows: int, value: float) -> Array:
    return np.concatenate([vector, np.full(max(0, rows - len(vector)), value, np.float32)])


def _quantization(tensors: Mapping[str, Array], options: MarianOptions) -> Quantization | None:
    if not any(tensor.dtype == np.int8 for tensor in tensors.values()):
        return None
    return Quantization("static-int8" if options.weights == "static" else "dynamic-int8")


def _decoding(files: MarianFiles, positions: int) -> DecodingOptions:
    """What the decoder's configuration says of a search."""
    named = {"beam_size": "beam-size", "max_length_factor": "max-length-factor"}
    given = {ours: files.settings[theirs] for ours, theirs in named.items() if theirs in files.settings}
    try:
        return msgspec.convert({**given, "max_length": positions}, DecodingOptions)
    except msgspec.ValidationError as error:
        raise LingoLiteError(
            f"the configuration of the decoder beside {files.model} is not one: {error}", hint="remove it, or mend it"
        ) from None


def _inputs(files: MarianFiles) -> dict[str, Path]:
    named = {
        "model": files.model,
        "source_spm": files.source_spm,
        "target_spm": files.target_spm,
        "vocabulary": files.vocabulary,
        "target_vocabulary": files.target_vocabulary,
        "shortlist": files.shortlist,
    }
    return {name: file for name, file in named.items() if file is not None}
