"""The metrics `bleu`, `chrf` and `ter`, as descriptors: the code is imported when a metric is first used."""

from __future__ import annotations

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_metrics.options import BleuOptions, ChrfOptions, TerOptions

_CAPABILITIES = frozenset({"sentence_statistics"})


@hookimpl
def lingolite_metrics() -> list[MetricSpec]:
    """BLEU, chrF and TER as sacreBLEU computes them."""
    return [
        MetricSpec(
            name="bleu",
            summary="BLEU: n-gram precision with a brevity penalty, by sacreBLEU",
            factory="lingolite_metrics.bleu:Bleu",
            options=BleuOptions,
            requires=("sacrebleu", "numpy"),
            install="pip install sacrebleu",
            capabilities=_CAPABILITIES,
        ),
        MetricSpec(
            name="chrf",
            summary="chrF: character n-gram F-score, chrF++ with word_order = 2, by sacreBLEU",
            factory="lingolite_metrics.chrf:Chrf",
            options=ChrfOptions,
            requires=("sacrebleu", "numpy"),
            install="pip install sacrebleu",
            capabilities=_CAPABILITIES,
        ),
        MetricSpec(
            name="ter",
            summary="TER: translation edit rate, where lower is better, by sacreBLEU (slow)",
            factory="lingolite_metrics.ter:Ter",
            options=TerOptions,
            requires=("sacrebleu", "numpy"),
            install="pip install sacrebleu",
            capabilities=_CAPABILITIES,
            goal="lower",
        ),
    ]
