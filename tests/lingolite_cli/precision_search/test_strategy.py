"""The search for the smallest mix against all mixes there are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lingolite_cli.precision_search.strategy import Space, find_smallest
from lingolite_cli.precision_search.units import Mix

PRECISIONS = ("int4", "int8", "fp16")


def random_space(seed: int, *, num_units: int = 5) -> Space:
    """Units of very different sizes, whose losses shrink with precision and have nothing to do with their sizes."""
    random = np.random.default_rng(seed)
    weights = random.integers(100, 2000, num_units)
    first = random.exponential(1.0, num_units)
    return Space(
        precisions=PRECISIONS,
        sizes=[[int(w * bits / 8) for bits in (5, 8, 16)] for w in weights],
        losses=[[float(loss), float(loss) * 0.05, 0.0] for loss in first],
    )


def loss(space: Space, mix: Mix) -> float:
    return sum(row[PRECISIONS.index(p)] for row, p in zip(space.losses, mix, strict=True))


def all_mixes(space: Space) -> list[Mix]:
    return list(product(PRECISIONS, repeat=len(space.sizes)))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_found_fits_and_is_nearly_the_smallest_there_is(seed: int) -> None:
    space = random_space(seed)
    limit = 0.4 * loss(space, space.uniform("int4"))

    def fits(mix: Mix) -> bool:
        return loss(space, mix) <= limit

    found = find_smallest(space, fits, max_trials=60)
    assert fits(found)
    best = min((mix for mix in all_mixes(space) if fits(mix)), key=space.size)
    span = space.size(space.uniform("fp16")) - space.size(best)
    assert space.size(found) - space.size(best) <= 0.08 * span


@pytest.mark.parametrize("max_trials", [0, 1, 2, 3, 7, 20])
def test_no_mix_is_measured_twice_and_never_more_than_allowed(max_trials: int) -> None:
    space = random_space(1)
    measured: list[Mix] = []

    def fits(mix: Mix) -> bool:
        measured.append(mix)
        return loss(space, mix) <= 0.5

    find_smallest(space, fits, max_trials=max_trials)
    assert len(measured) == len(set(measured)) <= max_trials


@pytest.mark.parametrize("seed", range(5))
def test_losses_that_do_not_add_up_never_lead_to_a_mix_that_does_not_fit(seed: int) -> None:
    """Whether a mix fits is drawn at random: nothing that is predicted can be trusted."""
    space = random_space(seed)
    random = np.random.default_rng(seed)
    verdicts = {mix: bool(random.random() < 0.4) for mix in all_mixes(space)}
    verdicts[space.uniform("fp16")] = True
    found = find_smallest(space, verdicts.__getitem__, max_trials=15)
    assert verdicts[found]


def test_where_nothing_else_fits_the_largest_is_found() -> None:
    space = random_space(2)
    assert find_smallest(space, lambda mix: False, max_trials=100) == space.uniform("fp16")


def test_upgrades_go_from_the_smallest_to_the_largest_by_what_they_take_back_a_byte() -> None:
    space = random_space(3)
    path = space.upgrades()
    assert path[0] == space.uniform("int4")
    assert path[-1] == space.uniform("fp16")
    sizes = [space.size(mix) for mix in path]
    assert sizes == sorted(set(sizes))
    worth = [
        (loss(space, path[i]) - loss(space, path[i + 1])) / (sizes[i + 1] - sizes[i]) for i in range(len(path) - 1)
    ]
    assert worth == sorted(worth, reverse=True)


def test_noise_that_favours_a_lower_precision_counts_as_no_loss() -> None:
    space = Space(precisions=("int4", "int8"), sizes=[[5, 8], [50, 80]], losses=[[-0.5, 0.1], [0.2, -0.1]])
    assert space.upgrades() == [("int4", "int4"), ("int4", "int8"), ("int8", "int8")]


def test_one_precision_leaves_nothing_to_find() -> None:
    space = Space(precisions=("int4",), sizes=[[5], [50]], losses=[[1.0], [2.0]])
    assert find_smallest(space, lambda mix: pytest.fail("nothing is to be measured"), max_trials=9) == ("int4", "int4")
