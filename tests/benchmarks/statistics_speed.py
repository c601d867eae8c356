"""How long the statistics of a verdict take: BLEU, chrF and TER of 1,000 sentences with 2,000 resamples.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.statistics_speed

Everything that `verify` and `compare` do for a metric is timed: sentence statistics of both systems, interval, guard
and p-value. The sentences are the starter's test set, filled up to the number asked for; the systems are those of
`tests/simulations/simulated_systems.py`, of which the candidate differs in nearly every sentence.
"""

from __future__ import annotations

import argparse
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.plugins.specs import MetricSpec
from tests.simulations.simulated_systems import lose_words, make_mistakes

TEXT = Path(__file__).resolve().parents[2] / "recipes/starter-en-da/test.en-da.tsv"


def main() -> None:
    """Time each metric, and all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--resamples", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--metrics", default="bleu,chrf,ter", help="default: %(default)s")
    options = parser.parse_args()
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t")[:2] for line in islice(cycle(lines), options.sentences)]
    sources, references = [pair[0] for pair in pairs], [[pair[1]] for pair in pairs]
    generator = np.random.default_rng(1)
    hypotheses = make_mistakes([reference[0] for reference in references], generator)
    systems = [Translations(sources, references, texts) for texts in (hypotheses, lose_words(hypotheses, generator))]
    registry = load_registry()
    total = 0.0
    for name in options.metrics.split(","):
        metric = registry.resolve("metric", name)
        assert isinstance(metric.spec, MetricSpec)
        scorer = Scorer(metric.create(), metric.spec)
        start = time.perf_counter()
        seen = measure_difference(name, scorer, systems[0], systems[1], seed=17, resamples=options.resamples)
        seconds = time.perf_counter() - start
        total += seconds
        interval = "no interval" if seen.low is None or seen.high is None else f"[{seen.low:+.2f}, {seen.high:+.2f}]"
        print(f"{name:>14}  {seconds:5.2f} s   {seen.delta:+.2f} {interval}, p {seen.p_value}")
    print(f"{'all':>14}  {total:5.2f} s   {options.sentences:,} sentences, {options.resamples:,} resamples")


if __name__ == "__main__":
    main()
