"""`lingolite init`: a project for a model that is there, or for the starter.

Owns what is checked before anything is written, and the files of a new project. Their texts are the templates
`lingolite.toml` and `mobile.toml`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.starter import STARTER_FILES, STARTER_LANGUAGES, starter_directory
from lingolite_cli.files.templates import fill_template
from lingolite_cli.settings import SETTINGS_NAME

RECIPE = "recipes/mobile.toml"
STARTER = "starter-en-da"
"""The directory of the starter in a new project."""
STARTER_BLEU = 40
"""What `bleu_min` is for the starter, which scores 44.7 on its test set."""
LEAST_BLEU = 15
"""What `bleu_min` is for a model of which nothing is known: below it nearly all models are broken, or were imported
with a wrong number of heads."""
_BUNDLE = "bundle"


class NewProject(msgspec.Struct, frozen=True, kw_only=True):
    """What a project is made of.

    Attributes:
        directory: of the project.
        model: a bundle.
        test: a TSV file of sources and references.
        dev: likewise, for calibration and searches; None where there is none yet.
        languages: source and target language.
        bleu_min: the least BLEU of what is shipped.
        copies: files to copy into the project, by their path in it.
    """

    directory: Path
    model: Path
    test: Path
    dev: Path | None
    languages: tuple[str, str]
    bleu_min: int = LEAST_BLEU
    copies: Mapping[str, Path] = {}


def starter_project(directory: Path) -> NewProject:
    """A project with the starter model in it."""
    source = starter_directory()
    inside = directory / STARTER
    return NewProject(
        directory=directory,
        model=inside / "model",
        test=inside / "test.en-da.tsv",
        dev=inside / "dev.en-da.tsv",
        languages=STARTER_LANGUAGES,
        bleu_min=STARTER_BLEU,
        copies={f"{STARTER}/{name}": source / name for name in STARTER_FILES},
    )


def own_project(
    directory: Path,
    *,
    model: Path | None,
    test: Path | None,
    dev: Path | None,
    languages: tuple[str, str] | None,
) -> NewProject:
    """A project for a model that is there; paths are from where the user stands.

    Args:
        directory: of the project.
        model: a bundle; default: `model` in the project's directory.
        test: a TSV file; default: `test.tsv` there.
        dev: a TSV file; default: `dev.tsv` there, if there is one.
        languages: default: the two of the model.

    Raises:
        LingoLiteError: the model, a text or a language cannot be used.
    """
    found = model or directory / "model"
    if model is None and not found.exists():
        raise LingoLiteError(
            f"no model: there is no --model, and no {found}",
            hint="pass --model DIR, made by `lingolite import CHECKPOINT`; or --starter for a model to try",
        )
    artifact = Artifact.open(found)
    if not artifact.manifest.format.startswith(_BUNDLE):
        raise LingoLiteError(
            f"{found} has the format {artifact.manifest.format}, and a project starts from a bundle",
            hint="pass the bundle that it was exported from",
        )
    pair = _checked_languages(languages, artifact.manifest.languages)
    text = test or directory / "test.tsv"
    held_out = dev or (directory / "dev.tsv" if (directory / "dev.tsv").is_file() else None)
    for name, path in (("test", text), ("dev", held_out)):
        if path is not None:
            read_corpus(CorpusSpec(tsv=str(path.resolve()), languages=pair), name=name, root=Path.cwd())
    return NewProject(directory=directory, model=found, test=text, dev=held_out, languages=pair)


def make_project(project: NewProject) -> list[Path]:
    """Write the files of a project.

    Returns:
        Their paths.

    Raises:
        LingoLiteError: one of them is there already; then nothing is written.
    """
    templates = {SETTINGS_NAME: "lingolite.toml", RECIPE: "mobile.toml"}
    for name in (*templates, *project.copies):
        if os.path.lexists(project.directory / name):
            raise LingoLiteError(
                f"{project.directory / name} exists", hint="nothing was written; choose another directory"
            )
    values = _values(project)
    written = []
    for name, source in project.copies.items():
        write_atomic(project.directory / name, source.read_bytes())
        written.append(project.directory / name)
    for name, template in templates.items():
        write_atomic(project.directory / name, fill_template(template, values))
        written.append(project.directory / name)
    return written


def _values(project: NewProject) -> dict[str, str]:
    texts = {
        "model": _inside(project, project.model),
        "test": _inside(project, project.test),
        "source": project.languages[0],
        "target": project.languages[1],
        "bleu_min": str(project.bleu_min),
    }
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in texts.items()}
    dev = "dev.tsv" if project.dev is None else _inside(project, project.dev).replace("\\", "\\\\").replace('"', '\\"')
    lines = ["[dev]", f'tsv = "{dev}"', f'languages = ["{quoted["source"]}", "{quoted["target"]}"]']
    return {**quoted, "dev": "\n".join(lines if project.dev else [f"# {line}" for line in lines])}


def _inside(project: NewProject, path: Path) -> str:
    """The path as the project's files have it: relative to the project."""
    try:
        return Path(os.path.relpath(path.resolve(), project.directory.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _checked_languages(asked: tuple[str, str] | None, known: tuple[str, ...]) -> tuple[str, str]:
    if asked is None:
        if len(known) != 2:
            raise LingoLiteError(
                f"the model knows {len(known)} languages: {', '.join(known)}", hint="say which: --languages SRC-TGT"
            )
        return known[0], known[1]
    for language in asked:
        if language not in known:
            raise LingoLiteError(
                f"the model does not know the language `{language}`", hint=did_you_mean(language, known)
            )
    return asked
