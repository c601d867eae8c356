"""Artifacts: directories with a manifest that are verified when opened.

Owns the manifest's format and digests. How they are written whole or not at all is in `lingolite_cli.files.atomic`;
what the files in an artifact mean is the business of the plugins that make and read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.environment import VERSION
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.files.atomic import resolve_output
from lingolite_cli.files.digests import canonical_json, sha256_file, sha256_json
from lingolite_cli.files.disk import check_writable
from lingolite_cli.files.integrity import check_utf8, name_problem, open_regular
from lingolite_cli.files.output import refuse_inputs
from lingolite_cli.files.verified import FileEntry, VerifiedDirectory, damaged
from lingolite_cli.tokenization.description import LINGOLITE, TokenizerDescription

MANIFEST_NAME = "lingolite.json"
TOKENIZER_NAME = "tokenizer.model"
TARGET_TOKENIZER_NAME = "target_tokenizer.model"
VOCABULARY_NAME = "vocabulary.json"
TARGET_VOCABULARY_NAME = "target_vocabulary.json"
TOKENIZER_NAMES = (TOKENIZER_NAME, TARGET_TOKENIZER_NAME, VOCABULARY_NAME, TARGET_VOCABULARY_NAME)
"""A tokenizer's files: a SentencePiece model, another one of targets, and the pieces of sources and of targets in the
order of their ids. LingoLite's own format has the first alone."""
SHORTLIST_NAME = "shortlist.safetensors"
WEIGHTS_NAME = "model.safetensors"

_LARGEST_MANIFEST = 16 << 20

Name = Annotated[str, Meta(max_length=100)]
"""Of what plugins and errors name: a file from elsewhere could hold any number of characters."""

CORPUS = "corpus"
"""Format of directories of text; see `lingolite_cli.corpora.artifact`."""
Details = TypeVar("Details", bound="ArtifactDetails")

BUNDLE = "bundle"
BUNDLE_FP16 = "bundle-fp16"
BUNDLE_BF16 = "bundle-bf16"
BUNDLE_INT8 = "bundle-int8"
BUNDLE_STATIC_INT8 = "bundle-static-int8"
BUNDLE_INT4 = "bundle-int4"


SOURCE_INPUT, BUNDLE_INPUT = "source", "bundle"
"""What `made_by.inputs` of a manifest calls the artifact that a converter read, and, where that was no bundle, the
bundle behind it."""


TOOL = f"lingolite {VERSION}"
"""What manifests call this version."""


class Quantization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the weights were made smaller: the scheme, and the matrices that stayed in float.

    `int8_tensors` are those that a scheme of fewer bits gave 8.
    """

    scheme: Name
    float_tensors: tuple[str, ...] = ()
    int8_tensors: tuple[str, ...] = ()


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an artifact was made. Holds no time and no path, so that the same work gives the same bytes."""

    operation: Name
    tool: Name = TOOL
    options: dict[str, Any] = {}
    inputs: dict[str, str] = {}


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """What a quantizer or exporter says of the files that it wrote.

    `max_seq_len` is given where the files have fewer positions than the model: sources are then cut to it.
    """

    format: str
    quantization: Quantization | None = None
    max_seq_len: int | None = None
    details: dict[str, Any] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`lingolite.json`: what an artifact is, how it was made, and the digest of each of its files.

    `tokenizer` is left out where it would say what it says of LingoLite's own format; read `tokenizer_description`.
    `licence` is that of the weights, where the model that they were imported from states it; every artifact that is
    made of them has it too.
    `trained_on` is left out where it is "sentences"; read `is_sentence_level`.
    """

    schema: int = 1
    format: Name
    model: Architecture
    languages: tuple[Name, ...]
    # UNSET is not encoded: manifests without the entry keep their bytes, and so the digests of their artifacts.
    tokenizer: TokenizerDescription | msgspec.UnsetType = msgspec.UNSET
    trained_on: Literal["sentences", "documents"] | msgspec.UnsetType = msgspec.UNSET
    decoding: DecodingOptions = DecodingOptions()
    made_by: Provenance
    quantization: Quantization | None = None
    details: dict[str, Any] = {}
    # UNSET is not encoded, as of `tokenizer`.
    licence: str | msgspec.UnsetType = msgspec.UNSET
    files: dict[str, FileEntry] = {}

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, msgspec.UnsetType):
            return
        ids = msgspec.structs.asdict(self.tokenizer.ids)
        beyond = [f"{name} {id}" for name, id in ids.items() if id >= self.model.vocab_size]
        if beyond:
            raise ValueError(f"special ids lie outside the vocabulary of {self.model.vocab_size}: {', '.join(beyond)}")
        barred = [id for id in self.tokenizer.never_generated if not 0 <= id < self.model.vocab_size]
        if barred:
            raise ValueError(
                f"never_generated has the id {barred[0]}, outside the vocabulary of {self.model.vocab_size}"
            )
        if self.tokenizer.ids.pad != self.model.pad_token_id:
            raise ValueError(
                f"the tokenizer pads with {self.tokenizer.ids.pad}, and the model with {self.model.pad_token_id}"
            )

    @property
    def tokenizer_description(self) -> TokenizerDescription:
        """Kind, special ids and frame of the tokenizer."""
        return LINGOLITE if isinstance(self.tokenizer, msgspec.UnsetType) else self.tokenizer

    @property
    def is_sentence_level(self) -> bool:
        """Whether the model knows single sentences only, so that longer texts are split for it."""
        return self.trained_on != "documents"


def bundle_digest(manifest: Manifest) -> str | None:
    """Digest of the bundle that an artifact was exported from; None where its manifest does not say."""
    inputs = manifest.made_by.inputs
    return inputs.get(BUNDLE_INPUT, inputs.get(SOURCE_INPUT))


class Artifact(VerifiedDirectory):
    """A directory with a model and its manifest, opened for reading. Make one with `Artifact.open`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        super().__init__(path, manifest.files)
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> Artifact:
        """Open an artifact.

        Args:
            path: the directory.
            verify: compare the size and SHA-256 of every file with the manifest.

        Raises:
            LingoLiteError: there is no artifact, its manifest is not readable, or a file is missing, cut
                short, or changed.
        """
        artifact = cls(Path(path), read_manifest(Path(path)))
        if verify:
            artifact.verify()
        return artifact

    def __getitem__(self, stem: str) -> Path:
        """Where the file is that is called `stem` without its ending: `exported["encoder"]`.

        Raises:
            LingoLiteError: the manifest lists none.
        """
        stems = {Path(name).stem: name for name in self.manifest.files}
        if stem not in stems:
            raise LingoLiteError(f"{self.path} has no file `{stem}`", hint=did_you_mean(stem, stems))
        return self.file(stems[stem])

    def closed_directory(self) -> Path:
        """The directory, for an engine that reads what it finds in it.

        Raises:
            LingoLiteError: there is a file that the manifest does not list, where hidden files and notes are let be; or
                the path is not UTF-8, which no engine takes.
        """
        check_utf8(self.path.resolve())
        for path in sorted(self.path.rglob("*")):
            name = path.relative_to(self.path).as_posix()
            is_note = path.suffix == ".md" or path.name in (MANIFEST_NAME, "LICENSE")
            if not path.is_dir() and not is_note and not name.startswith(".") and name not in self.manifest.files:
                raise damaged(path, "is not listed in its manifest, and the engine might read it")
        return self.path

    @property
    def digest(self) -> str:
        """SHA-256 over the manifest, and through it over every file."""
        return sha256_json(self.manifest)

    @property
    def tokenizer_names(self) -> tuple[str, ...]:
        """Names of the tokenizer's files that the manifest lists, in the order of `TOKENIZER_NAMES`."""
        return tuple(name for name in TOKENIZER_NAMES if name in self.manifest.files)

    @property
    def tokenizer_digest(self) -> str:
        """SHA-256 of the tokenizer's file; where there are several, of their names and digests."""
        digests = {name: self.manifest.files[name].sha256 for name in self.tokenizer_names}
        return next(iter(digests.values())) if len(digests) == 1 else sha256_json(digests)

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer's file; `lingolite_cli.tokenization.opening` reads it. Raises as `file` does."""
        return self.file(TOKENIZER_NAME)

    @property
    def weights_path(self) -> Path:
        """The weights of a bundle. Raises as `file` does."""
        return self.file(WEIGHTS_NAME)


class ArtifactDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What an exporter says of its files in the manifest's `details`, beyond what every artifact says.

    An exporter derives its own from this, and its backend reads them with `of`.
    """

    @classmethod
    def of(cls: type[Details], artifact: Artifact) -> Details:
        """The details of an artifact.

        Raises:
            LingoLiteError: another tool or version made it.
        """
        try:
            return msgspec.convert(artifact.manifest.details, cls)
        except msgspec.ValidationError as error:
            raise LingoLiteError(
                f"{artifact.path} was not made by this exporter: {error}", hint="export it again"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """For `Product.details`."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def read_manifest(path: Path) -> Manifest:
    """Read `lingolite.json` in the directory `path`, strictly.

    Raises:
        LingoLiteError: it is not there or not a manifest of schema 1.
    """
    file = path / MANIFEST_NAME
    if not path.is_dir():
        raise LingoLiteError(
            f"no such directory: {path}",
            hint="an artifact is a directory; make one with `lingolite import CHECKPOINT --out DIR`",
        )
    try:
        with open_regular(file) as stream:
            text = stream.read(_LARGEST_MANIFEST + 1)
        if len(text) > _LARGEST_MANIFEST:
            raise ValueError(f"it has more than {_LARGEST_MANIFEST:,} bytes")
        manifest = msgspec.json.decode(text, type=Manifest)
        canonical_json(manifest)  # of which its digest is made: numbers may be larger than JSON's
    except FileNotFoundError:
        raise LingoLiteError(
            f"{path} is not an artifact: it has no {MANIFEST_NAME}",
            hint="a checkpoint becomes a bundle with `lingolite import CHECKPOINT --tokenizer DIR --out BUNDLE`",
        ) from None
    except OSError as error:
        raise damaged(file, f"cannot be read: {error.strerror or 'it is not a regular file'}") from None
    except RecursionError:
        raise LingoLiteError(
            f"{file} is not a manifest: it is nested too deeply", hint="make the artifact again"
        ) from None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        if is_corpus(path):
            raise LingoLiteError(
                f"{path} is a corpus, not a model", hint="`lingolite corpus show` shows what is in it"
            ) from None
        # The error quotes names from the file, however long they are.
        raise LingoLiteError(f"{file} is not a manifest: {str(error)[:300]}", hint="make the artifact again") from None
    if manifest.schema != 1:
        raise LingoLiteError(
            f"{file} has schema {manifest.schema}; this version reads schema 1", hint="upgrade lingolite"
        )
    for problem in filter(None, map(name_problem, manifest.files)):
        raise LingoLiteError(f"{file} {problem[:200]}", hint="make the artifact again")
    return manifest


def is_corpus(path: Path) -> bool:
    """Whether a directory has the manifest of a corpus; nothing else of it is read."""
    try:
        with open_regular(path / MANIFEST_NAME) as stream:
            text = stream.read(_LARGEST_MANIFEST)
        return msgspec.json.decode(text, type=_AnyManifest).format == CORPUS
    except (OSError, ValueError, RecursionError):
        return False


class _AnyManifest(msgspec.Struct, frozen=True):
    format: Name


def check_target(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse a place for a new artifact where something lies that it must not replace.

    Args:
        path: where the artifact will be.
        overwrite: another artifact, or an empty directory, may be replaced; nothing else ever is.
        inputs: what the new artifact is made from.

    Raises:
        LingoLiteError: something is there, what it is made from would be written over, or nothing can be written there.
    """
    refuse_inputs(path, flag="--out", inputs=inputs)
    check_writable(resolve_output(path).parent)
    if not path.exists():
        return
    if not overwrite:
        raise LingoLiteError(f"{path} exists", hint="choose another place, or pass --overwrite")
    is_empty = path.is_dir() and not any(path.iterdir())
    if not is_empty and not (path / MANIFEST_NAME).is_file():
        raise LingoLiteError(
            f"{path} is not an artifact, so it is not replaced: it has no {MANIFEST_NAME}",
            hint="choose another place, or remove it yourself",
        )


def write_manifest(directory: Path, manifest: Manifest) -> Manifest:
    """Write `lingolite.json` for the files that lie in `directory`, and return it with their digests."""
    files = {
        str(file.relative_to(directory).as_posix()): FileEntry(file.stat().st_size, sha256_file(file))
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file.name != MANIFEST_NAME
    }
    complete = msgspec.structs.replace(manifest, files=files)
    text = msgspec.json.format(canonical_json(complete), indent=2)
    (directory / MANIFEST_NAME).write_bytes(text + b"\n")
    return complete


def derive_artifact(
    source: Artifact, path: Path, product: Product, provenance: Provenance, *, directory: Path
) -> Artifact:
    """Finish an artifact made from `source` in the temporary `directory` that will become `path`.

    The model configuration, languages, decoding defaults and tokenizer are those of the source; only its positions
    may be fewer.
    """
    model = source.manifest.model
    for name in source.tokenizer_names:
        (directory / name).write_bytes(source.read_bytes(name))
    manifest = Manifest(
        format=product.format,
        model=msgspec.structs.replace(model, max_seq_len=product.max_seq_len or model.max_seq_len),
        languages=source.manifest.languages,
        tokenizer=source.manifest.tokenizer,
        trained_on=source.manifest.trained_on,
        decoding=source.manifest.decoding,
        made_by=provenance,
        quantization=product.quantization or source.manifest.quantization,
        details=product.details,
        licence=source.manifest.licence,
    )
    return Artifact(path, write_manifest(directory, manifest))
