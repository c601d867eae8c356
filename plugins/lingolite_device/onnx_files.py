"""ONNX files in a device bundle: which go with an app, and how its loop calls them.

Owns what is read of `export_config.json`, which every ONNX artifact holds.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_device.description import GraphCall, GraphInput, Graphs, GraphState, Role

_CONFIG_NAME = "export_config.json"
_PORTABLE = "portable"
_PAST, _PRESENT, _CROSS = "past_", "present_", "cross_"
_ROLES: dict[str, Role] = {
    "source_ids": "source_ids",
    "source_mask": "source_mask",
    "tokens": "tokens",
    "position": "position",
}


_FIRST = {"batch": 1, "past": 0, "source": -1}
"""Sizes of named dimensions at first, for one sentence; -1 is the source's own."""


class _Value(msgspec.Struct, frozen=True):
    name: str
    dtype: str
    shape: tuple[int | str, ...]


class _Graph(msgspec.Struct, frozen=True):
    file: str
    inputs: tuple[_Value, ...]
    outputs: tuple[_Value, ...]


class _Config(msgspec.Struct, frozen=True):
    profile: str
    weights: str
    graphs: dict[str, _Graph]


def onnx_graphs(artifact: Artifact) -> Graphs:
    """How the portable graphs of an artifact are called for one sentence.

    Raises:
        LingoLiteError: it has no such graphs.
    """
    config = _read(artifact)
    encoder, decoder = config.graphs["encoder"], config.graphs["decoder"]
    state = [value for value in decoder.inputs if value.name.startswith(_PAST)]
    return Graphs(
        encoder=GraphCall(run=encoder.file, inputs=tuple(map(_input, encoder.inputs))),
        decoder=GraphCall(run=decoder.file, inputs=tuple(map(_input, decoder.inputs)), logits="logits"),
        state=tuple(
            GraphState(
                past=value.name,
                present=_PRESENT + value.name.removeprefix(_PAST),
                shape=tuple(_FIRST[size] if isinstance(size, str) else size for size in value.shape),
            )
            for value in state
        ),
    )


def onnx_settings(artifact: Artifact) -> dict[str, str]:
    """Settings of sessions on x86: without VNNI, ONNX Runtime's int8 products saturate unless it is told not to."""
    return {"session.x64quantprecision": "1"} if _read(artifact).weights == "int8" else {}


def _read(artifact: Artifact) -> _Config:
    where = artifact.path / _CONFIG_NAME
    try:
        config = msgspec.json.decode(artifact.read_bytes(_CONFIG_NAME), type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LingoLiteError(f"{where} describes no graphs: {error}", hint="export the bundle again") from None
    if config.profile != _PORTABLE:
        raise LingoLiteError(
            f"{artifact.path} has the profile `{config.profile}`, whose operators the packages for phones do not have",
            hint="export the bundle with the profile `portable`",
        )
    return config


def _input(value: _Value) -> GraphInput:
    role = _ROLES.get(value.name)
    if role is None:
        return GraphInput(name=value.name, type="float32", role="cross" if value.name.startswith(_CROSS) else "past")
    sizes = [_FIRST[size] if isinstance(size, str) else size for size in value.shape]
    return msgspec.convert({"name": value.name, "type": value.dtype, "role": role, "shape": sizes}, GraphInput)
