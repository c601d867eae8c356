"""Opening tokenizers: the class for each kind that a manifest names.

Owns the table of kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.artifact import (
    TARGET_TOKENIZER_NAME,
    TARGET_VOCABULARY_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
    Artifact,
)
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import (
    LINGOLITE,
    PIECES_AND_VOCABULARY,
    SENTENCEPIECE,
    TokenizerDescription,
)
from lingolite_cli.tokenization.foreign import ForeignTokenizer
from lingolite_cli.tokenization.lingolite import LingoLiteTokenizer
from lingolite_cli.tokenization.processors import load_processor
from lingolite_cli.tokenization.sides import ListSide, ModelSide, PieceSide, read_list
from lingolite_cli.tokenization.tokenizer import Tokenizer


class TokenizerFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a tokenizer in memory.

    Attributes:
        path: of the SentencePiece model of sources, or of both sides, for messages; the others lie beside it.
        contents: by name; see `lingolite_cli.artifact.TOKENIZER_NAMES`.
    """

    path: Path
    contents: Mapping[str, bytes]

    def where(self, name: str) -> Path:
        """The file called `name`, for messages."""
        return self.path if name == TOKENIZER_NAME else self.path.with_name(name)

    def content(self, name: str) -> bytes:
        """What is in the file called `name`.

        Raises:
            LingoLiteError: it is missing.
        """
        if name not in self.contents:
            raise LingoLiteError(f"{self.where(name)} is missing", hint="make or copy the artifact again")
        return self.contents[name]

    def of_sides(self, source: str, target: str) -> tuple[str, str]:
        """Names of what sources and targets are read with: `target` is `source` where there is no such file."""
        return source, target if target in self.contents else source


def tokenizer_files(artifact: Artifact) -> TokenizerFiles:
    """The files of an artifact's tokenizer. Raises as `Artifact.read_bytes` does."""
    return TokenizerFiles(
        path=artifact.path / TOKENIZER_NAME,
        contents={name: artifact.read_bytes(name) for name in {TOKENIZER_NAME, *artifact.tokenizer_names}},
    )


def open_tokenizer(artifact: Artifact) -> Tokenizer:
    """The tokenizer of an artifact; kind, frame and ids are those of its manifest.

    Raises:
        LingoLiteError: this version has no such kind, or the files are not what the manifest says.
    """
    manifest, files = artifact.manifest, tokenizer_files(artifact)
    tokenizer = build_tokenizer(files, manifest.tokenizer_description, manifest.languages)
    model = manifest.model
    for pieces, rows in (
        (tokenizer.source_pieces, model.num_source_tokens),
        (tokenizer.target_pieces, model.vocab_size),
    ):
        if len(pieces) != rows:
            raise LingoLiteError(
                f"{files.path} has {len(pieces):,} pieces, and the model {rows:,}",
                hint="the tokenizer is another model's; make or copy the artifact again",
            )
    return tokenizer


def read_tokenizer(
    path: str | Path, description: TokenizerDescription = LINGOLITE, *, languages: Sequence[str] = ()
) -> Tokenizer:
    """A tokenizer that is not in an artifact yet.

    Args:
        path: its file.
        description: its kind, special ids and frame.
        languages: of the model; see `LingoLiteTokenizer`.

    Raises:
        LingoLiteError: this version has no such kind, or the file is not what the description says.
    """
    path = Path(path)
    try:
        model = path.read_bytes()
    except FileNotFoundError:
        raise LingoLiteError(f"no tokenizer at {path}") from None
    except OSError as error:
        raise LingoLiteError(f"cannot read the tokenizer {path}: {error.strerror}") from None
    return build_tokenizer(TokenizerFiles(path=path, contents={TOKENIZER_NAME: model}), description, languages)


def build_tokenizer(files: TokenizerFiles, description: TokenizerDescription, languages: Sequence[str]) -> Tokenizer:
    """A tokenizer of what is in memory.

    Raises:
        LingoLiteError: this version has no such kind, or the files are not what the description says.
    """
    try:
        make = _KINDS[description.kind]
    except KeyError:
        raise LingoLiteError(
            f"unknown kind of tokenizer `{description.kind}` of {files.path}",
            hint=did_you_mean(description.kind, _KINDS),
        ) from None
    return make(files, description, languages)


def _lingolite(files: TokenizerFiles, description: TokenizerDescription, languages: Sequence[str]) -> Tokenizer:
    return LingoLiteTokenizer(files.content(TOKENIZER_NAME), description, where=files.path, languages=languages)


def _sentencepiece(files: TokenizerFiles, description: TokenizerDescription, languages: Sequence[str]) -> Tokenizer:
    def side(name: str) -> PieceSide:
        processor = load_processor(files.content(name), where=files.where(name))
        return ModelSide(processor, description.rules, unknown=description.ids.unknown, where=files.where(name))

    sides = {name: side(name) for name in files.of_sides(TOKENIZER_NAME, TARGET_TOKENIZER_NAME)}
    source, target = (sides[name] for name in files.of_sides(TOKENIZER_NAME, TARGET_TOKENIZER_NAME))
    return ForeignTokenizer(description, source=source, target=target, languages=languages, where=files.path)


def _pieces_and_vocabulary(
    files: TokenizerFiles, description: TokenizerDescription, languages: Sequence[str]
) -> Tokenizer:
    models = files.of_sides(TOKENIZER_NAME, TARGET_TOKENIZER_NAME)
    lists = files.of_sides(VOCABULARY_NAME, TARGET_VOCABULARY_NAME)

    def side(model: str, pieces: str) -> PieceSide:
        where = files.where(pieces)
        processor = load_processor(files.content(model), where=files.where(model))
        return ListSide(processor, read_list(files.content(pieces), where=where), where=where)

    sides = {names: side(*names) for names in zip(models, lists, strict=True)}
    source, target = (sides[names] for names in zip(models, lists, strict=True))
    return ForeignTokenizer(description, source=source, target=target, languages=languages, where=files.path)


_KINDS: dict[str, Callable[[TokenizerFiles, TokenizerDescription, Sequence[str]], Tokenizer]] = {
    LINGOLITE.kind: _lingolite,
    SENTENCEPIECE: _sentencepiece,
    PIECES_AND_VOCABULARY: _pieces_and_vocabulary,
}
