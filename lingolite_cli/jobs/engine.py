"""One artifact opened with one backend, to translate with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.adhoc import backend_for, converted
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.recipe.decoding import resolve_decoding
from lingolite_cli.settings import SETTINGS_NAME, Project

if TYPE_CHECKING:
    from lingolite_cli.decoding.translator import Translator


class Engine:
    """A backend that holds an artifact.

    Attributes:
        warnings: what the backend says of this machine.
    """

    def __init__(self, artifact: Artifact, backend: Any, *, capabilities: frozenset[str], project: Project) -> None:
        self._artifact = artifact
        self._backend = backend
        self._capabilities = capabilities
        self._project_languages = project.settings.languages
        self.warnings: tuple[str, ...] = tuple(getattr(backend, "warnings", ()))

    def translator(
        self, decoding: DecodingOptions, *, languages: tuple[str, str] | None, batch_size: int
    ) -> Translator:
        """A translator over this engine; without `languages`, from and to those of the project, or of the model.

        Raises:
            LingoLiteError: the languages are not given and the model has fewer than two, or does not know them.
        """
        from lingolite_cli.decoding.translator import Translator
        from lingolite_cli.tokenization.opening import open_tokenizer

        known = self._artifact.manifest.languages
        languages = languages or self._project_languages
        if languages is None and len(known) < 2:
            raise LingoLiteError("the model does not say its languages", hint="pass --languages SRC-TGT")
        return Translator(
            self._backend,
            open_tokenizer(self._artifact),
            self._artifact.manifest.model,
            languages or (known[0], known[1]),
            options=decoding,
            batch_size=batch_size,
            capabilities=self._capabilities,
        )


@contextmanager
def open_engine(
    context: JobContext,
    artifact: Artifact,
    console: Console,
    *,
    backend: str | None,
    options: Mapping[str, Any],
    threads: int | None,
    workers: int = 1,
) -> Iterator[Engine]:
    """Open `artifact` with a backend; it is closed with the block. Another format is made in the cache if it needs one.

    Args:
        context: project and plugins.
        artifact: what to run.
        console: told of a conversion.
        backend: its name; None is the one that fits.
        options: the backend's.
        threads: for the engine; None is the project's.
        workers: processes that each have the engine, and share what is to be translated.

    Raises:
        LingoLiteError: the backend cannot be used, or no plugin leads from this format to one that it runs.
    """
    threads = context.project.threads if threads is None else threads
    if threads < 1:
        raise LingoLiteError(f"threads must be at least 1, not {threads}")
    name = backend_for(context, format=artifact.manifest.format, asked=backend)
    loaded = context.registry.resolve("backend", name)
    loaded.options(options)  # what is wrong in them is refused before a conversion
    artifact = converted(context, artifact, console, backend=name, threads=threads)
    from lingolite_cli.workers.pool import open_backend

    blocked = tuple(sorted(context.registry.host.blocked))
    made, capabilities = open_backend(
        loaded, artifact, options=options, threads=threads, workers=workers, blocked=blocked
    )
    with closing(made):
        yield Engine(artifact, made, capabilities=capabilities, project=context.project)


def asked_decoding(artifact: Artifact, asked: Mapping[str, Any], *, project: Project) -> DecodingOptions:
    """The artifact's decoding defaults, under the project's for `evaluate` steps, under what was asked for.

    Args:
        artifact: what is run.
        asked: by the command; None stands for not asked.
        project: whose `[defaults.evaluate]` may have `decoding`.

    Raises:
        LingoLiteError: a value is out of range, or beyond the model's positions.
    """
    table = project.settings.defaults.get("evaluate", {}).get("decoding", {})
    where = f"{SETTINGS_NAME}: `defaults.evaluate.decoding`"
    if not isinstance(table, Mapping):
        raise LingoLiteError(f"{where}: expected `table`, not {table}")
    resolve_decoding(artifact.manifest, table, where=where)
    overrides = {**table, **{key: value for key, value in asked.items() if value is not None}}
    positions = artifact.manifest.model.max_seq_len
    options = resolve_decoding(artifact.manifest, overrides, where="decoding")
    if options.max_length > positions:
        raise LingoLiteError(
            f"max_length {options.max_length} is more than the {positions} positions that the model has"
        )
    return options
