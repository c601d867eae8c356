"""Options of the quantizers; cheap to import."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from lingolite_cli.training.options import Positive, TrainingOptions

Precision: TypeAlias = Literal["int4", "int8", "fp16", "fp32"]
PRECISIONS = ("int4", "int8", "fp16", "fp32")
"""Precisions that `mixed` supports, from the smallest."""


class GroupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights become 4-bit integers.

    Attributes:
        group_size: neighbours in a row that share a scale: 16, 32, 64 or 128. Smaller groups lose less and take more
            room, 4 bytes a group. It must divide the rows of every matrix.
        symmetric: store no zero points, which take half a byte a group; a group's range is then as wide to both sides.
    """

    group_size: Literal[16, 32, 64, 128] = 32
    symmetric: bool = False


class Int4Options(GroupOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights become 4-bit integers, and how many bits the embeddings have.

    Attributes:
        embedding_bits: 4 or 8, of the embeddings and the output projection. In a small model the embedding in 4 bits
            costs as much quality as all other matrices together. In 8 bits it is symmetric, in groups of up to 128.
    """

    embedding_bits: Literal[4, 8] = 4


class MixedOptions(GroupOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which matrix has which precision, and how weights become 4-bit integers.

    Attributes:
        default: the precision of matrices that no pattern names: int4, int8, fp16 or fp32. int8 is symmetric, in groups
            of up to 128.
        layers: from patterns over the names of matrices, such as `decoder.layers.1.ffn.*`, to precisions. Of several
            that match a matrix, the one with the most characters that are not wildcards decides.
    """

    default: Precision = "int4"
    layers: dict[str, Precision] = {}


class QatInt8Options(TrainingOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is fine-tuned with fake quantization: options of training, with defaults for a model that is good.

    Rounding costs little, and a training that moves the weights far costs more than it could win back: rates of 1e-4
    made the starter worse, float or int8, and so did label smoothing. So steps are small, and nothing is smoothed.

    Attributes:
        qconfig: `fbgemm` gives each row of a matrix a scale, `qnnpack` each matrix.
    """

    qconfig: Literal["fbgemm", "qnnpack"] = "fbgemm"
    learning_rate: Annotated[float, Meta(gt=0.0)] = 2e-5
    warmup_steps: Positive = 10
    label_smoothing: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    max_steps: Positive | None = 100
    checkpoint_every: Positive = 25
    average: Positive = 4
    log_every: Positive = 10
