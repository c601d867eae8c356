"""A bundle of what an importer read: checked as a whole, then written whole or not at all.

Owns what must hold of every imported model, whatever it was read from: shapes, numbers that are numbers, and a
tokenizer with as many pieces as the model has rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import msgspec
import numpy as np

from lingolite_cli.architecture.tensors import tensor_shapes
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT8,
    BUNDLE_STATIC_INT8,
    SHORTLIST_NAME,
    Artifact,
    Manifest,
    Provenance,
    write_manifest,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.importing.imported import Imported
from lingolite_cli.shortlist.shortlist import Details, Shortlist, check_shortlist
from lingolite_cli.tokenization.opening import TokenizerFiles, build_tokenizer
from lingolite_cli.weights.bundle import check_shapes, write_tensors
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX
from lingolite_cli.weights.rows import SCALE_SUFFIX

_BLOCK = 1 << 20
"""Numbers that are looked at together: a mask of a whole embedding would be a copy of it in size."""


def check_imported(imported: Imported, *, where: Path) -> None:
    """Refuse a model whose parts do not fit one another.

    Args:
        imported: what was read.
        where: what it was read from, for messages.

    Raises:
        LingoLiteError: a tensor is missing, unexpected, mis-shaped or not finite; the tokenizer cannot be read or has
            another number of pieces than the model has rows; or the manifest would refuse what it says.
    """
    _check_shapes(imported, where)
    for name, tensor in imported.tensors.items():
        _check_numbers(name, tensor, where)
    _manifest(imported, Provenance(operation="import"), where)
    files = TokenizerFiles(path=where, contents=imported.tokenizer.files)
    tokenizer = build_tokenizer(files, imported.tokenizer.description, imported.languages)
    model = imported.architecture
    sides = (
        ("sources", tokenizer.source_pieces, model.num_source_tokens),
        ("targets", tokenizer.target_pieces, model.vocab_size),
    )
    for side, pieces, rows in sides:
        if len(pieces) != rows:
            raise LingoLiteError(
                f"the vocabulary of {side} has {len(pieces):,} pieces, and the model of {where} {rows:,} rows",
                hint="the tokenizer must be the one that the model was trained with",
            )
    if imported.shortlist is not None:
        check_shortlist(_shortlist(imported, digest=""), where)


def write_imported(imported: Imported, path: Path, *, where: Path, made_by: Provenance, overwrite: bool) -> Artifact:
    """Write a bundle. The same model gives the same bytes.

    Args:
        imported: what was read.
        path: the bundle's directory.
        where: what it was read from, for messages.
        made_by: for the manifest.
        overwrite: replace what is at `path`.

    Raises:
        LingoLiteError: see `check_imported`; nothing is written then. Or `path` exists.
    """
    check_imported(imported, where=where)
    with atomic_directory(path, overwrite=overwrite) as directory:
        write_tensors(imported.tensors, directory)
        for name, content in imported.tokenizer.files.items():
            (directory / name).write_bytes(content)
        complete = write_manifest(directory, _manifest(imported, made_by, where))
        if imported.shortlist is not None:
            digest = Artifact(directory, complete).tokenizer_digest
            _shortlist(imported, digest=digest).write(directory / SHORTLIST_NAME)
            complete = write_manifest(directory, complete)
    return Artifact(path, complete)


def _manifest(imported: Imported, made_by: Provenance, where: Path) -> Manifest:
    described = imported.tokenizer.description
    try:
        manifest = Manifest(
            format=format_of(imported.tensors),
            model=imported.architecture,
            languages=imported.languages,
            # LingoLite's own format is not spelled out, as in manifests from before there were others.
            tokenizer=msgspec.UNSET if described.kind == "lingolite" else described,
            trained_on=imported.trained_on,
            decoding=imported.decoding,
            made_by=made_by,
            quantization=imported.quantization,
            licence=msgspec.UNSET if imported.licence is None else imported.licence,
        )
        # Types and ranges are checked by reading, and this manifest is to be read.
        return msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest)
    except ValueError as error:
        raise LingoLiteError(
            f"{where} cannot become a bundle: {error}",
            hint="its configuration is damaged, or of another model than its vocabulary and weights",
        ) from None


def format_of(tensors: Mapping[str, Array]) -> str:
    """The format of a bundle of these tensors."""
    if any(name.endswith(INPUT_SCALE_SUFFIX) for name in tensors):
        return BUNDLE_STATIC_INT8
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if np.dtype(np.int8) in dtypes:
        return BUNDLE_INT8
    if np.dtype(np.float16) in dtypes:
        return BUNDLE_FP16
    return BUNDLE_BF16 if np.dtype(ml_dtypes.bfloat16) in dtypes else BUNDLE


def _check_shapes(imported: Imported, where: Path) -> None:
    wanted: dict[str, tuple[int, ...] | None] = dict(tensor_shapes(imported.architecture))
    tensors = imported.tensors
    for name, shape in list(wanted.items()):
        if name in tensors and tensors[name].dtype == np.int8 and shape is not None:
            wanted[name + SCALE_SUFFIX] = (shape[0], 1)
    beside = (INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX)
    wanted |= {name: (1,) for name in tensors if name.endswith(beside)}
    check_shapes({name: tensor.shape for name, tensor in tensors.items()}, wanted, where=where)


def _check_numbers(name: str, tensor: Array, where: Path) -> None:
    if tensor.dtype.kind in "iu":
        return
    flat = tensor.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        if not np.isfinite(flat[start : start + _BLOCK]).all():
            raise LingoLiteError(
                f"{where}: the tensor {name} has a number that is not finite",
                hint="the model was saved after its training had diverged, or the file is damaged",
            )


def _shortlist(imported: Imported, *, digest: str) -> Shortlist:
    found, model = imported.shortlist, imported.architecture
    assert found is not None
    is_shared = model.num_source_tokens == model.vocab_size
    return Shortlist(
        details=Details(
            languages=found.languages,
            tokenizer=digest,
            method=found.method,
            num_pairs=0,
            target_vocab_size=msgspec.UNSET if is_shared else model.vocab_size,
            multiple_of=msgspec.UNSET if found.multiple_of == 1 else found.multiple_of,
        ),
        frequent=found.frequent,
        candidates=found.candidates,
    )
