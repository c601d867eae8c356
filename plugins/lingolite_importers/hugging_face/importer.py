"""The importer `hugging-face`: a directory of `save_pretrained` as a bundle, without transformers.

Owns how a family's names meet the tensors of a directory: each is used once, copies of a tied matrix must be copies,
and what is left over is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Quantization
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.imported import Imported
from lingolite_importers.hugging_face.directory import (
    in_one_precision,
    open_directory,
    read_weights,
    weight_files,
)
from lingolite_importers.hugging_face.families import OUTPUT_PROJECTION, Family, family_of
from lingolite_importers.hugging_face.generation import decoding_options
from lingolite_importers.hugging_face.licence import stated_licence
from lingolite_importers.hugging_face.tokenizers import read_hugging_face_tokenizer
from lingolite_importers.options import HuggingFaceOptions

_LOGITS_BIAS = "final_logits_bias"


class HuggingFaceImporter:
    """See `lingolite_cli.plugins.interfaces.Importer`.

    Args:
        options: what a directory may not say.
    """

    def __init__(self, *, options: HuggingFaceOptions) -> None:
        self._options = options

    def read(self, path: Path) -> Imported:
        """Read a directory.

        Raises:
            LingoLiteError: a file is missing or damaged, or the model has a feature that no bundle carries.
        """
        directory = open_directory(path)
        family = family_of(directory)
        files = weight_files(path)
        stored = read_weights(files)
        architecture = family.architecture(directory, stored, self._options.max_seq_len)
        named = _named(stored, family, architecture, where=path)
        _check_rows(named, architecture, where=path)
        tokenizer = read_hugging_face_tokenizer(directory, architecture, self._options)
        tensors = in_one_precision(named, where=path)
        return Imported(
            architecture=architecture,
            tensors=tensors,
            tokenizer=tokenizer.tokenizer,
            languages=tokenizer.languages,
            decoding=decoding_options(
                directory,
                positions=architecture.max_seq_len,
                num_forced=len(tokenizer.tokenizer.description.frame.target_prefix),
            ),
            licence=self._options.licence or stated_licence(path),
            quantization=_quantization(tensors),
            inputs={"config": path / "config.json", **{f"weights:{file.name}": file for file in files}},
            options={"importer": "hugging-face", "model_type": str(directory.config["model_type"])},
        )


def _named(stored: dict[str, Array], family: Family, architecture: Architecture, *, where: Path) -> dict[str, Array]:
    """The tensors under LingoLite's names."""
    rest = {name: tensor for name, tensor in stored.items() if name not in family.ignored}
    found = _embeddings(rest, family, architecture, where=where)
    for ours, theirs in family.layers(architecture).items():
        for ending in (".weight", ".bias"):
            if theirs + ending in rest:
                found[ours + ending] = rest.pop(theirs + ending)
    if architecture.logits_bias:
        bias = rest.pop(_LOGITS_BIAS, None)
        found["decoder.lm_head.bias"] = (
            np.zeros(architecture.vocab_size, np.float32) if bias is None else bias.reshape(-1)
        )
    if rest:
        raise LingoLiteError(
            f"{where} has tensors that no bundle carries: {', '.join(sorted(rest)[:4])}",
            hint="the network has a part that its configuration does not name",
        )
    return found


def _check_rows(tensors: dict[str, Array], architecture: Architecture, *, where: Path) -> None:
    """Vocabularies are filled up to the rows that a configuration claims, so that these must be there."""
    rows = {"encoder.embedding.weight": architecture.num_source_tokens}
    rows |= dict.fromkeys(("decoder.embedding.weight", "decoder.lm_head.weight"), architecture.vocab_size)
    for name, expected in rows.items():
        if name in tensors and len(np.atleast_1d(tensors[name])) != expected:
            raise LingoLiteError(
                f"{where / 'config.json'} claims a vocabulary of {expected:,}, and the embedding has "
                f"{len(tensors[name]):,} rows",
                hint="the configuration and the weights must be of one model",
            )


def _embeddings(rest: dict[str, Array], family: Family, architecture: Architecture, *, where: Path) -> dict[str, Array]:
    """Embeddings and output projection, each taken from `rest`, with all copies of what is tied."""
    shared, of_encoder, of_decoder = family.embeddings
    groups: dict[bool | str, dict[str, tuple[str, ...]]] = {
        True: {"encoder.embedding.weight": (shared, of_encoder, of_decoder, OUTPUT_PROJECTION)},
        "embeddings": {
            "encoder.embedding.weight": (shared, of_encoder, of_decoder),
            "decoder.lm_head.weight": (OUTPUT_PROJECTION,),
        },
        "decoder": {
            "encoder.embedding.weight": (of_encoder,),
            "decoder.embedding.weight": (of_decoder, shared, OUTPUT_PROJECTION),
        },
        False: {
            "encoder.embedding.weight": (of_encoder,),
            "decoder.embedding.weight": (of_decoder, shared),
            "decoder.lm_head.weight": (OUTPUT_PROJECTION,),
        },
    }
    found: dict[str, Array] = {}
    for ours, names in groups[architecture.tie_embeddings].items():
        present = [name for name in names if name in rest]
        if not present:
            raise LingoLiteError(f"{where} has no tensor {names[0]}", hint="copy all files of the model")
        first, *copies = (rest.pop(name) for name in present)
        for name, copy in zip(present[1:], copies, strict=True):
            if copy.shape != first.shape or not np.array_equal(copy, first):
                raise LingoLiteError(
                    f"{where}: {name} is not {present[0]}, and its configuration says that they are one",
                    hint="set tie_word_embeddings in config.json as the model was trained",
                )
        found[ours] = first
    return found


def _quantization(tensors: dict[str, Array]) -> Quantization | None:
    kinds = {str(tensor.dtype) for tensor in tensors.values()}
    if "float16" in kinds:
        return Quantization("fp16")
    return Quantization("bf16") if "bfloat16" in kinds else None
