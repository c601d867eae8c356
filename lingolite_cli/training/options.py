"""The options of training, and the struct that names text to train on. Imports nothing heavy: recipes have these."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lingolite_cli.corpora.artifact import manifest_of

MOST = 2**31 - 1
"""No count of anything is larger: engines hold them in 32 bits."""

Positive = Annotated[int, Meta(ge=1, le=MOST)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class _Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PairsSpec(_Options, frozen=True, kw_only=True):
    """Text to train on.

    Attributes:
        pairs: a TSV file (source, target, then any columns), or two aligned files, plain or gzip; or a corpus.
        short_share: share of its short pairs in an epoch, drawn anew for each; `TextOptions` says what is short.
    """

    pairs: str | tuple[str, str]
    short_share: Share = 1.0

    def paths(self, root: Path) -> list[Path]:
        """The one or two files, below `root` where they are relative; of a corpus, its manifest."""
        names = (self.pairs,) if isinstance(self.pairs, str) else self.pairs
        return [manifest_of(root / name) for name in names]


class TextOptions(_Options, frozen=True, kw_only=True):
    """Which pairs are trained on.

    Attributes:
        max_tokens: longest source (with its frame) and target (with `</s>`); None is the model's positions. A longer
            pair is bad data: half a sentence has no translation.
        on_bad_data: `skip` counts and reports bad rows and goes on; `refuse` fails on the first.
        short_words: a pair is short if its source has at most this many words.
    """

    max_tokens: Positive | None = None
    on_bad_data: Literal["skip", "refuse"] = "skip"
    short_words: Positive = 4


class ScratchOptions(_Options, frozen=True, kw_only=True):
    """A model that starts from nothing.

    Attributes:
        preset: sizes to start from.
        architecture: keys of `Architecture` over the preset's; `vocab_size` is the tokenizer's.
        vocab_size: pieces of the SentencePiece model that is trained on the text, control tokens included.
    """

    preset: str = "tiny"
    architecture: dict[str, Any] = {}
    vocab_size: Positive = 8000


class TrainingOptions(_Options, frozen=True, kw_only=True):
    """How the weights are trained.

    Attributes:
        batch_tokens: most tokens of a batch on its longer side, padding included.
        accumulate: batches whose gradients make one step.
        learning_rate: the highest, reached after `warmup_steps` of linear growth.
        schedule: what follows the warm-up; `cosine` falls to 0 at `max_steps`.
        betas: of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
        weight_decay: of the matrices; norms and embeddings have none.
        label_smoothing: share of each target's probability that is spread over the vocabulary.
        clip_norm: largest norm of the gradient.
        dropout: None keeps the model's own.
        precision: `bfloat16` computes under autocast, `auto` does where the hardware has it.
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
        max_steps: the end, in steps from the very start.
        max_minutes: the end, in minutes of training, those before a resumption included.
        patience: the end, in checkpoints that did not improve on the dev text.
        checkpoint_every: steps between checkpoints; the dev text is scored at each.
        average: number of last checkpoints whose weights are averaged at the end; 1 averages nothing.
        log_every: steps between lines of the metrics file.
    """

    batch_tokens: Positive = 4096
    accumulate: Positive = 1
    learning_rate: Annotated[float, Meta(gt=0.0)] = 1e-3
    warmup_steps: Positive = 500
    schedule: Literal["inverse-sqrt", "cosine", "constant"] = "inverse-sqrt"
    betas: tuple[Share, Share] = (0.9, 0.98)
    weight_decay: Annotated[float, Meta(ge=0.0)] = 0.01
    label_smoothing: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.1
    clip_norm: Annotated[float, Meta(gt=0.0)] = 1.0
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] | None = None
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    device: str = "cpu"
    max_steps: Positive | None = None
    max_minutes: Annotated[float, Meta(gt=0.0)] | None = None
    patience: Positive | None = None
    checkpoint_every: Positive = 500
    average: Positive = 1
    log_every: Positive = 50

    def __post_init__(self) -> None:
        if self.schedule == "cosine" and (self.max_steps is None or self.max_steps <= self.warmup_steps):
            raise ValueError("schedule `cosine` needs max_steps, and more of them than warmup_steps")
