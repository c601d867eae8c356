"""Training checkpoints: every shape in which LingoLite models exist, read without running code from them.

Owns which mappings are a checkpoint and where its sizes come from, and turns it into a configuration and the tensors of
a bundle. What single tensors may be is `lingolite_cli.model.checkpoint_tensors`'s; making the bundle is
`lingolite_cli.model.bundle`'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from lingolite_cli.architecture.architecture import PRESETS, Architecture
from lingolite_cli.architecture.architecture import preset as preset_config
from lingolite_cli.architecture.parts import ENCODER_EMBEDDING, TIED, WEIGHT_SUFFIX, encoder_layer, tied_layers
from lingolite_cli.architecture.tensors import count_layers, tensor_shapes, vocabulary_keys
from lingolite_cli.errors import LingoLiteError, did_you_mean, out_of_memory
from lingolite_cli.model.checkpoint_tensors import check_archive, check_tensor, unwrapped
from lingolite_cli.weights.bundle import check_shapes

_EMBEDDING = ENCODER_EMBEDDING + WEIGHT_SUFFIX
_FIRST = encoder_layer(Architecture(), 0)
_UP = _FIRST.feed_forward.up.weight
_KEY = _FIRST.self_attention.key.weight


class Checkpoint(msgspec.Struct, frozen=True):
    """A model's configuration and its tensors under the names of a bundle, float32, tied copies left out."""

    config: Architecture
    tensors: dict[str, Tensor]


def read_checkpoint(
    path: str | Path,
    *,
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    preset: str | None = None,
    max_seq_len: int | None = None,
) -> Checkpoint:
    """Read `{"model_state_dict", "config"}`, the same without `config`, or a bare state dict.

    Sizes that a configuration does not give are read from the shapes of the tensors. The number of heads
    cannot be: it comes from `n_heads` or the preset.

    Args:
        path: a file written by `torch.save`.
        n_heads: attention heads; must agree with the checkpoint's configuration if it has one.
        n_kv_heads: key/value heads; by default from the shape of the matrix of keys.
        preset: name of a preset to take the number of heads and positions from.
        max_seq_len: positions; by default those of the configuration, the preset, or 512.

    Raises:
        LingoLiteError: it is not a checkpoint, a size is missing or contradicted, or tensors are missing,
            unexpected, mis-shaped or not numbers; the message names them.
    """
    path = Path(path)
    content = _load(path)
    state = _state_dict(content, path)
    for name, tensor in state.items():
        check_tensor(name, tensor, where=path)
    shapes = _sizes_from_shapes(state, path)
    from_preset = _sizes_from_preset(preset, shapes["d_model"])
    passed = {"n_heads": n_heads, "n_kv_heads": n_kv_heads, "max_seq_len": max_seq_len}
    passed = {name: value for name, value in passed.items() if value is not None}
    stored = _stored_sizes(content, path)
    _check_heads({**from_preset, **passed}, stored, path)
    # Later ones win: what the user says over what the file says over what shapes suggest.
    sizes = {**shapes, **from_preset, **stored, **passed}
    config = _config(_with_heads(sizes, state, path), path)
    _check_shapes(state, config, path)
    return Checkpoint(config, _bundle_tensors(state, config, path))


def _load(path: Path) -> Mapping[str, Any]:
    """The top-level mapping. `weights_only` keeps torch from running code that the file names."""
    if path.is_dir():
        raise LingoLiteError(f"{path} is a directory, not a checkpoint", hint="pass the .pt file")
    if not path.exists():
        raise LingoLiteError(f"no checkpoint at {path}")
    if not path.is_file():
        raise LingoLiteError(f"{path} is not a regular file", hint="save the checkpoint to a file first")
    check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors that are refused by name below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is not a checkpoint can fail in any way
        if (found := out_of_memory(error)) is not None:
            raise found from error
        # Not the reason: torch's own words advise to read the file unsafely.
        raise LingoLiteError(
            f"{path} cannot be read as a checkpoint: it is damaged, or holds more than tensors and plain values",
            hint="a checkpoint is written by torch.save; objects in it would run code when read, and are refused",
        ) from error
    if not isinstance(content, Mapping):
        raise LingoLiteError(
            f"{path} holds a {type(content).__name__}, not a checkpoint",
            hint='expected {"model_state_dict": …, "config": …} or a state dict',
        )
    return content


def _state_dict(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    state = content.get("model_state_dict", content)
    names = state if isinstance(state, Mapping) else {}
    problem = next(filter(None, (_entry_problem(name, value) for name, value in names.items())), None)
    if problem or not names:
        raise LingoLiteError(
            f"{path} holds no state dict: {problem or 'it has no tensors'}",
            hint=_state_dict_hint(content),
        )
    return unwrapped(names, where=path)


def _entry_problem(name: object, value: object) -> str | None:
    if not isinstance(name, str):
        return f"its key {_shortened(name)} is of type {type(name).__name__}, not the name of a parameter"
    return None if isinstance(value, Tensor) else f"`{_shortened(name)}` is not a tensor"


def _shortened(value: object, most: int = 100) -> str:
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _state_dict_hint(content: Mapping[Any, Any]) -> str:
    """Where the tensors are, if they are under another key than that of LingoLite's checkpoints."""
    expected = 'expected {"model_state_dict": …, "config": …} or a state dict'
    for key, value in content.items():
        if isinstance(value, Mapping) and value and all(isinstance(part, Tensor) for part in value.values()):
            return f'{expected}; the tensors are under {key!r}: torch.save(checkpoint[{key!r}], "weights.pt")'
    return f"{expected}: torch.save(model.state_dict(), FILE) writes one"


def _sizes_from_shapes(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """The fields of a `Architecture` that names and shapes tell."""
    for name in (_EMBEDDING, _UP, _KEY):
        if name not in state or state[name].dim() != 2:
            raise LingoLiteError(
                f"{path} is not a LingoLite checkpoint: it has no matrix `{name}`",
                hint="expected the parameter names of LingoLite's encoder and decoder",
            )
    return {
        "vocab_size": state[_EMBEDDING].shape[0],
        "d_model": state[_EMBEDDING].shape[1],
        "d_ff": state[_UP].shape[0],
        "n_encoder_layers": count_layers(state, "encoder"),
        "n_decoder_layers": count_layers(state, "decoder"),
        "tie_embeddings": all(_is_copy(state, layer + WEIGHT_SUFFIX) for layer in TIED),
    }


def _sizes_from_preset(name: str | None, d_model: int) -> dict[str, Any]:
    """What shapes cannot tell; key/value heads follow from shapes and heads."""
    if name is None:
        return {}
    config = preset_config(name)
    if config.d_model != d_model:
        raise LingoLiteError(
            f"the preset `{name}` has d_model {config.d_model}, the checkpoint {d_model}",
            hint="pass --n-heads N instead",
        )
    return {"n_heads": config.n_heads, "max_seq_len": config.max_seq_len}


def _stored_sizes(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The checkpoint's own configuration; empty when it has none."""
    stored = content.get("config")
    if stored is None:
        return {}
    if not isinstance(stored, Mapping):
        raise LingoLiteError(f"the config in {path} is a {type(stored).__name__}, not a mapping")
    for name in stored:
        if name not in Architecture.__struct_fields__:
            raise LingoLiteError(
                f"unknown field `{name}` in the config of {path}",
                hint=did_you_mean(str(name), Architecture.__struct_fields__),
            )
    return dict(stored)


def _check_heads(told: Mapping[str, Any], stored: Mapping[str, Any], path: Path) -> None:
    """Refuse a number of heads that contradicts the checkpoint: it would load, and translate nonsense."""
    for name in ("n_heads", "n_kv_heads"):
        if name in told and name in stored and told[name] != stored[name]:
            raise LingoLiteError(
                f"{path} says {name} {stored[name]}, but {told[name]} was asked for",
                hint=f"leave out --{name.replace('_', '-')} and --preset",
            )


def _is_copy(state: Mapping[str, Tensor], name: str) -> bool:
    """Whether `name` is absent or holds the shared embedding."""
    return name not in state or torch.equal(state[name], state[_EMBEDDING])


def _with_heads(sizes: dict[str, Any], state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Add the key/value heads that the shape of the matrix of keys tells, once the heads are known."""
    d_model = sizes["d_model"]
    if "n_heads" not in sizes:
        fitting = [f"{name} has {shape.n_heads}" for name, shape in PRESETS.items() if shape.d_model == d_model]
        raise LingoLiteError(
            f"{path} does not tell its number of attention heads: no config says it, and shapes do not show it",
            hint="; ".join(["pass --n-heads N or --preset NAME", *fitting]),
        )
    n_heads, kv_dim = sizes["n_heads"], state[_KEY].shape[0]
    # A size that is wrong in itself is left to `Architecture`, which says so by name.
    if "n_kv_heads" in sizes or not isinstance(n_heads, int) or n_heads < 1 or d_model % n_heads:
        return sizes
    head_dim = d_model // n_heads
    if kv_dim % head_dim:
        raise LingoLiteError(
            f"`{_KEY}` of {path} has {kv_dim} rows, which is not a multiple of head_dim {head_dim} (d_model / n_heads)",
            hint="the number of heads is another one; pass --n-heads N",
        )
    return {**sizes, "n_kv_heads": kv_dim // head_dim}


def _config(sizes: dict[str, Any], path: Path) -> Architecture:
    try:
        return msgspec.convert(sizes, Architecture)
    except (msgspec.ValidationError, ValueError) as error:
        raise LingoLiteError(
            f"the sizes of {path} do not fit together: {error}", hint="check --n-heads and --n-kv-heads"
        ) from None


def _check_shapes(state: Mapping[str, Tensor], config: Architecture, path: Path) -> None:
    """Compare shapes before any tensor is converted, which takes memory for what it claims."""
    copies = {layer + WEIGHT_SUFFIX for layer in tied_layers(config)}
    found = {name: tuple(tensor.shape) for name, tensor in state.items() if name not in copies}
    check_shapes(found, tensor_shapes(config), where=path)


def _bundle_tensors(state: Mapping[str, Tensor], config: Architecture, path: Path) -> dict[str, Tensor]:
    """float32 tensors; the copies of a tied embedding are checked and left out."""
    copies = [layer + WEIGHT_SUFFIX for layer in tied_layers(config)]
    for name in copies:
        if not _is_copy(state, name):
            raise LingoLiteError(
                f"{path} says tie_embeddings, but `{name}` differs from `{_EMBEDDING}`",
                hint="the checkpoint contradicts itself; set tie_embeddings to false in its config",
            )
    kept = {name: value for name, value in state.items() if name not in copies}
    return {name: value.detach().to(torch.float32).contiguous() for name, value in kept.items()}


def without_padding(checkpoint: Checkpoint, num_pieces: int) -> Checkpoint:
    """A checkpoint whose vocabulary was padded to a multiple, with the rows of the tokenizer's pieces alone.

    Trainers round the vocabulary up for speed. No text has the ids beyond the last piece, and no training taught the
    model to write them. Where the tokenizer does not have a few pieces less, the checkpoint stays as it is.

    Args:
        checkpoint: the model.
        num_pieces: of its tokenizer.
    """
    config = checkpoint.config
    multiples = (1 << power for power in range(3, 11))
    if not any(-(-num_pieces // multiple) * multiple == config.vocab_size > num_pieces for multiple in multiples):
        return checkpoint
    tensors = dict(checkpoint.tensors)
    for key in vocabulary_keys(config):
        tensors[key] = tensors[key][:num_pieces].contiguous()
    return Checkpoint(msgspec.structs.replace(config, vocab_size=num_pieces), tensors)
