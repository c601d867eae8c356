"""Which backend runs an artifact, and the conversion that it needs first.

Owns the choice among backends, and the one step that leads from an artifact's format to one that a backend reads.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import Artifact, read_manifest
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import MODEL, model_input
from lingolite_cli.jobs.job import JobBuilder, make_runner
from lingolite_cli.plugins.registry import SOONEST_BACKENDS, Health, Registry, preference
from lingolite_cli.plugins.specs import ExporterSpec, QuantizerSpec

if TYPE_CHECKING:
    from lingolite_cli.recipe.steps.export import ExportStep
    from lingolite_cli.recipe.steps.quantize import QuantizeStep

_UNCACHED = "eager"


class RunnableModel(msgspec.Struct, frozen=True):
    """An artifact that a backend runs: the steps that make it, if any, and the reference to it."""

    steps: tuple[ExportStep | QuantizeStep, ...]
    reference: str
    format: str

    def announce(self, console: Console, *, backend: str) -> None:
        """Tell of the conversion, where there is one."""
        for step in self.steps:
            kind = step.__struct_config__.tag
            console.note(f"backend `{backend}` runs another format: the model is converted ({kind}) into the cache")


def runnable_model(
    builder: JobBuilder, *, backend: str, format: str, reference: str = MODEL, prefix: str = ""
) -> RunnableModel:
    """An artifact of `format` as `backend` can run it.

    Args:
        builder: makes the step of a conversion.
        backend: its name.
        format: of the artifact.
        reference: to the artifact.
        prefix: of the step's id.

    Raises:
        LingoLiteError: the backend is not usable, or no single plugin makes a format that it reads.
    """
    from lingolite_cli.recipe.steps.export import ExportStep
    from lingolite_cli.recipe.steps.quantize import QuantizeStep

    # Kinds of plugin that make another format, in the order in which they are tried, with their step and its key.
    converters: tuple[tuple[str, type[ExportStep | QuantizeStep], str], ...] = (
        ("exporter", ExportStep, "format"),
        ("quantizer", QuantizeStep, "method"),
    )
    registry = builder.context.registry
    accepts = registry.resolve("backend", backend).spec.accepts
    if format in accepts:
        return RunnableModel((), reference, format)
    for kind, step_kind, key in converters:
        found = _converter(registry, kind, source=format, accepts=accepts)
        if found is not None:
            id = f"{prefix}{step_kind.__struct_config__.tag}"
            step = builder.step(step_kind, id, **{key: found.name}, model=reference)
            return RunnableModel((step,), id, found.produces)
    raise LingoLiteError(
        f"backend `{backend}` does not run format {format}, and no plugin turns that into "
        f"{' or '.join(sorted(accepts))}",
        hint="`lingolite plugins list` shows what reads and makes what",
        exit_code=ExitCode.PLUGIN,
    )


def _converter(
    registry: Registry, kind: str, *, source: str, accepts: frozenset[str]
) -> ExporterSpec | QuantizerSpec | None:
    """The first plugin that makes one of `accepts` from an artifact of format `source` alone."""
    for entry in registry.of_kind(kind):
        spec = entry.spec
        if (
            entry.health is Health.OK
            and isinstance(spec, ExporterSpec | QuantizerSpec)
            and source in spec.accepts
            and spec.produces in accepts
            and not getattr(spec, "needs", None)  # text, which nobody named for a conversion
        ):
            return spec
    return None


def convert_for(context: JobContext, artifact: Artifact, console: Console, *, backend: str, threads: int) -> Artifact:
    """What `backend` can run of `artifact`: itself, or what a plugin makes of it in the cache.

    Raises:
        LingoLiteError: as of `runnable_model`, or of the conversion.
    """
    builder = JobBuilder(context, "convert")
    runnable = runnable_model(builder, backend=backend, format=artifact.manifest.format)
    if not runnable.steps:
        return artifact
    job = builder.job({"model": model_input(artifact.path.resolve())}, runnable.steps, threads=threads)
    # One line for a conversion, and none where it was done before: what is asked for here is a translation.
    runner = make_runner(context, job, Console(quiet=True))
    if not all(step.is_cached for step in runner.forecast()):
        runnable.announce(console, backend=backend)
        with runner.scratch():
            runner.execute()
    path = runner.finished(runnable.reference).artifact_path
    assert path is not None, "a conversion makes an artifact"
    return Artifact.open(path)


def backend_for(context: JobContext, *, format: str, asked: str | None = None) -> str:
    """The backend that runs an artifact of `format`, after a conversion if it must.

    That is: the one that was asked for; else the project's, or the first that runs `format` as it is; else the first
    that runs what an exporter makes of it.

    Raises:
        LingoLiteError: none does, or the project's is not usable.
    """
    if asked is not None:
        return asked
    registry = context.registry
    found = able_backend(context, format=format)
    if found is not None:
        return found
    for name in sorted(_after_export(registry, format), key=preference):
        return name
    raise registry.no_backend(format)


def backend_to_translate(context: JobContext, *, format: str, asked: str | None = None, has_options: bool) -> str:
    """As `backend_for`, where nothing but translations is wanted: inside a project, the backend that starts soonest.

    ONNX Runtime on an export in the project's cache gives the same tokens as PyTorch on the bundle, starts in a quarter
    of its CPU time and translates in half. Outside of a project nobody expects a cache to be written; and whoever gives
    a backend options, or names one in the project, means that one.

    Args:
        context: the project.
        format: of the artifact.
        asked: the backend that was asked for.
        has_options: whether options for the backend were given.

    Raises:
        LingoLiteError: as of `backend_for`.
    """
    chosen = backend_for(context, format=format, asked=asked)
    is_free = asked is None and not has_options and context.evaluate_default("backend") is None
    if not is_free or not context.has_cache or not _writable(context.project.cache_directory):
        return chosen
    able = [name for name in _after_export(context.registry, format) if name in SOONEST_BACKENDS]
    return able[0] if able else chosen


def _writable(directory: Path) -> bool:
    there = next(place for place in (directory, *directory.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def _after_export(registry: Registry, format: str) -> list[str]:
    """The backends that run what an exporter makes of `format`."""
    formats = [
        entry.spec.produces
        for entry in registry.of_kind("exporter")
        if entry.health is Health.OK and isinstance(entry.spec, ExporterSpec) and format in entry.spec.accepts
    ]
    return sorted({name for made in formats for name in registry.backends_for(made)})


def direct_backend(context: JobContext, *, format: str) -> str:
    """The project's backend if it runs `format` as it is, or the first that does.

    Raises:
        LingoLiteError: none does, or the project's is not usable.
    """
    found = able_backend(context, format=format)
    if found is None:
        raise context.registry.no_backend(format)
    return found


def uncached_backend(asked: str | None) -> str:
    """The backend that decodes without a KV cache.

    Raises:
        LingoLiteError: another one was asked for.
    """
    if asked not in (None, _UNCACHED):
        raise LingoLiteError(
            f"--no-cache and --backend {asked} contradict one another", hint=f"--no-cache means --backend {_UNCACHED}"
        )
    return _UNCACHED


def able_backend(context: JobContext, *, format: str) -> str | None:
    """As `direct_backend`; None where none does.

    Raises:
        LingoLiteError: the project's backend is not usable.
    """
    return context.registry.able_backend(format, preferred=context.evaluate_default("backend"))


def format_of(path: Path) -> str:
    """The format of the artifact at `path`."""
    return read_manifest(path).format
