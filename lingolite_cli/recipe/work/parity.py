"""Parity in a `verify` step: opens both systems, and makes the forced tokens of the reference's translations.

Owns the way from a step's evaluations to `lingolite_cli.evaluation.parity_measurement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import TOKENIZER_NAMES, Artifact
from lingolite_cli.console import Progress
from lingolite_cli.evaluation.parity import Parity, Tokens, compare_hypotheses
from lingolite_cli.recipe.scope import PluginChoice
from lingolite_cli.recipe.work.judgement import PlannedVerification
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.translations import TranslationRecord

if TYPE_CHECKING:
    from lingolite_cli.evaluation.parity_measurement import ParityText
    from lingolite_cli.plugins.interfaces import Backend
    from lingolite_cli.workers.isolation import IsolatedBackend


class EvaluatedSystem(msgspec.Struct, frozen=True):
    """A system that was evaluated: its backend, its artifact and its translations."""

    backend: PluginChoice
    artifact: Artifact
    records: Sequence[TranslationRecord]

    @property
    def tokens(self) -> list[Tokens]:
        """Its hypotheses."""
        return [tuple(record.tokens) for record in self.records]

    @property
    def gives_logits(self) -> bool:
        """Whether its engine gives logits, so that it can be driven token by token."""
        return bool(self.backend.loaded.spec.gives_logits)


def measure_step_parity(
    planned: PlannedVerification,
    workspace: Workspace,
    *,
    reference: EvaluatedSystem,
    candidate: EvaluatedSystem,
    progress: Progress,
) -> tuple[Parity | None, list[str]]:
    """Parity of the candidate, from its files alone, through its backend; None where the tokenizers differ.

    Of an engine that gives no logits only whole translations are compared.

    Args:
        planned: the step.
        workspace: the run.
        reference: what is to be followed.
        candidate: what is judged.
        progress: of the step.

    Returns:
        The figures, and what users must know of the candidate's backend before they trust them.
    """
    manifests = [side.artifact.manifest for side in (reference, candidate)]
    tokenizers = [
        ({name: manifest.files.get(name) for name in TOKENIZER_NAMES}, manifest.tokenizer_description)
        for manifest in manifests
    ]
    if tokenizers[0] != tokenizers[1]:
        return None, [
            f"parity was not measured: the two artifacts have different tokenizers; {_differ(reference, candidate)}"
        ]
    if not candidate.gives_logits:
        name = candidate.backend.loaded.spec.name
        missing = [f"logits, ranks and probes: backend `{name}` searches by itself and gives no logits"]
        return msgspec.structs.replace(compare_hypotheses(reference.tokens, candidate.tokens), not_measured=missing), []
    progress.begin("opening both systems", total=None)
    return _by_logits(planned, workspace, reference, candidate, progress)


def _differ(reference: EvaluatedSystem, candidate: EvaluatedSystem) -> str:
    from lingolite_cli.evaluation.token_tables import describe_difference
    from lingolite_cli.tokenization.opening import open_tokenizer

    return describe_difference(*(open_tokenizer(side.artifact).target_pieces for side in (reference, candidate)))


def _by_logits(
    planned: PlannedVerification,
    workspace: Workspace,
    reference: EvaluatedSystem,
    candidate: EvaluatedSystem,
    progress: Progress,
) -> tuple[Parity, list[str]]:
    from lingolite_cli.evaluation.causes import expected_noise, name_causes
    from lingolite_cli.evaluation.parity_measurement import ParitySettings, measure_parity

    step, evaluated = planned.step, planned.candidate
    settings = ParitySettings(
        sample=step.parity_samples,
        seed=workspace.seed,
        worst=step.worst,
        batch_size=evaluated.step.batch_size,
        max_batch_tokens=evaluated.step.max_batch_tokens,
    )
    text = _text(reference, candidate, evaluated.languages)
    with ExitStack() as stack:
        judged = stack.enter_context(closing(_isolate(candidate, workspace)))
        expected = stack.enter_context(closing(_open(reference, workspace))) if reference.gives_logits else None
        parity = measure_parity(
            judged, text, reference=expected, settings=settings, count=judged.agreement, progress=progress
        )
        precisions = (side.artifact.manifest.quantization for side in (candidate, reference))
        causes = name_causes(parity, noise=expected_noise(*precisions))
        return msgspec.structs.replace(parity, causes=causes), judged.warnings


def _open(system: EvaluatedSystem, workspace: Workspace) -> Backend:
    backend: Backend = workspace.open_backend(system.backend, system.artifact)
    return backend


def _isolate(system: EvaluatedSystem, workspace: Workspace) -> IsolatedBackend:
    """The system in a fresh process that has access to the artifact's files only."""
    from lingolite_cli.workers.isolation import IsolatedBackend
    from lingolite_cli.workers.protocol import Open

    return IsolatedBackend(
        Open(
            artifact=str(system.artifact.path.resolve()),
            backend=system.backend.loaded.spec.name,
            options=system.backend.options,
            threads=workspace.threads,
            blocked=list(workspace.plan.blocked),
        )
    )


def _text(reference: EvaluatedSystem, candidate: EvaluatedSystem, languages: tuple[str, str]) -> ParityText:
    from lingolite_cli.evaluation.parity_measurement import ParityText
    from lingolite_cli.tokenization.opening import open_tokenizer

    tokenizer = open_tokenizer(candidate.artifact)
    positions, fewer = (side.artifact.manifest.model.max_seq_len for side in (reference, candidate))
    texts = [record.source for record in reference.records]
    return ParityText(
        reference_sources=[tokenizer.encode_source(text, languages, max_length=positions).ids for text in texts],
        candidate_sources=[tokenizer.encode_source(text, languages, max_length=fewer).ids for text in texts],
        reference_tokens=reference.tokens,
        candidate_tokens=candidate.tokens,
        candidate_positions=fewer,
        ids=tokenizer.decoding_ids(languages),
        pieces=tokenizer.target_pieces,
        num_source_tokens=candidate.artifact.manifest.model.num_source_tokens,
        repeats_are_equal=candidate.artifact.manifest.model.repeats_are_equal,
    )
