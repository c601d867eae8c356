"""The metrics, as descriptors: the code is imported when a metric is first used."""

from __future__ import annotations

from functools import partial

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_metrics.options import (
    BleuOptions,
    ChrfOptions,
    ChrfppOptions,
    CometOptions,
    ExactMatchOptions,
    LengthRatioOptions,
    TerOptions,
)

_CAPABILITIES = frozenset({"sentence_statistics"})
_sacrebleu = partial(
    MetricSpec, requires=("sacrebleu", "numpy"), install="pip install sacrebleu", capabilities=_CAPABILITIES
)
_counted = partial(MetricSpec, requires=("numpy",), install="pip install numpy", capabilities=_CAPABILITIES)


@hookimpl
def lingolite_metrics() -> list[MetricSpec]:
    """BLEU, chrF, chrF++ and TER as sacreBLEU computes them, exact match, length ratio and COMET."""
    return [
        _sacrebleu(
            name="bleu",
            summary="BLEU: n-gram precision with a brevity penalty, by sacreBLEU",
            factory="lingolite_metrics.bleu:Bleu",
            options=BleuOptions,
        ),
        _sacrebleu(
            name="chrf",
            summary="chrF: character n-gram F-score, by sacreBLEU",
            factory="lingolite_metrics.chrf:Chrf",
            options=ChrfOptions,
        ),
        _sacrebleu(
            name="chrfpp",
            summary="chrF++: as chrF, with n-grams of words, by sacreBLEU",
            factory="lingolite_metrics.chrf:Chrf",
            options=ChrfppOptions,
        ),
        _sacrebleu(
            name="ter",
            summary="TER: translation edit rate, where lower is better, by sacreBLEU (slow)",
            factory="lingolite_metrics.ter:Ter",
            options=TerOptions,
            goal="lower",
        ),
        _counted(
            name="exact-match",
            summary="share of translations that are a reference, in per cent",
            factory="lingolite_metrics.exact_match:ExactMatch",
            options=ExactMatchOptions,
        ),
        _counted(
            name="length-ratio",
            summary="length in per cent of the references', where 100 is the goal",
            factory="lingolite_metrics.length_ratio:LengthRatio",
            options=LengthRatioOptions,
            goal=100.0,
        ),
        MetricSpec(
            name="comet",
            summary="COMET: a neural metric that reads the source too, by a local checkpoint",
            factory="lingolite_metrics.neural:Comet",
            options=CometOptions,
            requires=("comet", "torch"),
            install='pip install "lingolite[comet]"',
            capabilities=_CAPABILITIES | {"sources"},
        ),
    ]
