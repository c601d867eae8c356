"""Core ML packages in a device bundle: how an app's loop calls the functions `encode` and `decode`.

Owns what is read of the manifest's details, and the shapes for one sentence. States are Core ML's own: the runtime
makes new ones with each `encode`, and the loop keeps nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lingolite_cli.architecture.network import Kept, decoder_state, source_state
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_device.description import GraphCall, GraphInput, Graphs, GraphState


class _Details(msgspec.Struct, frozen=True):
    cache: Literal["state", "buffers"]
    shapes: Literal["flexible", "fixed"]
    max_seq_len: int


def coreml_graphs(artifact: Artifact) -> Graphs:
    """How the functions of an artifact are called for one sentence.

    Raises:
        LingoLiteError: its sources are padded to a fixed length.
    """
    details = msgspec.convert(artifact.manifest.details, _Details)
    if details.shapes == "fixed":
        raise LingoLiteError(
            f"{artifact.path} pads sources to a fixed length, which the loop does not",
            hint="export the bundle with the option shapes=flexible",
        )
    model = artifact.manifest.model
    state = decoder_state(model) if details.cache == "buffers" else ()
    return Graphs(
        encoder=GraphCall(
            run="encode", inputs=(GraphInput(name="source_ids", type="int32", role="source_ids", shape=(1, -1)),)
        ),
        decoder=GraphCall(
            run="decode",
            inputs=(
                GraphInput(name="token", type="int32", role="tokens", shape=(1, 1)),
                GraphInput(name="position", type="int32", role="position", shape=(1,)),
                *(GraphInput(name=f"cross_{one.name}", type="float32", role="cross") for one in source_state(model)),
                *(GraphInput(name=f"past_{one.name}", type="float32", role="past") for one in state),
            ),
            logits="logits",
        ),
        state=tuple(_kept(one, details.max_seq_len) for one in state),
    )


def _kept(one: Kept, positions: int) -> GraphState:
    shape = (1, 1, one.width) if one.kind == "cell" else (1, one.heads, positions, one.width)
    return GraphState(past=f"past_{one.name}", present=f"present_{one.name}", shape=shape)
