"""Options of the quantizers; cheap to import."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lingolite_cli.training.options import Positive, TrainingOptions


class Int4Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights become 4-bit integers.

    Attributes:
        group_size: neighbours in a row that share a scale: 16, 32, 64 or 128. Smaller groups lose less and take more
            room, 4 bytes a group. It must divide the rows of every matrix.
        symmetric: store no zero points, which take half a byte a group; a group's range is then as wide to both sides.
        embedding_bits: 4 or 8, of the embeddings and the output projection. In a small model the embedding in 4 bits
            costs as much quality as all other matrices together. In 8 bits it is symmetric, in groups of up to 128.
    """

    group_size: Literal[16, 32, 64, 128] = 32
    symmetric: bool = False
    embedding_bits: Literal[4, 8] = 4


class QatInt8Options(TrainingOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is fine-tuned with fake quantization: options of training, and of the integers.

    Attributes:
        qconfig: `fbgemm` gives each row of a matrix a scale, `qnnpack` each matrix.
    """

    qconfig: Literal["fbgemm", "qnnpack"] = "fbgemm"
    learning_rate: Annotated[float, Meta(gt=0.0)] = 2e-5
    warmup_steps: Positive = 20
    max_steps: Positive | None = 200
    checkpoint_every: Positive = 50
    average: Positive = 4
    log_every: Positive = 10
