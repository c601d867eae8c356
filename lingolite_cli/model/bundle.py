"""Bundles: made from checkpoints and models, and loaded into models.

Owns the way between a bundle's directory and the network. The manifest and the atomic write are
`lingolite_cli.artifact`'s, the file of weights `lingolite_cli.weights.bundle`'s, and putting tensors into a network
`lingolite_cli.model.parameters`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import ml_dtypes
import msgspec
import torch
from torch import Tensor

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT4,
    BUNDLE_INT8,
    BUNDLE_STATIC_INT8,
    MANIFEST_NAME,
    TOKENIZER_NAME,
    Artifact,
    Provenance,
    check_target,
)
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.importing.imported import Imported, ImportedTokenizer
from lingolite_cli.importing.writing import write_imported
from lingolite_cli.model.checkpoint import read_checkpoint, without_padding
from lingolite_cli.model.parameters import model_from_tensors, stored_tensors
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.weights.bundle import dequantize_groups, read_tensors

FORMATS = (BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8, BUNDLE_STATIC_INT8, BUNDLE_INT4)


def import_checkpoint(
    checkpoint: str | Path,
    tokenizer: str | Path,
    out: str | Path,
    *,
    languages: Sequence[str] | None = None,
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    preset: str | None = None,
    max_seq_len: int | None = None,
    trained_on: Literal["sentences", "documents"] = "sentences",
    licence: str | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Make a bundle from a checkpoint. The same inputs give the same bytes.

    Args:
        checkpoint: see `read_checkpoint`, also for the sizes.
        tokenizer: a SentencePiece `.model` file, or a directory with exactly one.
        out: the bundle's directory.
        languages: languages of the model; by default those that have a tag in the tokenizer.
        n_heads: attention heads, for a checkpoint without a configuration.
        n_kv_heads: key/value heads.
        preset: preset that tells the heads instead.
        max_seq_len: positions.
        trained_on: whether the model knows single sentences only, or longer texts.
        licence: of the weights; a checkpoint does not state it.
        overwrite: replace an artifact at `out`.

    Raises:
        LingoLiteError: the checkpoint or tokenizer cannot be used, they do not fit, or `out` exists.
    """
    check_target(Path(out), overwrite=overwrite, inputs=[Path(checkpoint), find_tokenizer(tokenizer)])
    imported = imported_checkpoint(
        checkpoint,
        tokenizer,
        languages=languages,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        preset=preset,
        max_seq_len=max_seq_len,
        trained_on=trained_on,
        licence=licence,
    )
    made_by = Provenance(
        operation="import", options=dict(imported.options), inputs={"checkpoint": sha256_file(Path(checkpoint))}
    )
    return write_imported(imported, Path(out), where=Path(checkpoint), made_by=made_by, overwrite=overwrite)


def imported_checkpoint(
    checkpoint: str | Path,
    tokenizer: str | Path,
    *,
    languages: Sequence[str] | None = None,
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    preset: str | None = None,
    max_seq_len: int | None = None,
    trained_on: Literal["sentences", "documents"] = "sentences",
    licence: str | None = None,
) -> Imported:
    """What `import_checkpoint` makes a bundle of; see there for arguments and errors."""
    read = read_checkpoint(checkpoint, n_heads=n_heads, n_kv_heads=n_kv_heads, preset=preset, max_seq_len=max_seq_len)
    file = find_tokenizer(tokenizer)
    trimmed = without_padding(read, len(read_tokenizer(file).target_pieces))
    num_padding = read.config.vocab_size - trimmed.config.vocab_size
    imported = _imported(trimmed.tensors, config=trimmed.config, tokenizer=file, languages=languages)
    return msgspec.structs.replace(
        imported,
        trained_on=trained_on if trained_on == "documents" else msgspec.UNSET,
        licence=licence,
        inputs={"checkpoint": Path(checkpoint)},
        options={"padding_rows": num_padding} if num_padding else {},
    )


def save_bundle(
    model: MobileTranslationModel,
    path: str | Path,
    *,
    tokenizer: str | Path | Artifact,
    languages: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Write a model, such as one that was just trained, as a bundle.

    Args:
        model: with float weights, which make a bundle of format bundle; or what `apply_dynamic_quantization`,
            `apply_static_quantization` and `convert_qat_model` return: bundle-int8, bundle-fp16 or bundle-static-int8.
        path: the bundle's directory.
        tokenizer: an artifact or its directory, whose tokenizer is kept, whatever its kind; or, of LingoLite's own
            format, a SentencePiece `.model` file, or a directory with exactly one.
        languages: languages of the model; by default those of the artifact, or those that have a tag in the file.
        overwrite: replace an artifact at `path`.

    Raises:
        LingoLiteError: the tokenizer does not fit the model, or `path` exists.
    """
    source = tokenizer_source(tokenizer)
    if isinstance(source, Artifact):
        check_target(Path(path), overwrite=overwrite, inputs=[source.path])
        imported = _with_tokenizer_of(source, model, languages=languages)
    else:
        file = find_tokenizer(source)
        check_target(Path(path), overwrite=overwrite, inputs=[file])
        imported = _imported(stored_tensors(model), config=model.config, tokenizer=file, languages=languages)
    imported = msgspec.structs.replace(imported, quantization=model.quantization)
    made_by = Provenance(operation="save")
    return write_imported(imported, Path(path), where=Path(path), made_by=made_by, overwrite=overwrite)


def load_bundle(path: str | Path) -> MobileTranslationModel:
    """The model of a bundle, in eval mode on the CPU.

    Half-precision weights are computed with in float32; int8 weights stay int8; int4 weights, which save room and not
    work, become the float32 that they stand for.

    Args:
        path: a directory of format bundle, bundle-fp16, bundle-bf16, bundle-int8, bundle-static-int8 or bundle-int4.

    Raises:
        LingoLiteError: it is not a bundle, or is damaged.
    """
    artifact = Artifact.open(path)
    return artifact.reading(lambda: load_model(artifact), undo=lambda _: None)


def load_model(artifact: Artifact) -> MobileTranslationModel:
    """As `load_bundle`, for an artifact that is open."""
    manifest = artifact.manifest
    if manifest.format not in FORMATS:
        raise LingoLiteError(
            f"{artifact.path} has the format {manifest.format}, not one of {', '.join(FORMATS)}",
            hint="torch runs bundles; pass the bundle that this artifact was made from",
        )
    arrays = read_tensors(artifact)
    # PyTorch has no fast product for these: 4 bits save room here, and no time.
    if manifest.format == BUNDLE_INT4:
        arrays = dequantize_groups(manifest.model, arrays)
    tensors = {name: _tensor(array) for name, array in arrays.items()}
    model = model_from_tensors(manifest.model, tensors, where=str(artifact.weights_path))
    model.quantization = manifest.quantization if manifest.format in (BUNDLE_INT8, BUNDLE_STATIC_INT8) else None
    return model


def find_tokenizer(path: str | Path) -> Path:
    """The `.model` file that `path` is or holds.

    Raises:
        LingoLiteError: there is none, or more than one.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.model"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise LingoLiteError(
            f"{path} should hold exactly one SentencePiece .model file; found: {names}",
            hint="pass the file itself: --tokenizer DIR/NAME.model",
        )
    return found[0]


def tokenizer_source(tokenizer: str | Path | Artifact) -> Artifact | Path:
    """The artifact that is meant by `tokenizer`; or its path, where that is a file or a directory without a manifest.

    Raises:
        LingoLiteError: the artifact is damaged.
    """
    if isinstance(tokenizer, Artifact):
        return tokenizer
    path = Path(tokenizer)
    return Artifact.open(path) if (path / MANIFEST_NAME).is_file() else path


def _with_tokenizer_of(source: Artifact, model: MobileTranslationModel, *, languages: Sequence[str] | None) -> Imported:
    """A model with the tokenizer of an artifact."""
    _check_languages(languages, source.manifest.languages)
    return Imported(
        architecture=model.config,
        tensors={name: tensor.numpy() for name, tensor in stored_tensors(model).items()},
        tokenizer=ImportedTokenizer(
            description=source.manifest.tokenizer_description,
            files={name: source.read_bytes(name) for name in source.tokenizer_names},
        ),
        languages=tuple(languages or source.manifest.languages),
    )


def _check_languages(languages: Sequence[str] | None, known: Sequence[str]) -> None:
    for language in languages or ():
        if language not in known:
            raise LingoLiteError(
                f"the tokenizer has no tag for the language `{language}`", hint=did_you_mean(language, known)
            )


def _imported(
    tensors: Mapping[str, Tensor], *, config: Architecture, tokenizer: Path, languages: Sequence[str] | None
) -> Imported:
    """A model in LingoLite's own format."""
    known = read_tokenizer(tokenizer, languages=languages or ())
    if len(known.target_pieces) != config.vocab_size:
        raise LingoLiteError(
            f"the tokenizer {tokenizer} has {len(known.target_pieces)} pieces, the model {config.vocab_size}",
            hint="pass the tokenizer that the model was trained with; rows are left out only where the vocabulary was "
            "padded to a multiple of 8 to 1,024",
        )
    _check_languages(languages, known.languages)
    return Imported(
        architecture=config,
        tensors={name: tensor.numpy() for name, tensor in tensors.items()},
        tokenizer=ImportedTokenizer(description=LINGOLITE, files={TOKENIZER_NAME: tokenizer.read_bytes()}),
        languages=tuple(languages or known.languages),
    )


def _tensor(array: Array) -> Tensor:
    """The same memory as a tensor; floats of 16 bits become float32, which takes memory of its own."""
    if array.dtype == ml_dtypes.bfloat16:  # numpy's bfloat16 is a stranger to PyTorch, but its bits are not
        return torch.from_numpy(array.view("int16")).view(torch.bfloat16).float()
    tensor = torch.from_numpy(array)
    return tensor.float() if tensor.is_floating_point() else tensor
