"""A Hugging Face directory: its configurations, and its weights by name, from safetensors or from pickles.

Owns how tensors come into memory: those of safetensors lie in the pages of the files, and pickles are read by PyTorch
with `weights_only=True`, which runs no code. What the tensors are for is the business of the families beside it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import LARGEST
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.extras import TORCH, require
from lingolite_cli.weights.bundle import read_tensor_file
from lingolite_importers.reading import is_file

_LARGEST_JSON = 64 << 20
_LARGEST_SIZE = max(LARGEST.values())
"""Each size of a network has a limit of its own; sizes are computed with before it is asked."""
_HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_DAMAGED = "the directory is damaged or half-copied; copy it again"


class Directory(msgspec.Struct, frozen=True):
    """A directory.

    Attributes:
        path: the directory.
        config: `config.json`.
        generation: `generation_config.json`; older directories have none, and say in `config` what it would say.
        tokenizer: `tokenizer_config.json`.
    """

    path: Path
    config: Mapping[str, Any]
    generation: Mapping[str, Any]
    tokenizer: Mapping[str, Any]

    def setting(self, key: str, default: Any = None) -> Any:
        """How the model generates; as in transformers, one file says all of it."""
        return (self.generation or self.config).get(key, default)

    def size(self, key: str) -> int:
        """A size of `config.json`.

        Raises:
            LingoLiteError: it is not there, or is not a positive number.
        """
        value = self.config.get(key)
        if type(value) is not int or not 1 <= value <= _LARGEST_SIZE:
            raise LingoLiteError(f"{self.path / 'config.json'} has {key} {value!r}, not a size", hint=_DAMAGED)
        return value

    def number(self, key: str, default: float) -> float:
        """A number of `config.json`.

        Raises:
            LingoLiteError: it is not one.
        """
        value = self.config.get(key, default)
        if type(value) not in (int, float):
            raise LingoLiteError(f"{self.path / 'config.json'} has {key} {value!r}, not a number", hint=_DAMAGED)
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """A truth value of `config.json`.

        Raises:
            LingoLiteError: it is not one.
        """
        value = self.config.get(key, default)
        if type(value) is not bool:
            raise LingoLiteError(f"{self.path / 'config.json'} has {key} {value!r}, not true or false", hint=_DAMAGED)
        return value

    def token_id(self, key: str, default: int | None = None) -> int:
        """An id of `config.json`.

        Raises:
            LingoLiteError: it is not one.
        """
        value = self.config.get(key, default)
        if type(value) is not int:
            raise LingoLiteError(f"{self.path / 'config.json'} has {key} {value!r}, not an id", hint=_DAMAGED)
        return value

    def file(self, *names: str) -> Path:
        """The first of these files that is there.

        Raises:
            LingoLiteError: none is.
        """
        for name in names:
            if is_file(self.path / name):
                return self.path / name
        raise LingoLiteError(f"{self.path} has no {' or '.join(names)}", hint="copy all files of the model")


def open_directory(path: Path) -> Directory:
    """Read the configurations in `path`.

    Raises:
        LingoLiteError: there is no config.json, or a file is not a JSON table.
    """
    if not is_file(path / "config.json"):
        raise LingoLiteError(f"{path} has no config.json", hint="expected a directory of save_pretrained")
    names = ("config.json", "generation_config.json", "tokenizer_config.json")
    return Directory(path, *(read_table(path / name) if is_file(path / name) else {} for name in names))


def read_table(path: Path) -> dict[str, Any]:
    """A JSON table.

    Raises:
        LingoLiteError: the file cannot be read, is too large, or is not one.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise LingoLiteError(f"{path} has {path.stat().st_size:,} bytes", hint=_DAMAGED)
        table = json.loads(path.read_bytes())
        json.dumps(table, ensure_ascii=False).encode()  # escapes may spell half a character, which no file can hold
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise LingoLiteError(f"{path} is not JSON: {str(error)[:200]}", hint=_DAMAGED) from None
    if not isinstance(table, dict):
        raise LingoLiteError(f"{path} is not a table", hint=_DAMAGED)
    return table


def weight_files(path: Path) -> list[Path]:
    """The files of the weights.

    Raises:
        LingoLiteError: there are none, or one that the index names is missing or lies elsewhere.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = path / f"{name}.index.json"
        if is_file(path / name):
            return [path / name]
        if is_file(index):
            return list(_shards(index))
    raise LingoLiteError(
        f"{path} has no model.safetensors and no pytorch_model.bin", hint="copy all files of the model"
    )


def _shards(index: Path) -> Iterator[Path]:
    weight_map = read_table(index).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise LingoLiteError(f"{index} names no files beside it", hint=_DAMAGED)
    for name in sorted(set(names)):
        if not is_file(index.parent / name):
            raise LingoLiteError(f"{index.parent / name} is missing, which {index.name} names", hint=_DAMAGED)
        yield index.parent / name


def read_weights(files: list[Path]) -> dict[str, Array]:
    """The tensors of the files by name, as they are stored.

    Raises:
        LingoLiteError: a file cannot be read, would run code, or holds something else than floats.
    """
    found: dict[str, Array] = {}
    for file in files:
        for name, tensor in (_pickled(file) if file.suffix == ".bin" else read_tensor_file(file)).items():
            if name in found:
                raise LingoLiteError(f"{file} has the tensor {name}, which another file has too", hint=_DAMAGED)
            found[name] = tensor
    return found


def _pickled(path: Path) -> dict[str, Array]:
    require(TORCH, what=f"{path}, a pickle,")
    import torch

    from lingolite_cli.model.checkpoint_tensors import check_archive, check_tensor

    check_archive(path)
    try:
        # Mapped, as safetensors are; files from before torch 1.6 cannot be.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a file that is not one can fail in any way
        raise LingoLiteError(
            f"{path} cannot be read: it is damaged, or holds more than tensors",
            hint="objects in a pickle would run code when read, and are refused; save the model as safetensors",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise LingoLiteError(f"{path} is not a state dict", hint="save the model with save_pretrained")
    for name, tensor in state.items():
        check_tensor(name, tensor, where=path)
    return {name: _array(tensor) for name, tensor in state.items()}


def _array(tensor: Any) -> Array:
    import torch

    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:  # numpy's bfloat16 is a stranger to PyTorch, but its bits are not
        bits: Array = plain.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return bits
    array: Array = plain.numpy()
    return array


def in_one_precision(tensors: Mapping[str, Array], *, where: Path) -> dict[str, Array]:
    """Matrices in 16 bits where all are, in float32 otherwise; everything else in float32.

    Raises:
        LingoLiteError: a tensor is not of floats.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in (*_HALF, np.float32, np.float64):
            raise LingoLiteError(
                f"{where}: {name} has the type {tensor.dtype}, not a float",
                hint="save the model without the quantization of another library",
            )
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.ndim == 2}
    is_half = len(kinds) == 1 and next(iter(kinds)) in _HALF
    return {
        name: tensor if is_half and tensor.ndim == 2 else tensor.astype(np.float32, copy=False)
        for name, tensor in tensors.items()
    }
