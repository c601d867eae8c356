"""How numbers are written in a report; every figure of a report uses one of these functions."""

from __future__ import annotations

from lingolite_cli.evaluation.intervals import spelled

MEGABYTE = 1_000_000
MINUS = "−"
NOTHING = "–"


def megabytes(size_bytes: float) -> str:
    """Bytes as MB (10^6 bytes), to three significant digits from 1 MB on."""
    return significant(size_bytes / MEGABYTE)


def significant(value: float) -> str:
    """Three significant digits, never fewer than all digits before the point: 1,234; 12.3; 0.0123."""
    magnitude = abs(value)
    if magnitude >= 100 or value == int(value):
        return f"{value:,.0f}"
    if magnitude >= 1:
        return f"{value:.2f}" if magnitude < 10 else f"{value:.1f}"
    return f"{value:.3g}"


def small(value: float) -> str:
    """Three significant digits of a number that may be very small: 0.0123, 4.2e−07."""
    return f"{value:.3g}".replace("-", MINUS)


def limit(value: float) -> str:
    """A limit as the recipe has it."""
    return f"{value:.6g}".replace("-", MINUS)


def seen(value: float | None, against: float) -> str:
    """A figure beside its limit, to four significant digits, or to all where four would read as the limit."""
    if value is None:
        return NOTHING
    text = f"{value:.4g}"
    return (repr(value) if float(text) == against != value else text).replace("-", MINUS)


def score(value: float) -> str:
    """A metric's value, to two decimals as sacreBLEU prints it."""
    return f"{value:.2f}"


def signed(value: float) -> str:
    """A difference, to two decimals and always with its sign; what rounds to zero has none."""
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", MINUS)


def interval(low: float | None, high: float | None) -> str:
    """The interval of a difference."""
    return spelled(low, high, signed) or NOTHING


def percent(share: float | None) -> str:
    """A share in [0, 1] as per cent; only 1 exactly reads 100 %."""
    if share is None:
        return NOTHING
    text = f"{100 * share:.1f}"
    return "99.9 %" if text == "100.0" and share < 1 else f"{text.removesuffix('.0')} %"


def ratio(value: float) -> str:
    """A factor, such as 0.27×."""
    return f"{value:.2f}×"


def optional(value: float | None) -> str:
    """As `significant`, where there may be nothing to tell: a time in ms without its unit, a margin of logits."""
    return NOTHING if value is None else significant(value)


def duration(seconds: float) -> str:
    """A time as hours, minutes and seconds; below a minute with one decimal."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
