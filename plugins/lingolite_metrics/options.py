"""Options of the metrics; those of sacreBLEU keep its names and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class BleuOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `bleu`.

    Attributes:
        tokenize: one of sacreBLEU's tokenizers that need no further package or download.
        lowercase: score without regard to case.
        smooth_method: what an n-gram order without a match counts as (Chen and Cherry 2014, W14-3346).
        smooth_value: the constant of `floor` (0.1 by default) and `add-k` (1 by default).
    """

    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"
    lowercase: bool = False
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    smooth_value: Annotated[float, Meta(ge=0.0)] | None = None

    def __post_init__(self) -> None:
        if self.smooth_value is not None and self.smooth_method not in ("floor", "add-k"):
            raise ValueError(f"smooth_method `{self.smooth_method}` takes no smooth_value")


class ChrfOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `chrf`.

    Attributes:
        char_order: longest character n-gram.
        word_order: longest word n-gram; 0 gives chrF, 2 gives chrF++.
        beta: how much more recall counts than precision; 2 gives chrF2.
        lowercase: score without regard to case.
        whitespace: count spaces as characters.
    """

    char_order: Annotated[int, Meta(ge=1)] = 6
    word_order: Annotated[int, Meta(ge=0)] = 0
    beta: Annotated[int, Meta(ge=1)] = 2
    lowercase: bool = False
    whitespace: bool = False


class ChrfppOptions(ChrfOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `chrfpp`: those of `chrf`, with words.

    Attributes:
        word_order: longest word n-gram; 2 gives chrF++.
    """

    word_order: Annotated[int, Meta(ge=1)] = 2


class TerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `ter`.

    Attributes:
        case_sensitive: tell upper from lower case.
        normalized: tokenize punctuation as Tercom does.
        no_punct: leave punctuation out.
        asian_support: split Chinese and Japanese characters, with `normalized` or `no_punct`.
    """

    case_sensitive: bool = False
    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False

    def __post_init__(self) -> None:
        if self.asian_support and not (self.normalized or self.no_punct):
            raise ValueError("asian_support has an effect only with normalized or no_punct")


class ExactMatchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `exact-match`.

    Attributes:
        lowercase: compare without regard to case.
    """

    lowercase: bool = False


class LengthRatioOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `length-ratio`.

    Attributes:
        unit: what is counted; words are what white space separates.
    """

    unit: Literal["characters", "words"] = "characters"


class CometOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `comet`.

    Attributes:
        checkpoint: a COMET checkpoint, such as `wmt22-comet-da/checkpoints/model.ckpt`, with `hparams.yaml` above it.
        encoder: directory with tokenizer and configuration of its encoder; default: the one of that name in the cache
            of transformers.
        batch_size: sentences at a time.
        device: `cpu`, or `cuda`.
    """

    checkpoint: str
    encoder: str | None = None
    batch_size: Annotated[int, Meta(ge=1)] = 16
    device: str = "cpu"

    def __post_init__(self) -> None:
        path = Path(self.checkpoint)
        if not path.is_file():
            raise ValueError(f"no such checkpoint: {path}; nothing is downloaded")
        if not (path.absolute().parents[1] / "hparams.yaml").is_file():
            raise ValueError(f"there is no hparams.yaml in {path.absolute().parents[1]}")
        if self.encoder is not None and not Path(self.encoder).is_dir():
            raise ValueError(f"no such directory: {self.encoder}")

    def files(self) -> list[Path]:
        """The files that scores depend on, without an encoder in the cache of transformers."""
        path = Path(self.checkpoint)
        encoder = [] if self.encoder is None else [file for file in Path(self.encoder).rglob("*") if file.is_file()]
        return [path, path.absolute().parents[1] / "hparams.yaml", *encoder]
