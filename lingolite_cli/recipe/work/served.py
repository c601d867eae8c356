"""What a `monitor` step holds a log against: the run that was signed off, and references.

Owns how both are found. What is measured is the business of `lingolite_cli.monitoring`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lingolite_cli.corpora.corpus import Corpus
from lingolite_cli.decoding.hypothesis import length_penalty
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.faults import TranslatedSentence
from lingolite_cli.evaluation.scorer import Translations
from lingolite_cli.monitoring.drift import SignedOff
from lingolite_cli.monitoring.figures import ServedFigures
from lingolite_cli.runs.finished import read_run
from lingolite_cli.runs.measured_results import EvaluateResult, VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import TranslationRecord, read_translations
from lingolite_cli.serving.sample import SampledRequest

_DEFAULT_PENALTY = 1.0


class SignedOffRun(NamedTuple):
    """The translations of a run.

    Attributes:
        counts: of them.
        hypotheses: by source.
        digest: of what made them, where the run says it.
    """

    counts: SignedOff
    hypotheses: dict[str, str]
    digest: str | None = None

    def doubts(self, served: ServedFigures) -> list[str]:
        """What makes the run a poor measure for what was served, a line each."""
        if self.digest is None or all(self.digest.startswith(model) for model in served.models):
            return []
        others = ", ".join(model for model in served.models if not self.digest.startswith(model))
        return [f"served was another artifact than the run signed off: {others}, not {self.digest[:16]}"]


def read_signed_off(path: Path) -> SignedOffRun:
    """What a run translated with the artifact that it is about: its last candidate, or what it evaluated last.

    Args:
        path: the directory of a run, or a file of translations.

    Raises:
        LingoLiteError: it is neither, or the run evaluated nothing.
    """
    if not path.is_dir():
        try:
            return _signed_off_run(read_translations(path), _DEFAULT_PENALTY)
        except OSError as error:
            raise LingoLiteError(f"cannot read {path}: {error.strerror}", hint="name the directory of a run") from None
    manifest = read_run(path)
    result = _signed_off(manifest)
    if result is None:
        raise LingoLiteError(f"the run {path} evaluated nothing", hint="name one with an `evaluate` step")
    records = read_translations(path / result.translations)
    digest = result.artifact.digest.removeprefix("sha256:")
    return _signed_off_run(records, result.decoding.length_penalty, digest)


def _signed_off(manifest: RunManifest) -> EvaluateResult | None:
    evaluated = {step.id: step.result for step in manifest.steps if isinstance(step.result, EvaluateResult)}
    judged = [step.result.candidate for step in manifest.steps if isinstance(step.result, VerifyResult)]
    named = [evaluated[name] for name in judged if name in evaluated]
    return next(reversed(named or list(evaluated.values())), None)


def _signed_off_run(records: Sequence[TranslationRecord], penalty: float, digest: str | None = None) -> SignedOffRun:
    counts = SignedOff(
        (
            TranslatedSentence(record.source, [], record.hypothesis, record.is_finished),
            record.score * length_penalty(len(record.tokens), penalty) / max(1, len(record.tokens)),
        )
        for record in records
    )
    return SignedOffRun(counts, {record.source.strip(): record.hypothesis for record in records}, digest)


class Paired(NamedTuple):
    """The same sentences with references, as the run translated them and as they were served."""

    signed_off: Translations
    served: Translations


class ServedTexts:
    """The served sentences that have references.

    Args:
        references: text with references; None is none.

    Attributes:
        has_references: whether there are some.
        has_texts: whether the log has any text.
        translations: those with references, in the order of the log.
    """

    def __init__(self, references: Corpus | None) -> None:
        self.has_references = references is not None
        self.has_texts = False
        self.translations = Translations([], [], [])
        self._references = (
            {}
            if references is None
            else {
                source.strip(): list(streams)
                for source, *streams in zip(references.sources, *references.references, strict=True)
            }
        )

    def noting(self, requests: Iterable[SampledRequest]) -> Iterator[SampledRequest]:
        """The requests as they are, and what of them has a reference is noted."""
        for request in requests:
            for sentence in request.sentences:
                if sentence.source is None or sentence.translation is None:
                    continue
                self.has_texts = True
                references = self._references.get(sentence.source.strip())
                if references:
                    self.translations.append(sentence.source, references, sentence.translation)
            yield request

    def paired(self, signed_off: SignedOffRun) -> Paired:
        """What the run translated, too. A translation that was served more than once is one sentence of the sample."""
        paired = Paired(Translations([], [], []), Translations([], [], []))
        seen: set[tuple[str, str]] = set()
        found = self.translations
        for source, references, served in zip(found.sources, found.references, found.hypotheses, strict=True):
            before = signed_off.hypotheses.get(source.strip())
            if before is None or (source.strip(), served) in seen:
                continue
            seen.add((source.strip(), served))
            paired.signed_off.append(source, references, before)
            paired.served.append(source, references, served)
        return paired
