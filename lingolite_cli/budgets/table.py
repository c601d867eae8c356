"""The table of budgets: every figure that a recipe may limit.

Owns the names of budgets and what each one means. Steps, the command line, reports and the documentation read this
table, so a budget on what is measured already is one entry here. What is measured is
`lingolite_cli.budgets.measurements`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from lingolite_cli.benchmark.figures import Round
from lingolite_cli.budgets.budget import Budget, Direction, Group, Limit, PairedDrop, TimedRounds
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.served import SERVED_BUDGETS
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.faults import FAULT_KINDS
from lingolite_cli.evaluation.parity import LogitParity
from lingolite_cli.plugins.specs import Goal


def _size(stem: str, mb: Limit, ratio: Limit, *, label: str, summary: str) -> tuple[Budget, Budget]:
    """A budget on a size in MB, and one on the size as a share of the reference's."""
    absolute = Budget(
        name=f"{stem}_mb_max", group="size", label=label, summary=summary, unit="MB", needs="files", rule=mb
    )
    return absolute, _as_ratio(absolute, name=f"{stem}_ratio_max", rule=ratio)


def _timed(
    name: str,
    ratio: str,
    read: Callable[[Round], float | None],
    *,
    label: str,
    unit: str,
    summary: str,
    group: Group = "time",
    direction: Direction = "max",
) -> tuple[Budget, Budget]:
    """A budget on a figure of a round, and one on the figure as a multiple of the reference's."""
    absolute = Budget(
        name=name,
        group=group,
        label=label,
        summary=summary,
        unit=unit,
        direction=direction,
        needs="timed rounds",
        rule=TimedRounds(read),
    )
    rule = TimedRounds(read, is_paired=True)
    return absolute, _as_ratio(absolute, name=ratio, rule=rule, unit="×", needs="timed rounds of both")


def _as_ratio(absolute: Budget, **changes: object) -> Budget:
    summary = f"the same, relative to the reference's: {absolute.summary}"
    return msgspec.structs.replace(absolute, **{"summary": summary, "unit": "", "ratio_of": absolute.name, **changes})


def _parity(read: Callable[[MeasuredFigures], float | None]) -> Limit:
    """A limit on a figure of how far the candidate follows the reference."""
    return Limit(read, names_causes=True, why_missing=lambda seen: seen.why_no_parity)


def _logits(read: Callable[[LogitParity], float]) -> Limit:
    """A limit on a figure of both systems' logits."""
    return _parity(lambda seen: read(seen.parity.logits) if seen.parity and seen.parity.logits else None)


def _new_faults(kind: str) -> Budget:
    return Budget(
        name=f"new_{kind}_max",
        pattern="new_KIND_max",
        group="faults",
        label=f"New {kind}",
        summary="sentences with a fault of this kind that the reference's translation does not have",
        unit="sentences",
        needs="translations",
        rule=Limit(lambda seen: seen.new_faults(kind)),
    )


def _exported(read: Callable[[ExportedComparison], float | None]) -> Limit:
    """A limit on a figure of the file against the bundle that it was exported from."""
    return Limit(
        lambda seen: read(seen.exported) if seen.exported else None,
        names_causes=True,
        why_missing=lambda seen: seen.why_no_export,
    )


_ENTRIES: tuple[Budget, ...] = (
    Budget(
        name="exported_data_max",
        group="export",
        label="Other token ids",
        summary="sentences that the file's tokenizer reads otherwise than the bundle's, and other entries of files",
        unit="differences",
        needs="bundle",
        rule=_exported(lambda one: one.num_data_differences),
    ),
    Budget(
        name="exported_rounding_max",
        group="export",
        label="Largest difference of an operation",
        summary="largest difference of an operation's values from the bundle's, in multiples of the engine's rounding",
        needs="bundle, operations",
        rule=_exported(lambda one: one.rounding),
    ),
    Budget(
        name="exported_kl_max",
        group="export",
        label="KL from the bundle",
        summary="KL(bundle ‖ file) of a target token, mean, both computed with the same arithmetic",
        unit="nats",
        needs="bundle, logits",
        rule=_exported(lambda one: one.logits.kl_mean if one.logits else None),
    ),
    Budget(
        name="exported_score_max",
        group="export",
        label="Difference of a log-probability",
        summary="mean absolute difference of the log-probability of the file's own tokens, for engines without logits",
        unit="nats",
        needs="bundle, scores",
        rule=_exported(lambda one: one.score_difference),
    ),
    Budget(
        name="exported_parity_min",
        group="export",
        label="Same best token as the bundle",
        summary="share of the file's own target tokens that the bundle, computed with the same arithmetic, ranks "
        "first, or so close behind that rounding explains it",
        direction="min",
        needs="bundle",
        rule=_exported(lambda one: one.agreement),
    ),
    Budget(
        name="goldens_min",
        group="export",
        label="Goldens replayed",
        summary="of a `replay` step: share of the goldens whose ids, tokens and text are equal, on the platform where "
        "that is least",
        direction="min",
        needs="goldens",
        rule=Limit(lambda seen: seen.goldens),
    ),
    Budget(
        name="reference_doubts_max",
        group="reference",
        label="Doubts about the reference",
        summary="what makes the reference's translations implausible: many broken ones, scores near zero",
        needs="translations",
        rule=Limit(
            lambda seen: None if seen.reference_doubts is None else len(seen.reference_doubts),
            details=lambda seen: seen.reference_doubts or (),
        ),
    ),
    *_size(
        "size",
        Limit(lambda seen: seen.size_mb),
        Limit(lambda seen: seen.size_ratio),
        label="Size",
        summary="size of the artifact with its tokenizer; 1 MB is 10^6 bytes",
    ),
    *_size(
        "download",
        Limit(lambda seen: seen.download_mb),
        Limit(lambda seen: seen.download_ratio),
        label="Download",
        summary="compressed size: each file deflated at level 9, as in a zip archive",
    ),
    *_timed(
        "load_seconds_max",
        "load_ratio_max",
        lambda one: one.load_seconds,
        label="Load",
        unit="s",
        summary="time from before the engine's import until the backend is ready",
    ),
    *_timed(
        "cold_start_seconds_max",
        "cold_start_ratio_max",
        lambda one: one.cold_start_seconds,
        label="Cold start",
        unit="s",
        summary="time from process creation to the first translation",
    ),
    *_timed(
        "first_token_ms_max",
        "first_token_ratio_max",
        lambda one: one.first_token_ms,
        label="First token",
        unit="ms",
        summary="time of a translation stopped after one token, median over the sentences",
    ),
    *_timed(
        "latency_p50_ms_max",
        "latency_p50_ratio_max",
        lambda one: one.latency_p50_ms,
        label="p50",
        unit="ms",
        summary="latency of one sentence at a time, median over the sentences",
    ),
    *_timed(
        "latency_p95_ms_max",
        "latency_p95_ratio_max",
        lambda one: one.latency_p95_ms,
        label="p95",
        unit="ms",
        summary="latency of one sentence at a time, 95th percentile",
    ),
    *_timed(
        "latency_p99_ms_max",
        "latency_p99_ratio_max",
        lambda one: one.latency_p99_ms,
        label="p99",
        unit="ms",
        summary="latency of one sentence at a time, 99th percentile; the slowest of fewer than 100 sentences",
    ),
    *_timed(
        "tokens_per_second_min",
        "tokens_per_second_ratio_min",
        lambda one: one.tokens_per_second,
        label="Tokens/s",
        unit="tokens/s",
        summary="target tokens per second, in batches of `batch_size`",
        direction="min",
    ),
    *_timed(
        "peak_memory_mb_max",
        "peak_memory_ratio_max",
        lambda one: one.peak_memory_mb,
        label="Peak",
        unit="MB",
        summary="peak memory of the process",
        group="memory",
    ),
    Budget(
        name="parity_min",
        group="parity",
        label="Same best token",
        summary="share of the reference's target tokens that the candidate ranks first (teacher forcing)",
        direction="min",
        needs="candidate logits",
        rule=_parity(lambda seen: seen.parity.top1_agreement if seen.parity else None),
    ),
    Budget(
        name="exact_match_min",
        group="parity",
        label="Same sentence",
        summary="share of sentences that both systems translate into the same tokens",
        direction="min",
        needs="translations",
        rule=_parity(lambda seen: seen.parity.exact_match if seen.parity else None),
    ),
    Budget(
        name="logit_difference_max",
        group="parity",
        label="Largest difference",
        summary="largest absolute difference of a logit",
        needs="logits of both",
        rule=_logits(lambda logits: logits.max_difference),
    ),
    Budget(
        name="logit_difference_mean_max",
        group="parity",
        label="Mean difference",
        summary="mean absolute difference of the logits",
        needs="logits of both",
        rule=_logits(lambda logits: logits.mean_difference),
    ),
    Budget(
        name="kl_mean_max",
        group="parity",
        label="KL, mean",
        summary="KL(reference ‖ candidate) of a target token, mean",
        unit="nats",
        needs="logits of both",
        rule=_logits(lambda logits: logits.kl_mean),
    ),
    Budget(
        name="kl_p95_max",
        group="parity",
        label="KL, p95",
        summary="KL(reference ‖ candidate) of a target token, 95th percentile",
        unit="nats",
        needs="logits of both",
        rule=_logits(lambda logits: logits.kl_p95),
    ),
    Budget(
        name="token_kl_max",
        group="parity",
        label="KL of a vocabulary entry",
        summary="KL(reference ‖ candidate) of a vocabulary entry as the only input, largest",
        unit="nats",
        needs="logits of both",
        rule=_parity(lambda seen: seen.parity.vocabulary.kl_max if seen.parity and seen.parity.vocabulary else None),
    ),
    Budget(
        name="padding_difference_max",
        group="parity",
        label="Difference by padding",
        summary="largest difference of a logit between a sentence alone and in a padded batch",
        needs="candidate logits",
        rule=_parity(lambda seen: seen.probed("padding")),
    ),
    Budget(
        name="select_difference_max",
        group="parity",
        label="Difference by reordering",
        summary="largest difference of a logit when beams are reordered or rows are moved",
        needs="candidate logits",
        rule=_parity(lambda seen: seen.probed("reorder", "rows")),
    ),
    *map(_new_faults, FAULT_KINDS),
)

BUDGETS = {budget.name: budget for budget in _ENTRIES}
"""By name: those that do not depend on a metric."""


def drop_budget(metric: str) -> Budget:
    """The budget on the loss by a metric, which is how much worse the candidate scores, in points."""
    return Budget(
        name=f"{metric}{_DROP}",
        pattern=f"METRIC{_DROP}",
        group="quality",
        label=f"Loss of {metric}",
        summary="how much worse the candidate scores than the reference, in points of the metric",
        needs="metric",
        rule=PairedDrop(metric),
    )


def _score_budget(metric: str, direction: Direction) -> Budget:
    better = "higher" if direction == "min" else "lower"
    return Budget(
        name=f"{metric}_{direction}",
        pattern=f"METRIC_{direction}",
        group="quality",
        label=metric,
        summary=f"score of the candidate; for metrics where {better} is better, and those with a target",
        direction=direction,
        needs="metric",
        rule=Limit(lambda seen: seen.score(metric), why_missing=lambda seen: seen.why_no_score(metric)),
    )


_DROP = "_drop_max"
_SCORE_LIMITS: dict[str, tuple[Direction, ...]] = {"higher": ("min",), "lower": ("max",)}


def metric_budgets(metric: str, goal: Goal) -> tuple[Budget, ...]:
    """The budgets on a metric: its loss, and its score from below, from above for error rates, or from both sides.

    Args:
        metric: its name.
        goal: which way is better, as in `lingolite_cli.plugins.specs.MetricSpec`.
    """
    limits = ("min", "max") if isinstance(goal, float) else _SCORE_LIMITS[goal]
    return drop_budget(metric), *(_score_budget(metric, direction) for direction in limits)


def find_budget(name: str) -> Budget:
    """The entry of a budget that a record names, whichever metrics are installed here.

    What is not in the table is a budget on a metric, which may be that of a plugin of another machine.
    """
    if name in BUDGETS:
        return BUDGETS[name]
    if name in SERVED_BUDGETS:
        return SERVED_BUDGETS[name]
    # Names of plugins' metrics are free, so the ending decides; `_drop_max` ends in `_max` and is asked for first.
    if name.endswith(_DROP):
        return drop_budget(name.removesuffix(_DROP))
    metric, _, direction = name.rpartition("_")
    return _score_budget(metric, "min" if direction == "min" else "max")


def metric_of_drop(name: str) -> str | None:
    """The metric whose loss the budget of that name limits, if it limits one."""
    rule = find_budget(name).rule
    return rule.metric if isinstance(rule, PairedDrop) else None


def by_name(budgets: Iterable[Budget]) -> dict[str, Budget]:
    """Budgets by their names, the last of those of one name."""
    return {budget.name: budget for budget in budgets}
