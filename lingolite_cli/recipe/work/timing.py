"""Timed rounds for budgets on time and memory: systems take turns, and more rounds follow where a verdict is open.

Owns how many rounds are taken and in which order. One round is `lingolite_cli.benchmark.rounds`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from lingolite_cli.benchmark.figures import Round, TimedSystem
from lingolite_cli.benchmark.noise import MIN_ROUNDS, settle
from lingolite_cli.benchmark.process import System
from lingolite_cli.benchmark.protocol import Load
from lingolite_cli.benchmark.rounds import RoundWorkload, SystemWorkload, take_round
from lingolite_cli.budgets.judging import judge_all
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.recipe.scope import PluginChoice
from lingolite_cli.recipe.workspace import Workspace


class TimingRule(msgspec.Struct, frozen=True, kw_only=True):
    """How many rounds are taken before the first look at the verdicts, and at most; see `settle`."""

    rounds: int = MIN_ROUNDS
    max_rounds: int


def timed_limits(limits: Mapping[str, float]) -> dict[str, float]:
    """Those of `limits` that are on time or memory."""
    return {name: limit for name, limit in limits.items() if name in BUDGETS and BUDGETS[name].is_timed}


def needs_reference(limits: Mapping[str, float]) -> bool:
    """Whether one of these limits on time or memory is relative to the reference."""
    return any(BUDGETS[name].is_ratio for name in limits)


def take_rounds(
    limits: Mapping[str, float],
    systems: Sequence[SystemWorkload],
    rule: TimingRule,
    *,
    console: Console,
    label: str,
    take: Callable[[System, RoundWorkload], Round] = take_round,
) -> list[TimedSystem]:
    """Take rounds until each limit is settled.

    Args:
        limits: on time and memory.
        systems: the one that is judged last, before it the one that ratios are to. They take turns, every other time
            in reverse order, so that a machine whose speed drifts does so for both.
        rule: how many rounds there are.
        console: for progress, and for a remark where more rounds are needed.
        label: the step, for these.
        take: measures one round of one system.

    Returns:
        The systems with their rounds.
    """
    turns = 0

    def take_turns() -> list[Round]:
        nonlocal turns
        forwards = turns % 2 == 0
        turns += 1
        order = systems if forwards else systems[::-1]
        seen = []
        for each in order:
            seen.append(take(each.system, each.workload))
            progress.advance()
        return seen if forwards else seen[::-1]

    def is_sure(rounds: Sequence[list[Round]]) -> bool:
        # More rounds are taken even where a recipe allows doubt: it allows what rounds could not settle.
        measured = with_rounds(MeasuredFigures(), _by_system(systems, rounds))
        verdicts = judge_all(limits, BUDGETS, measured, allow_inconclusive=False)
        unsure = [verdict.budget for verdict in verdicts if verdict.status == "inconclusive"]
        if unsure and len(rounds) < rule.max_rounds:
            console.note(f"{label}: not sure after {len(rounds)} rounds, measured again: {', '.join(unsure)}")
            more = min(len(rounds), rule.max_rounds - len(rounds))
            progress.begin("processes, timed again", total=more * len(systems))
        return not unsure

    with console.progress(label, total=None) as progress:
        progress.begin("processes, timed in turn", total=rule.rounds * len(systems))
        taken = settle(take_turns, is_sure, rounds=rule.rounds, max_rounds=rule.max_rounds)
    return _by_system(systems, taken)


def _by_system(systems: Sequence[SystemWorkload], rounds: Sequence[Sequence[Round]]) -> list[TimedSystem]:
    return [
        TimedSystem(name=each.system.name, rounds=[turn[place] for turn in rounds])
        for place, each in enumerate(systems)
    ]


def with_rounds(measured: MeasuredFigures, systems: Sequence[TimedSystem]) -> MeasuredFigures:
    """`measured` with the rounds of the candidate, which is last, and of the reference, if there are two systems."""
    return msgspec.structs.replace(
        measured,
        rounds=systems[-1].rounds if systems else [],
        reference_rounds=systems[0].rounds if len(systems) > 1 else [],
    )


def make_system(
    name: str, choice: PluginChoice, reference: str, *, threads: int, workers: int = 1, workspace: Workspace
) -> System:
    """A backend with an artifact under a name, to run in a process of its own."""
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
    """`count` non-empty sentences, drawn without replacement; all of them where there are fewer.

    Raises:
        LingoLiteError: no line has text.
    """
    texts = [source for source in sources if source.strip()]
    if not texts:
        raise LingoLiteError("there is nothing to measure: no line has text", hint="choose a corpus with text in it")
    return random.Random(seed).sample(texts, min(count, len(texts)))
