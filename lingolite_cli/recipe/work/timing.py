"""Budgets on time and memory: rounds of the systems in turn, and again where they leave a verdict unsure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from lingolite_cli.benchmark.figures import Round, TimedSystem
from lingolite_cli.benchmark.noise import MIN_ROUNDS, settle
from lingolite_cli.benchmark.process import System
from lingolite_cli.benchmark.protocol import Load
from lingolite_cli.benchmark.rounds import Trial, take_round
from lingolite_cli.budgets.timed import TIMED_BUDGETS, TimedBudget
from lingolite_cli.budgets.verdicts import Verdict, judge_rounds
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.recipe.scope import PluginChoice
from lingolite_cli.recipe.workspace import Workspace


class Contender(msgspec.Struct, frozen=True):
    """A system and what it does in a round."""

    system: System
    trial: Trial


class TimingRule(msgspec.Struct, frozen=True, kw_only=True):
    """How long it is measured, and what an unsure verdict means; see `lingolite_cli.benchmark.noise.settle`."""

    rounds: int = MIN_ROUNDS
    max_rounds: int
    allow_inconclusive: bool


def timed_budget(budget: Mapping[str, float]) -> dict[str, float]:
    """The limits of `budget` that are on time or memory."""
    return {name: limit for name, limit in budget.items() if name in TIMED_BUDGETS}


def needs_reference(budget: Mapping[str, float]) -> bool:
    """Whether a limit is a multiple of the reference's figure."""
    return any(TIMED_BUDGETS[name].is_ratio for name in budget)


def judge_timed(
    budget: Mapping[str, float],
    contenders: Sequence[Contender],
    rule: TimingRule,
    *,
    console: Console,
    label: str,
    take: Callable[[System, Trial], Round] = take_round,
) -> tuple[list[TimedSystem], dict[str, Verdict]]:
    """Take rounds until each limit is sure, and judge.

    Args:
        budget: limits on time and memory.
        contenders: the one that is judged last, before it the one that ratios are to. They take turns, every other time
            in reverse order, so that a machine whose speed drifts does so for both.
        rule: how many rounds there are.
        console: for progress, and for a remark where more rounds are needed.
        label: the step, for these.
        take: measures one round of one system.

    Returns:
        The systems with their rounds, and a verdict for each limit.
    """
    turns = 0

    def take_turns() -> list[Round]:
        nonlocal turns
        forwards = turns % 2 == 0
        turns += 1
        order = contenders if forwards else contenders[::-1]
        seen = []
        for contender in order:
            seen.append(take(contender.system, contender.trial))
            progress.advance()
        return seen if forwards else seen[::-1]

    def is_sure(rounds: Sequence[list[Round]]) -> bool:
        unsure = [name for name, verdict in judge(rounds).items() if verdict.status == "inconclusive"]
        if unsure and len(rounds) < rule.max_rounds:
            console.note(f"{label}: not sure after {len(rounds)} rounds, measured again: {', '.join(unsure)}")
        return not unsure

    def judge(rounds: Sequence[list[Round]]) -> dict[str, Verdict]:
        return {
            name: judge_rounds(
                _series(TIMED_BUDGETS[name], rounds),
                limit=limit,
                budget=TIMED_BUDGETS[name],
                allow_inconclusive=rule.allow_inconclusive,
            )
            for name, limit in budget.items()
        }

    with console.progress(f"{label}: rounds of {len(contenders)} processes", total=None) as progress:
        taken = settle(take_turns, is_sure, rounds=rule.rounds, max_rounds=rule.max_rounds)
    systems = [
        TimedSystem(name=contender.system.name, rounds=[turn[place] for turn in taken])
        for place, contender in enumerate(contenders)
    ]
    return systems, judge(taken)


def _series(budget: TimedBudget, rounds: Sequence[Sequence[Round]]) -> list[float | None]:
    """What is limited, one value a round; ratios are taken within a round."""
    own = [getattr(turn[-1], budget.figure) for turn in rounds]
    if not budget.is_ratio:
        return own
    reference = [getattr(turn[0], budget.figure) for turn in rounds]
    return [
        None if mine is None or theirs is None else mine / theirs for mine, theirs in zip(own, reference, strict=True)
    ]


def make_system(
    name: str, choice: PluginChoice, reference: str, *, threads: int, workers: int = 1, workspace: Workspace
) -> System:
    """A backend with an artifact, for a process of its own."""
    return System(
        name=name,
        load=Load(
            artifact=str(workspace.artifact(reference).path.resolve()),
            backend=choice.loaded.spec.name,
            options=choice.options,
            threads=threads,
            blocked=list(workspace.plan.blocked),
            workers=workers,
        ),
    )


def draw_sentences(sources: Sequence[str], count: int, *, seed: int) -> list[str]:
    """`count` sentences with text in them, drawn without replacement; all of them where there are fewer.

    Raises:
        LingoLiteError: no line has text.
    """
    texts = [source for source in sources if source.strip()]
    if not texts:
        raise LingoLiteError("there is nothing to measure: no line has text", hint="choose a corpus with text in it")
    return random.Random(seed).sample(texts, min(count, len(texts)))
