"""Is the file what was exported? Finds the bundle that an artifact was made from, and holds the artifact against it.

Owns the search for the bundle, which happens while a recipe is checked, and the way from a `verify` step to
`lingolite_cli.evaluation.exported_measurement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lingolite_cli.artifact import BUNDLE, Artifact, bundle_digest
from lingolite_cli.console import Progress
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PluginChoice, Scope
from lingolite_cli.recipe.work.evaluation import PlannedEvaluation
from lingolite_cli.recipe.work.exported_data import compare_files, manifest_differences, shortlist_difference
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.translations import TranslationRecord

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.evaluation.exported_measurement import ExportedText

_SENTENCES = 64
"""Sentences whose logits are compared. Each operation is compared besides, so many of them would tell nothing new."""


class BundleSource(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that an artifact was exported from.

    Attributes:
        reference: what it is called in the recipe, if it is in it.
        path: where it lies, if it is in the cache only.
        found: where it was found; None where it was not.
        missing: why not.
    """

    reference: str | None = None
    path: Path | None = None
    found: Literal["run", "given", "cache"] | None = None
    missing: str = ""


def find_origin(step: Step, scope: Scope, candidate: PlannedEvaluation, given: str | None) -> BundleSource | None:
    """Look for the bundle of the artifact that was evaluated; None where that is a bundle itself.

    Args:
        step: the `verify` step.
        scope: what it may refer to.
        candidate: the evaluation of the artifact.
        given: the bundle that the step names, if it names one.

    Raises:
        LingoLiteError: the step names a bundle, and the artifact was not exported, or from another one.
    """
    model = candidate.step.model
    if scope.artifact_format(step, "candidate", model).startswith(BUNDLE):
        if given is not None:
            raise scope.error(
                step, "exported_from", f"`{model}` is a bundle, which was not exported", hint="leave the key out"
            )
        return None
    if given is not None:
        scope.artifact_format(step, "exported_from", given)
        _require_same(step, scope, model, given)
        return BundleSource(reference=given, found="given")
    while model in scope.steps:  # an exported artifact may have been exported once more
        model = scope.steps[model].inputs[0]
        if scope.artifact_format(step, "candidate", model).startswith(BUNDLE):
            return BundleSource(reference=model, found="run")
    digest = bundle_digest(scope.models[model].manifest)
    if digest is None:
        return BundleSource(missing="its manifest does not say what it was made from")
    for reference, artifact in scope.models.items():
        if artifact.digest == digest:
            return BundleSource(reference=reference, found="run")
    path = scope.find_artifact(digest)
    if path is not None:
        return BundleSource(path=path, found="cache")
    return BundleSource(
        missing=f"the bundle {digest[:12]} that it was made from is neither in the run nor in the cache"
    )


def _require_same(step: Step, scope: Scope, model: str, given: str) -> None:
    if model not in scope.models or given not in scope.models:
        return
    digest, bundle = bundle_digest(scope.models[model].manifest), scope.models[given]
    if digest is not None and digest != bundle.digest:
        raise scope.error(
            step,
            "exported_from",
            f"{bundle.path} is the bundle {bundle.digest[:12]}, and the candidate was made from {digest[:12]}",
            hint="name the bundle that was exported, as it was then",
        )


def compare_with_origin(
    origin: BundleSource,
    candidate: PlannedEvaluation,
    records: Sequence[TranslationRecord],
    workspace: Workspace,
    *,
    progress: Progress,
) -> ExportedComparison:
    """Hold the evaluated artifact against the bundle that it was exported from, in a process of its own.

    Args:
        origin: the bundle, as far as it was found.
        candidate: the evaluation of the artifact.
        records: its translations.
        workspace: the run.
        progress: of the step.
    """
    progress.begin("opening the file and its bundle", total=None)
    artifact = workspace.artifact(candidate.step.model)
    named = bundle_digest(artifact.manifest)
    if origin.found is None:
        return ExportedComparison(
            bundle=named, not_measured=[f"whether the file is what was exported: {origin.missing}"]
        )
    bundle = workspace.artifact(origin.reference) if origin.reference is not None else Artifact.open(_path(origin))
    known = ExportedComparison(bundle=bundle.digest, found=origin.found)
    spec = candidate.backend.loaded.spec
    if "arithmetic" not in spec.capabilities or not bundle.manifest.format.startswith(BUNDLE):
        why = f"backend `{spec.name}` does not say how it computes"
        return msgspec.structs.replace(known, not_measured=[f"whether the file is what was exported: {why}"])
    return _compare(known, artifact, bundle, candidate, records, workspace, progress)


def _path(origin: BundleSource) -> Path:
    assert origin.path is not None
    return origin.path


def _compare(
    known: ExportedComparison,
    artifact: Artifact,
    bundle: Artifact,
    candidate: PlannedEvaluation,
    records: Sequence[TranslationRecord],
    workspace: Workspace,
    progress: Progress,
) -> ExportedComparison:
    from lingolite_cli.evaluation.exported_measurement import compare_end_to_end, compare_scores, compare_values
    from lingolite_cli.evaluation.tokenizer_comparison import compare_tokenizers
    from lingolite_cli.weights.bundle import Weights

    weights = Weights.read(bundle)
    arithmetic = _arithmetic(candidate.backend, artifact, bundle)
    sentences = [record.source for record in records]
    sentences += [reference for record in records for reference in record.references]
    described = compare_files(artifact, bundle, candidate.backend, weights, arithmetic)
    known = msgspec.structs.replace(
        known,
        arithmetic=arithmetic.name,
        limits=_limits(arithmetic, candidate.backend),
        tokenizer=compare_tokenizers(bundle, artifact, sentences),
        manifest=manifest_differences(bundle.manifest, artifact.manifest),
        files=described.differences,
        shortlist=shortlist_difference(artifact.manifest),
        not_measured=[
            *(f"{part}: not compared with the bundle" for part in arithmetic.excluded),
            *described.not_measured,
        ],
    )
    text = _text(artifact, bundle, candidate, records, workspace)
    if not text.tokens:
        return msgspec.structs.replace(
            known, not_measured=[*known.not_measured, "logits: no translation holds a token"]
        )
    spec = candidate.backend.loaded.spec
    if not spec.gives_logits:
        if not text.is_greedy:
            missing = f"translations: backend `{spec.name}` gives no logits, and its search is not greedy"
            return msgspec.structs.replace(known, not_measured=[*known.not_measured, missing])
        found = compare_end_to_end(None, text, weights, arithmetic, progress=progress)
        missing = f"logits and operations: backend `{spec.name}` shows none"
        if "score" not in spec.capabilities or arithmetic.scores is None:
            return _joined(known, found, missing)
        chosen = PluginChoice(candidate.backend.loaded, arithmetic.scores.options)
        with closing(workspace.open_backend(chosen, artifact)) as scoring:
            scores = compare_scores(scoring.score, text, weights, arithmetic.scores, progress=progress)
        return _joined(known, found, scores, missing)
    with closing(_isolate(candidate.backend, artifact, arithmetic, workspace)) as judged:
        found = compare_end_to_end(judged, text, weights, arithmetic, progress=progress)
        if "trace" not in spec.capabilities:
            return _joined(known, found, f"operations: backend `{spec.name}` does not show their values")
        values = compare_values(
            lambda tokens: judged.trace(tokens, bundle=bundle), text, weights, arithmetic, progress=progress
        )
    return _joined(known, found, values)


def _joined(known: ExportedComparison, *found: ExportedComparison | str) -> ExportedComparison:
    """`known` with what was measured besides, and with lines on what was not."""
    for part in found:
        if isinstance(part, str):
            known = msgspec.structs.replace(known, not_measured=[*known.not_measured, part])
        elif part.score_difference is not None:
            known = msgspec.structs.replace(known, score_difference=part.score_difference)
        elif part.rounding is not None:
            known = msgspec.structs.replace(
                known, rounding=part.rounding, num_operations=part.num_operations, operations=part.operations
            )
        else:
            known = msgspec.structs.replace(
                known,
                agreement=part.agreement,
                num_tokens=part.num_tokens,
                logits=part.logits,
                explained_kl=part.explained_kl,
                limits={**known.limits, **_explained_limits(known.limits, part)},
            )
    return known


def _explained_limits(limits: dict[str, float], found: ExportedComparison) -> dict[str, float]:
    """The limit of KL in this network, where last bits explain more than the engine states for any."""
    if found.explained_kl is None:
        return {}
    return {"exported_kl_max": max(limits["exported_kl_max"], found.explained_kl)}


def _arithmetic(backend: PluginChoice, artifact: Artifact, bundle: Artifact) -> Arithmetic:
    factory: Any = backend.loaded.load_factory()
    found: Arithmetic = factory.arithmetic(artifact, bundle, backend.loaded.options(backend.options))
    return found


def _limits(arithmetic: Arithmetic, backend: PluginChoice) -> dict[str, float]:
    """What the engine's rounding explains, by budget."""
    spec = backend.loaded.spec
    limits: dict[str, float] = {"exported_data_max": 0, "exported_parity_min": arithmetic.parity_min}
    if spec.gives_logits:
        limits["exported_kl_max"] = arithmetic.kl_max
    elif "score" in spec.capabilities and arithmetic.scores is not None:
        limits["exported_score_max"] = arithmetic.scores.difference_max
    if "trace" in spec.capabilities:
        limits["exported_rounding_max"] = 1
    return limits


def _text(
    artifact: Artifact,
    bundle: Artifact,
    candidate: PlannedEvaluation,
    records: Sequence[TranslationRecord],
    workspace: Workspace,
) -> ExportedText:
    """A sample of sentences of all lengths, read by the bundle's tokenizer, with the file's own translations."""
    from lingolite_cli.evaluation.exported_measurement import ExportedText
    from lingolite_cli.evaluation.parity_measurement import spread_over_lengths
    from lingolite_cli.tokenization.opening import open_tokenizer

    tokenizer = open_tokenizer(bundle)
    positions = min(manifest.model.max_seq_len for manifest in (bundle.manifest, artifact.manifest))
    kept = [record for record in records if record.tokens]
    sources = [tokenizer.encode_source(record.source, candidate.languages, max_length=positions).ids for record in kept]
    chosen = spread_over_lengths(
        [len(source) for source in sources],
        [len(record.tokens) for record in kept],
        sample=_SENTENCES,
        seed=workspace.seed,
    )
    return ExportedText(
        sources=[sources[index] for index in chosen],
        tokens=[tuple(kept[index].tokens) for index in chosen],
        positions=positions,
        ids=tokenizer.decoding_ids(candidate.languages),
        never_generated=tokenizer.description.never_generated,
        is_greedy=candidate.decoding.beam_size == 1 and candidate.decoding.min_length == 0,
    )


def _isolate(backend: PluginChoice, artifact: Artifact, arithmetic: Arithmetic, workspace: Workspace) -> Any:
    """The file in a fresh process that is given nothing else; to name its operations it may ask the bundle."""
    from lingolite_cli.workers.isolation import IsolatedBackend
    from lingolite_cli.workers.protocol import Open

    return IsolatedBackend(
        Open(
            artifact=str(artifact.path.resolve()),
            backend=backend.loaded.spec.name,
            options=backend.options if arithmetic.options is None else arithmetic.options,
            threads=workspace.threads,
            blocked=list(workspace.plan.blocked),
        )
    )
