"""A metric as the host calls it: with the translations of one system, and with sources where the metric needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.plugins.specs import MetricSpec, caution_of

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


class Translations(msgspec.Struct, frozen=True):
    """N sources, their references, and one system's hypotheses."""

    sources: list[str]
    references: list[list[str]]
    hypotheses: list[str]

    def append(self, source: str, references: list[str], hypothesis: str) -> None:
        """Add a sentence."""
        self.sources.append(source)
        self.references.append(references)
        self.hypotheses.append(hypothesis)

    def pick(self, indices: Sequence[int]) -> Translations:
        """Some of the sentences."""
        return Translations(
            [self.sources[index] for index in indices],
            [self.references[index] for index in indices],
            [self.hypotheses[index] for index in indices],
        )

    @property
    def streams(self) -> list[list[str]]:
        """The references as R streams of N."""
        return [list(stream) for stream in zip(*self.references, strict=True)]


class Scorer(msgspec.Struct, frozen=True):
    """A metric and its descriptor."""

    metric: Any  # a `Metric`, a `ResamplableMetric` or a `SourceMetric`
    spec: MetricSpec

    @property
    def is_resamplable(self) -> bool:
        """Whether it declares sentence statistics; without them a difference has no interval."""
        return "sentence_statistics" in self.spec.capabilities

    def score(self, translations: Translations) -> Any:
        """The metric's result, which a correct plugin makes a `Score`; callers check it."""
        return self.metric.score(translations.hypotheses, translations.streams, **self._sources(translations))

    def statistics(self, translations: Translations) -> StatisticsArray:
        """[N, K] float64, for a metric that is resamplable."""
        rows: StatisticsArray = self.metric.statistics(
            translations.hypotheses, translations.streams, **self._sources(translations)
        )
        return rows

    def _sources(self, translations: Translations) -> dict[str, list[str]]:
        return {"sources": translations.sources} if "sources" in self.spec.capabilities else {}


def cautions(options: Mapping[str, msgspec.Struct], target: str, *, written_in: str | None = None) -> list[str]:
    """What a user must know of the scores of metrics on text in a language.

    Args:
        options: of each metric, by its name.
        target: the target language, as `lingolite_cli.text.languages.primary_language` has it.
        written_in: what the script of the references tells, which counts where a metric has nothing to say of `target`.
    """
    found = []
    for name, own in options.items():
        said = caution_of(own, target) or (caution_of(own, written_in) if written_in is not None else None)
        if said is not None:
            found.append(f"{name}: {said}")
    return found
