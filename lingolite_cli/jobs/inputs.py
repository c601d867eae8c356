"""What a job starts from: the model and the text that a command names, or else the project's.

Owns how options become inputs of a recipe, with absolute paths. What quantizers need besides is in `quantizer_texts`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from lingolite_cli.artifact import read_manifest
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.text import unpacked_name
from lingolite_cli.jobs.checkpoint import artifact_path
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.recipe.model import ModelInput, ShortlistInput
from lingolite_cli.training.options import PairsSpec

Input: TypeAlias = ModelInput | CorpusSpec | PairsSpec | ShortlistInput

MODEL = "inputs.model"
"""What steps call the model of a job."""


def input_table(spec: Input) -> dict[str, Any]:
    """An input as a recipe has it: without the keys that have their default."""
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(spec)}
    return {key: value for key, value in msgspec.to_builtins(spec).items() if value != defaults[key]}


def input_paths(spec: Input | Mapping[str, Any], root: Path = Path()) -> list[Path]:
    """The files and directories that an input names, also as a recipe has it, below `root` where they are relative."""
    table = spec if isinstance(spec, Mapping) else input_table(spec)
    named = (table.get(key, ()) for key in ("bundle", "shortlist", "tsv", "source", "references", "pairs"))
    return [root / name for names in named for name in ([names] if isinstance(names, str) else names)]


def model_path(context: JobContext, model: Path | None, *, tokenizer: Path | None = None) -> Path:
    """The artifact that was named, or made of the checkpoint that was named, or the project's.

    Args:
        context: the project.
        model: an artifact or a checkpoint.
        tokenizer: of a checkpoint; see `artifact_path`.

    Raises:
        LingoLiteError: there is neither, or a checkpoint cannot be imported.
    """
    if model is not None:
        return artifact_path(context, model, tokenizer=tokenizer)
    if tokenizer is not None:
        raise LingoLiteError("--tokenizer without --model", hint="it goes with a checkpoint: --model CHECKPOINT")
    project = context.project
    if project.settings.model is None:
        raise LingoLiteError(
            "no model: there is no --model, and no `model` in lingolite.toml",
            hint="pass --model BUNDLE, or run this inside a project; `lingolite init` makes one",
        )
    return (project.root / project.settings.model).resolve()


def languages_of_model(path: Path) -> tuple[str, str] | None:
    """The two languages of an artifact; None where it has others, and for a checkpoint, which does not say them."""
    if not path.is_dir():
        return None
    known = read_manifest(path).languages
    return (known[0], known[1]) if len(known) == 2 else None


def model_input(path: Path) -> ModelInput:
    """The artifact at `path` as an input."""
    return ModelInput(bundle=str(path))


def corpus_input(
    context: JobContext,
    *,
    source: Path | None = None,
    targets: Sequence[Path] = (),
    test_set: str | None = None,
    languages: tuple[str, str] | None = None,
    which: Literal["test", "dev"] = "test",
) -> CorpusSpec:
    """The text that was named, or the project's test or dev set.

    Args:
        context: the project.
        source: sources, one a line; without `targets`, a TSV file with references beside them.
        targets: references, one a line.
        test_set: a public one that sacreBLEU has downloaded; it needs languages.
        languages: source and target language; None leaves them to the project, or the model.
        which: the project's text where `source` is None.

    Raises:
        LingoLiteError: there is neither, or references come without a source.
    """
    if source is None and targets:
        raise LingoLiteError("--target without --source", hint="pass the sources too: --source FILE")
    settings = context.project.settings
    if test_set is not None:
        if source is not None:
            raise LingoLiteError("both --test-set and --source were given", hint="pass one of them")
        return CorpusSpec(test_set=test_set, languages=languages or settings.languages)
    if source is not None:
        # Links are left alone: that of a shell's `<(…)` leads to a pipe without a name.
        chosen = languages or settings.languages
        if not targets:  # references can then only be a column of the same file
            return CorpusSpec(tsv=os.path.abspath(source), languages=chosen)
        references = tuple(os.path.abspath(target) for target in targets)
        return CorpusSpec(source=os.path.abspath(source), references=references, languages=chosen)
    known = settings.test if which == "test" else settings.dev
    if known is None:
        raise LingoLiteError(
            f"no {which} set: there is no --source, and no [{which}] in lingolite.toml",
            hint="pass --source FILE --target FILE",
        )
    corpus = project_corpus(context, known)
    return msgspec.structs.replace(corpus, languages=languages or corpus.languages)


def project_corpus(context: JobContext, spec: CorpusSpec) -> CorpusSpec:
    """A text of lingolite.toml, its paths absolute."""
    root = context.project.root
    return msgspec.structs.replace(
        spec,
        tsv=spec.tsv and str(root / spec.tsv),
        source=spec.source and str(root / spec.source),
        references=tuple(str(root / path) for path in spec.references),
    )


def source_input(path: Path, *, is_tsv: bool, languages: tuple[str, str] | None) -> CorpusSpec:
    """A file of which only the sources are read, or a TSV file with references beside them."""
    file = os.path.abspath(path)
    return CorpusSpec(tsv=file, languages=languages) if is_tsv else CorpusSpec(source=file, languages=languages)


def has_tsv_name(path: Path) -> bool:
    """Whether sources are a column of a file rather than its lines, where no references tell."""
    return unpacked_name(path).endswith(".tsv")
