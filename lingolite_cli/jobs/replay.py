"""`lingolite verify --on`: the goldens of what ships, on this machine and on emulated processors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lingolite_cli.artifact import BUNDLE, Artifact, read_manifest
from lingolite_cli.console import Console
from lingolite_cli.emulation.platforms import find_platform
from lingolite_cli.emulation.preparing import prepare
from lingolite_cli.emulation.replaying import is_replayable, replaying_backend, requirements_of
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import MODEL, model_input
from lingolite_cli.jobs.job import JobBuilder, make_runner, run_job
from lingolite_cli.plugins.registry import Health, Registry
from lingolite_cli.recipe.steps.export import ExportStep
from lingolite_cli.recipe.steps.replay import ReplayStep
from lingolite_cli.runs.measured_results import ReplayResult


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is replayed, and where.

    Attributes:
        candidate: the artifact.
        platforms: names, at least one.
        prepare: download first what they lack.
    """

    candidate: Path
    platforms: Sequence[str]
    prepare: bool = False


def replay(context: JobContext, request: ReplayRequest, console: Console) -> ReplayResult:
    """Replay the goldens of an artifact; where it has none, those of what an exporter makes of it in the cache.

    Raises:
        LingoLiteError: a platform is unknown or not prepared, or no exporter makes something that can be replayed.
    """
    for name in request.platforms:
        find_platform(name)
    builder = JobBuilder(context, "verify")
    manifest = read_manifest(request.candidate)
    backend = replaying_backend(context.registry, manifest.format)
    has_own = is_replayable(manifest) or backend is not None
    exports = [] if has_own else [_export(context.registry, builder, manifest.format)]
    inputs = {"model": model_input(request.candidate)}
    if request.prepare and backend is None:
        artifact = Artifact.open(request.candidate)
        if exports:
            console.note(f"the candidate has no goldens: it is converted ({exports[0].format}) into the cache")
            runner = make_runner(context, builder.job(inputs, exports), console)
            with runner.scratch():
                runner.execute()
            path = runner.finished(exports[0].id).artifact_path
            assert path is not None, "an export makes an artifact"
            artifact = Artifact.open(path)
        for name in request.platforms:
            prepare(find_platform(name), requirements_of(artifact), note=console.note)
    reference = exports[0].id if exports else MODEL
    step = builder.step(ReplayStep, "replay", model=reference, platforms=tuple(request.platforms))
    records, _ = run_job(context, builder.job(inputs, [*exports, step]), console)
    result = records[-1].result
    assert isinstance(result, ReplayResult)
    return result


def _export(registry: Registry, builder: JobBuilder, format: str) -> ExportStep:
    """The step that makes something replayable of an artifact of `format`."""
    for entry in registry.of_kind("exporter"):
        spec = entry.spec
        if entry.health is Health.OK and "replay" in getattr(spec, "capabilities", ()):
            if format in getattr(spec, "accepts", ()):
                return builder.step(ExportStep, "export", model=MODEL, format=entry.name)
    bundle = format.startswith(BUNDLE)
    hint = "export it first, for example to ONNX" if bundle else "export its bundle to ONNX or LiteRT, and verify that"
    raise LingoLiteError(f"an artifact of format {format} has no goldens to replay", hint=hint)
