"""`device.json`: what the loops in Kotlin, Swift and Python read, so that they have no rule of a model in them.

Owns the layout. How the graphs of a format are described in it is the business of the module of that format.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.tokenization.ported import PortedTokenizer

DESCRIPTION_NAME = "device.json"

Role = Literal["source_ids", "source_mask", "tokens", "cross", "past", "position", "target_mask", "distances"]


class GraphInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a graph for one sentence.

    Attributes:
        name: in the graph.
        type: of its elements.
        role: what is fed: ids of the source; which of them are real; the last token; an output of the encoder with the
            same name; what the decoder keeps; how many target tokens were read before; which of these, and the last
            one, are real; or how far back each of them lies.
        shape: -1 for the one dimension that varies. Not used of `cross` and `past`.
    """

    name: str
    type: Literal["int64", "int32", "float32", "bool"]
    role: Role
    shape: tuple[int, ...] = ()


class GraphCall(msgspec.Struct, frozen=True, kw_only=True):
    """A graph.

    Attributes:
        run: its file, or its signature in the one file.
        inputs: in order.
        logits: the decoder's output with the scores of the next token; empty of the encoder.
    """

    run: str
    inputs: tuple[GraphInput, ...]
    logits: str = ""


class GraphState(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the decoder keeps between calls, at first zeros.

    Attributes:
        past: the input that it is fed as.
        present: the output that it comes from.
        shape: at first.
        is_placed: `present` is one row, to be put at the position along `axis` into what is there; otherwise it takes
            the place of the whole.
        axis: the one that grows.
    """

    past: str
    present: str
    shape: tuple[int, ...]
    is_placed: bool = False
    axis: int = 0


class Graphs(msgspec.Struct, frozen=True, kw_only=True):
    """How one sentence goes through the graphs.

    Attributes:
        encoder: run once a sentence.
        decoder: run once a target token.
        state: what it keeps.
        growth: rows by which states that are placed grow, so that shapes seldom change.
        masked: what is added to the score of a key that is not there, where masks are added.
    """

    encoder: GraphCall
    decoder: GraphCall
    state: tuple[GraphState, ...]
    growth: int = 0
    masked: float = 0.0


class DeviceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file.

    Attributes:
        schema: version of this layout.
        engine: format of the model files.
        settings: of ONNX Runtime's sessions on x86, where int8 products may saturate without them.
        tokenizer: frames and ids.
        decoding: greedy search.
        graphs: names, shapes and what is kept.
    """

    schema: Literal[1] = 1
    engine: str
    settings: dict[str, str] = {}
    tokenizer: PortedTokenizer
    decoding: DecodingOptions
    graphs: Graphs
