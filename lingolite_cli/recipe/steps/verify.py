"""`verify`: one evaluated artifact compared with another, by quality, parity, faults and size.

Owns the checks and the measurement, which is cached. What each budget says of it is `judgement`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.budgets.budget import Budget, Need
from lingolite_cli.environment import cpu_features
from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.faults import FaultCounts, compare_faults
from lingolite_cli.evaluation.plausibility import doubts
from lingolite_cli.evaluation.scorer import Scorer
from lingolite_cli.files.download import CODEC, measure_downloads
from lingolite_cli.recipe.scope import PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.evaluation import EvaluateStep, find_evaluation, read_evaluation
from lingolite_cli.recipe.work.exported import BundleSource, compare_with_origin, find_origin
from lingolite_cli.recipe.work.judgement import PlannedVerification, VerifyStep, judge_verification, verify_budgets
from lingolite_cli.recipe.work.parity import EvaluatedSystem, measure_step_parity
from lingolite_cli.recipe.work.timing import needs_reference, timed_limits
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.measured_results import EvaluateResult, SentencePair, VerifyResult
from lingolite_cli.runs.translations import TranslationRecord, as_judged, as_translations

_MB = 1e6


def _check(step: VerifyStep, scope: Scope) -> PlannedVerification:
    """Refuse anything but two evaluations of the same text, and budgets on what they do not measure."""
    reference = find_evaluation(step, scope, key="reference", reference=step.reference)
    candidate = find_evaluation(step, scope, key="candidate", reference=step.candidate)
    first, second = reference.step, candidate.step
    if (first.corpus, first.max_samples) != (second.corpus, second.max_samples):
        raise scope.error(
            step,
            "candidate",
            f"`{first.id}` and `{second.id}` translate different sentences ({_text(first)} and {_text(second)})",
            hint="a paired verdict needs both on the same corpus with the same max_samples",
        )
    metrics = {choice.loaded.spec.name: choice for choice in reference.metrics}
    shared = [choice for choice in candidate.metrics if _same_metric(metrics.get(choice.loaded.spec.name), choice)]
    budgets = verify_budgets(shared)
    scope.check_budget(step, step.budget, known=list(budgets))
    _check_logits(step, scope, (reference.backend, candidate.backend), budgets)
    origin = find_origin(step, scope, candidate, step.exported_from)
    _check_exported(step, scope, candidate.backend, budgets, is_exported=origin is not None)
    if step.timing.max_rounds < step.timing.rounds:
        raise scope.error(step, "timing.max_rounds", f"{step.timing.max_rounds} is less than the rounds to begin with")
    _check_recorded(step, scope, (reference.backend, candidate.backend))
    is_timed = bool(timed_limits(step.budget))
    return PlannedVerification(
        step=step,
        reference=reference,
        candidate=candidate,
        metrics=tuple(shared),
        exported_from=origin,
        options={
            **_found(origin),
            "evaluation": candidate.options,
            "resamples": step.resamples,
            "worst": step.worst,
            "parity_samples": step.parity_samples,
        },
        judgement={
            "budget": step.budget,
            "allow_inconclusive": step.allow_inconclusive,
            "allow_implausible_reference": step.allow_implausible_reference,
            **({"timing": msgspec.to_builtins(step.timing)} if is_timed else {}),
        },
        is_timed=is_timed,
        summary=f"{step.candidate} against {step.reference}: {', '.join(step.budget) or 'no budget'}",
    )


def _found(origin: BundleSource | None) -> dict[str, str | None]:
    """What of the bundle the cached measurement depends on; a bundle of the recipe is among the step's inputs."""
    return {} if origin is None or origin.reference is not None else {"exported_from": origin.found}


def _check_exported(
    step: VerifyStep, scope: Scope, backend: PluginChoice, budgets: Mapping[str, Budget], *, is_exported: bool
) -> None:
    """Refuse budgets on the export of what was not exported, or on what the backend does not tell."""
    spec = backend.loaded.spec
    gives: dict[Need, bool] = {
        "bundle": "arithmetic" in spec.capabilities,
        "bundle, logits": "arithmetic" in spec.capabilities and spec.gives_logits,
        "bundle, scores": {"arithmetic", "score"} <= spec.capabilities and not spec.gives_logits,
        "bundle, operations": {"arithmetic", "trace"} <= spec.capabilities,
    }
    for name in step.budget:
        needs = budgets[name].needs
        if needs in gives and not is_exported:
            raise scope.error(step, f"budget.{name}", "the candidate is a bundle, which was not exported")
        if not gives.get(needs, True):
            message = f"backend `{spec.name}` does not show what this limits: {budgets[name].summary}"
            raise scope.error(step, f"budget.{name}", message, hint="see the capabilities in docs/plugins.md")


def _check_recorded(step: VerifyStep, scope: Scope, backends: tuple[PluginChoice, PluginChoice]) -> None:
    """Refuse budgets that compare times of this machine with those of another one."""
    ratios = [name for name in timed_limits(step.budget) if needs_reference({name: 0.0})]
    recorded = [backend.loaded.spec.name for backend in backends if "recorded" in backend.loaded.spec.capabilities]
    if ratios and recorded:
        raise scope.error(
            step,
            f"budget.{ratios[0]}",
            f"the times of backend `{recorded[0]}` were taken on another machine, so that ratios mean nothing",
            hint="budgets that are not relative can be judged, such as latency_p95_ms_max",
        )


def _check_logits(
    step: VerifyStep, scope: Scope, backends: tuple[PluginChoice, PluginChoice], budgets: Mapping[str, Budget]
) -> None:
    """Refuse budgets on logits that a backend does not give."""
    needed: dict[Need, Sequence[PluginChoice]] = {"candidate logits": backends[1:], "logits of both": backends}
    for name in step.budget:
        for backend in needed.get(budgets[name].needs, ()):
            if not backend.loaded.spec.gives_logits:
                raise scope.error(
                    step,
                    f"budget.{name}",
                    f"backend `{backend.loaded.spec.name}` searches by itself and gives no logits to compare",
                    hint="exact_match_min compares whole translations",
                )


def _text(step: EvaluateStep) -> str:
    return f"{step.corpus}, max_samples {step.max_samples}" if step.max_samples else step.corpus


def _same_metric(first: PluginChoice | None, second: PluginChoice) -> bool:
    return first is not None and first.options == second.options


def _run(planned: PlannedVerification, workspace: Workspace, directory: Path) -> VerifyResult:
    """Measure; budgets are judged later, on the cached result."""
    step = planned.step
    before, reference_records = read_evaluation(workspace, step.reference)
    after, candidate_records = read_evaluation(workspace, step.candidate)
    records = reference_records, candidate_records
    artifact, original = (workspace.artifact(side.step.model) for side in (planned.candidate, planned.reference))
    downloads = measure_downloads([artifact, original])
    with workspace.console.progress(step.id, total=None) as progress:
        progress.begin("metrics", total=len(planned.metrics))
        differences = [
            _difference(choice, workspace, (before, after), records, step) for choice in progress.track(planned.metrics)
        ]
        parity, warnings = measure_step_parity(
            planned,
            workspace,
            reference=EvaluatedSystem(planned.reference.backend, original, reference_records),
            candidate=EvaluatedSystem(planned.candidate.backend, artifact, candidate_records),
            progress=progress,
        )
        origin = planned.exported_from
        exported = None
        if origin is not None:
            exported = compare_with_origin(origin, planned.candidate, candidate_records, workspace, progress=progress)
        progress.begin("faults", total=2 * len(candidate_records))
        faults = compare_faults(*map(as_judged, records), track=progress.track)
        progress.begin("sentences", total=None)
        worst = _worst(reference_records, candidate_records, step.worst)
        progress.begin("download sizes", total=None)
        download, original_download = downloads.result()
    return VerifyResult(
        reference=step.reference,
        candidate=step.candidate,
        reference_artifact=before.artifact,
        candidate_artifact=summarize_artifact(artifact),
        differences=differences,
        parity=parity,
        exported=exported,
        size_mb=after.artifact.size_bytes / _MB,
        size_ratio=after.artifact.size_bytes / before.artifact.size_bytes,
        download_mb=download / _MB,
        download_ratio=download / original_download,
        download_codec=CODEC,
        verdicts=[],
        worst=worst,
        faults=faults,
        reference_doubts=doubts(as_judged(reference_records)),
        faulty=_faulty(faults, reference_records, candidate_records, step.worst),
        cpu_features=cpu_features(),
        warnings=sorted({*after.warnings, *warnings}),
    )


def _difference(
    choice: PluginChoice,
    workspace: Workspace,
    results: tuple[EvaluateResult, EvaluateResult],
    records: tuple[Sequence[TranslationRecord], Sequence[TranslationRecord]],
    step: VerifyStep,
) -> MetricDifference:
    spec = choice.loaded.spec
    first, second = map(as_translations, records)
    return measure_difference(
        spec.name,
        Scorer(workspace.create(choice), spec),
        first,
        second,
        seed=workspace.seed,
        resamples=step.resamples,
        scores=(results[0].metrics[spec.name].value, results[1].metrics[spec.name].value),
    )


def _faulty(
    faults: Sequence[FaultCounts],
    reference_records: Sequence[TranslationRecord],
    candidate_records: Sequence[TranslationRecord],
    count: int,
) -> list[SentencePair]:
    """The sentences with new faults."""
    new = sorted({index for fault in faults for index in fault.new})[:count]
    return _pairs([(reference_records[index], candidate_records[index]) for index in new])


def _worst(
    reference_records: Sequence[TranslationRecord], candidate_records: Sequence[TranslationRecord], count: int
) -> list[SentencePair]:
    """The sentences with the largest losses of sentence chrF, worst first, without those that are translated alike."""
    both = zip(reference_records, candidate_records, strict=True)
    pairs = _pairs([(before, after) for before, after in both if before.hypothesis != after.hypothesis])
    return sorted(pairs, key=lambda pair: (pair.delta, pair.index))[:count]


def _pairs(both: Sequence[tuple[TranslationRecord, TranslationRecord]]) -> list[SentencePair]:
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    pairs = []
    for before, after in both:
        scores = [metric.sentence_score(record.hypothesis, record.references).score for record in (before, after)]
        pairs.append(
            SentencePair(
                index=before.index,
                source=before.source,
                reference=before.references[0],
                reference_hypothesis=before.hypothesis,
                candidate_hypothesis=after.hypothesis,
                delta=scores[1] - scores[0],
            )
        )
    return pairs


KIND = StepKind(table=VerifyStep, result=VerifyResult, check=_check, run=_run, judge=judge_verification)
