"""How often a budget on a loss passes although the candidate loses more: simulated, with the true loss on the limit.

    python tests/simulations/false_passes.py

writes a table in Markdown. Systems and test sets are those of `simulated_systems.py`, over the sentences of
the starter's test set. Every `pass` is a false one. Rates have Wilson's 95 % interval.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import NormalDist
from typing import Any

from simulated_systems import HARMS, judge_at_the_margin, make_population

from lingolite_cli.evaluation.scorer import Scorer
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.plugins.specs import MetricSpec

TEXT = Path(__file__).resolve().parents[2] / "recipes/starter-en-da/test.en-da.tsv"


def main() -> None:
    """Simulate, and write a line as soon as it is known."""
    options = _arguments()
    references = [line.split("\t")[1] for line in TEXT.read_text(encoding="utf-8").splitlines()]
    registry = load_registry()
    print(
        "| candidate | metric | true loss | sentences | interval alone | verdict passes | fails | no difference seen |"
    )
    print("| --- | --- | --: | --: | --: | --: | --: | --: |")
    for harm in HARMS:
        for name in options.metrics.split(","):
            metric = registry.resolve("metric", name)
            assert isinstance(metric.spec, MetricSpec)
            scorer = Scorer(metric.create(), metric.spec)
            population = make_population(references, HARMS[harm], scorer, seed=options.seed)
            for size in map(int, options.sizes.split(",")):
                seen = judge_at_the_margin(
                    population,
                    num_sentences=size,
                    draws=options.draws,
                    seed=options.seed + size,
                    resamples=options.resamples,
                )
                alike = float((population.reference == population.candidate).all(axis=1).mean()) ** size
                cells = [harm, name, f"{population.true_loss:.2f}", f"{size:,}"]
                cells += [_rate(count, seen.draws) for count in (seen.interval_passes, seen.verdicts["pass"])]
                cells += [_rate(seen.verdicts["fail"], seen.draws), f"{alike:.1%}"]
                print(f"| {' | '.join(cells)} |", flush=True)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="test sets for each line (default: %(default)s)")
    parser.add_argument("--sizes", default="100,300,1000", help="sentences of a test set (default: %(default)s)")
    parser.add_argument("--metrics", default="bleu,chrf,ter", help="default: %(default)s")
    parser.add_argument("--resamples", type=int, default=1000, help="of each interval (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of systems and test sets (default: %(default)s)")
    return parser.parse_args()


def _rate(count: int, draws: int) -> str:
    """A share in per cent with Wilson's interval."""
    z = NormalDist().inv_cdf(0.975)
    share = count / draws
    middle = (share + z**2 / (2 * draws)) / (1 + z**2 / draws)
    reach = z / (1 + z**2 / draws) * (share * (1 - share) / draws + z**2 / (4 * draws**2)) ** 0.5
    return f"{share:.1%} ({100 * max(middle - reach, 0.0):.1f}–{100 * (middle + reach):.1f})"


if __name__ == "__main__":
    main()
