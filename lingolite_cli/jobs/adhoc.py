"""Commands as recipes: `eval`, `quantize`, `export`, `verify` and `bench` build a recipe in memory and run its steps.

So that they have the same checks, the same cache and the same results as `lingolite run`. Owns how a command finds
the model, the test set, and the conversions that a backend needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from lingolite_cli.artifact import Artifact, atomic_directory, check_target, read_manifest
from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.execution.runner import Runner
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.registry import Health, Registry
from lingolite_cli.plugins.specs import Spec
from lingolite_cli.recipe.model import DEFAULT_METRICS, Recipe
from lingolite_cli.recipe.plan import make_plan, merge_defaults
from lingolite_cli.runs.record import StepRecord
from lingolite_cli.schema import convert
from lingolite_cli.training.launch import num_processes

MODEL = "inputs.model"


class Conversion(msgspec.Struct, frozen=True):
    """Steps that lead from an artifact to a format that a backend reads, and the reference to their outcome."""

    steps: list[dict[str, Any]]
    reference: str
    format: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks for, in the words of a recipe: `inputs` with absolute paths, and `steps`.

    `threads` None is the project's; `is_fresh` does not use cached results.
    """

    command: str
    inputs: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    threads: int | None = None
    is_fresh: bool = False


def run_job(context: JobContext, job: Job, console: Console) -> tuple[list[StepRecord], Runner]:
    """Check and run a job.

    Returns:
        A record a step, and the runner, which knows where finished steps lie.
    """
    runner = make_runner(context, job, console)
    with runner.scratch():
        return runner.execute(), runner


def make_runner(context: JobContext, job: Job, console: Console) -> Runner:
    """Check a job, the project's defaults laid under its steps.

    Raises:
        LingoLiteError: it is wrong, or torchrun started several processes for it.
    """
    if num_processes() > 1:
        raise LingoLiteError(
            f"`{job.command}` runs in one process, not under torchrun",
            hint="`torchrun … -m lingolite_cli train RECIPE` trains",
        )
    data: dict[str, Any] = {
        "name": job.command,
        "inputs": dict(job.inputs),
        "steps": [dict(step) for step in job.steps],
    }
    if job.threads is not None:
        data["threads"] = job.threads
    where = f"lingolite {job.command}"
    recipe = convert(merge_defaults(data, context.project.settings.defaults), Recipe, where=where)
    plan = make_plan(recipe, path=where, project=context.project, registry=context.registry)
    host = context.registry.host
    return Runner(plan, cache=context.cache, console=console, host=host, is_fresh=job.is_fresh)


def convert_and_publish(context: JobContext, job: Job, console: Console, *, out: Path, overwrite: bool) -> StepRecord:
    """Run a job whose last step makes an artifact, and copy that to `out`.

    Raises:
        LingoLiteError: as the steps; or `out` exists, which is refused before any work.
    """
    check_target(out, overwrite=overwrite)
    records, runner = run_job(context, job, console)
    publish_artifact(runner.finished(records[-1].id).artifact_path, out, overwrite=overwrite)
    return records[-1]


def publish_artifact(source: Path | None, target: Path, *, overwrite: bool) -> None:
    """Copy a finished artifact out of the cache, whole or not at all."""
    assert source is not None, "the step made no artifact"
    artifact = Artifact.open(source)
    with atomic_directory(target, overwrite=overwrite) as directory:
        for file in sorted(artifact.path.rglob("*")):
            if file.is_file():
                copy = directory / file.relative_to(artifact.path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())


def model_path(context: JobContext, model: Path | None) -> Path:
    """The artifact that was named, or the project's.

    Raises:
        LingoLiteError: neither is there.
    """
    if model is not None:
        return model.resolve()
    project = context.project
    if project.settings.model is None:
        raise LingoLiteError(
            "no model: there is no --model, and no `model` in lingolite.toml",
            hint="pass --model BUNDLE, or run this inside a project; `lingolite init` makes one",
        )
    return (project.root / project.settings.model).resolve()


def model_input(path: Path) -> dict[str, Any]:
    """A model as a recipe's input."""
    return {"bundle": str(path)}


def corpus_input(
    context: JobContext,
    *,
    source: Path | None,
    targets: Sequence[Path],
    languages: tuple[str, str] | None,
    which: Literal["test", "dev"] = "test",
) -> dict[str, Any]:
    """The text that was named, or the project's test or dev set, as a recipe's input.

    Raises:
        LingoLiteError: neither is there, or references come without a source.
    """
    if source is None and targets:
        raise LingoLiteError("--target without --source", hint="pass the sources too: --source FILE")
    if source is not None:
        named: dict[str, Any] = (
            {"tsv": str(source.resolve())}
            if not targets
            else {"source": str(source.resolve()), "references": [str(target.resolve()) for target in targets]}
        )
        chosen = languages or context.project.settings.languages
        return {**named, "languages": list(chosen)} if chosen else named
    known = context.project.settings.test if which == "test" else context.project.settings.dev
    if known is None:
        raise LingoLiteError(
            f"no {which} set: there is no --source, and no [{which}] in lingolite.toml",
            hint="pass --source FILE --target FILE",
        )
    plain = project_corpus(context, known)
    return {**plain, "languages": list(languages)} if languages else plain


def project_corpus(context: JobContext, spec: CorpusSpec) -> dict[str, Any]:
    """A text of lingolite.toml as a recipe's input: its paths absolute."""
    plain: dict[str, Any] = {key: value for key, value in msgspec.to_builtins(spec).items() if value}
    root = context.project.root
    for key in ("tsv", "source"):
        if key in plain:
            plain[key] = str(root / plain[key])
    if "references" in plain:
        plain["references"] = [str(root / path) for path in plain["references"]]
    return plain


def is_tsv(path: Path) -> bool:
    """Whether sources are a column of a file and not its lines, where no references tell."""
    return path.name.endswith((".tsv", ".tsv.gz"))


def lead_to(registry: Registry, *, backend: str, format: str, reference: str = MODEL, prefix: str = "") -> Conversion:
    """The conversions, if any, after which `backend` can run an artifact of `format`.

    Raises:
        LingoLiteError: the backend is not usable, or no single plugin leads there.
    """
    accepts = registry.resolve("backend", backend).spec.accepts
    if format in accepts:
        return Conversion([], reference, format)
    for kind, uses, key in (("exporter", "export", "format"), ("quantizer", "quantize", "method")):
        names = [
            entry.name
            for entry in registry.of_kind(kind)
            if entry.health is Health.OK and _leads(_spec(entry), format, accepts)
        ]
        if names:
            produces = registry.resolve(kind, names[0]).spec.produces
            step = {"id": f"{prefix}{uses}", "uses": uses, key: names[0], "model": reference}
            return Conversion([step], step["id"], produces)
    raise LingoLiteError(
        f"backend `{backend}` does not run format {format}, and no plugin turns that into "
        f"{' or '.join(sorted(accepts))}",
        hint="`lingolite plugins list` shows what reads and makes what",
        exit_code=ExitCode.PLUGIN,
    )


def note_conversion(lead: Conversion, console: Console, *, backend: str) -> None:
    """Say that a model is made into another format, where it is."""
    for step in lead.steps:
        console.note(f"backend `{backend}` runs another format: the model is converted ({step['uses']}) into the cache")


def converted(context: JobContext, artifact: Artifact, console: Console, *, backend: str, threads: int) -> Artifact:
    """What `backend` can run of `artifact`: itself, or what plugins make of it in the cache.

    Raises:
        LingoLiteError: as of `lead_to`, or of the conversion.
    """
    lead = lead_to(context.registry, backend=backend, format=artifact.manifest.format)
    if not lead.steps:
        return artifact
    note_conversion(lead, console, backend=backend)
    inputs = {"model": model_input(artifact.path.resolve())}
    records, runner = run_job(
        context, Job(command="convert", inputs=inputs, steps=lead.steps, threads=threads), console
    )
    path = runner.finished(records[-1].id).artifact_path
    assert path is not None, "a conversion makes an artifact"
    return Artifact.open(path)


def _spec(entry: Any) -> Any:
    return entry.spec


def _leads(spec: Any, format: str, accepts: frozenset[str]) -> bool:
    """Whether a plugin leads there with the artifact alone."""
    return format in spec.accepts and spec.produces in accepts and not getattr(spec, "needs", None)


def backend_for(context: JobContext, *, format: str, asked: str | None = None) -> str:
    """The backend that was asked for; else the project's if it runs `format`, or the first that does.

    Raises:
        LingoLiteError: none does, or the project's is not usable.
    """
    found = asked or able_backend(context, format=format)
    if found is None:
        raise LingoLiteError(f"no backend runs format {format}", hint="`lingolite plugins list` shows the backends")
    return found


def able_backend(context: JobContext, *, format: str) -> str | None:
    """The project's backend if it runs `format`, or the first that does; None where none does.

    Raises:
        LingoLiteError: the project's backend is not usable.
    """
    preferred = context.project.settings.defaults.get("evaluate", {}).get("backend")
    if preferred is not None:
        context.registry.resolve("backend", str(preferred))
    preferred = preferred or "cached"
    able = [
        entry.name
        for entry in context.registry.of_kind("backend")
        if entry.health is Health.OK and format in _spec(entry).accepts
    ]
    if preferred in able:
        return str(preferred)
    return able[0] if able else None


def format_of(path: Path) -> str:
    """The format of the artifact at `path`."""
    return read_manifest(path).format


def project_metrics(context: JobContext) -> list[str]:
    """The metrics that a project scores by where none are named."""
    return list(context.project.settings.defaults.get("evaluate", {}).get("metrics", DEFAULT_METRICS))


def plugin_options(
    registry: Registry, *, kind: str, name: str, flags: Mapping[str, Any], pairs: Mapping[str, Any]
) -> dict[str, Any]:
    """A plugin's options from flags of the command (None where not given) and `--option KEY=VALUE`.

    Raises:
        LingoLiteError: a flag was given that the plugin has no option for.
    """
    known = _option_names(registry.resolve(kind, name).spec)
    options = {}
    for flag, value in flags.items():
        if value is None:
            continue
        if flag not in known:
            able = [entry.name for entry in registry.of_kind(kind) if entry.spec and flag in _option_names(entry.spec)]
            raise LingoLiteError(
                f"{kind} `{name}` has no option {flag}",
                hint=f"those with it: {', '.join(sorted(able))}" if able else f"no {kind} has it",
            )
        options[flag] = value
    return {**options, **pairs}


def _option_names(spec: Spec) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(spec.options)]
