"""LiteRT files in a device bundle: how an app's loop calls the signatures `encode` and `decode`.

Owns the shapes for one sentence. They follow from the network's state alone, as the signatures themselves do.
"""

from __future__ import annotations

from lingolite_cli.architecture.architecture import NoPositions, Relative
from lingolite_cli.architecture.network import Kept, decoder_state, source_state
from lingolite_cli.artifact import Artifact
from lingolite_device.description import GraphCall, GraphInput, Graphs, GraphState

_GROWTH = 32
"""Shapes change every so many tokens: between, a step allocates nothing."""
_MASKED = -30000.0
_LENGTH_AXIS = 2


def litert_graphs(artifact: Artifact) -> Graphs:
    """How the signatures of an artifact's one file are called for one sentence."""
    model = artifact.manifest.model
    state = decoder_state(model)
    inputs = [
        GraphInput(name="tokens", type="int32", role="tokens", shape=(1,)),
        GraphInput(name="source_mask", type="float32", role="source_mask", shape=(1, 1, 1, -1)),
        *(GraphInput(name=f"cross_{one.name}", type="float32", role="cross") for one in source_state(model)),
    ]
    if any(one.kind == "key" for one in state):
        inputs.append(GraphInput(name="target_mask", type="float32", role="target_mask", shape=(1, 1, 1, -1)))
    if isinstance(model.positions, Relative):
        inputs.append(GraphInput(name="distances", type="int32", role="distances", shape=(-1,)))
    elif not isinstance(model.positions, NoPositions):
        inputs.append(GraphInput(name="position", type="int32", role="position", shape=(1,)))
    inputs += [GraphInput(name=f"past_{one.name}", type="float32", role="past") for one in state]
    return Graphs(
        encoder=GraphCall(
            run="encode", inputs=(GraphInput(name="source_ids", type="int32", role="source_ids", shape=(1, -1)),)
        ),
        decoder=GraphCall(run="decode", inputs=tuple(inputs), logits="logits"),
        state=tuple(map(_kept, state)),
        growth=_GROWTH,
        masked=_MASKED,
    )


def _kept(one: Kept) -> GraphState:
    past, present = f"past_{one.name}", f"new_{one.name}"
    if one.kind == "cell":
        return GraphState(past=past, present=present, shape=(1, one.width))
    shape = (1, one.heads, 0, one.width)
    return GraphState(past=past, present=present, shape=shape, is_placed=True, axis=_LENGTH_AXIS)
