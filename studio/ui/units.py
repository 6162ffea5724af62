"""Amounts as people read them: counts, memory, sizes, times, money, energy, and the span between two."""

from studio.estimate.types import Range, currency_sign
from studio.i18n import Message

# Seconds, minutes, hours, days.
TIME_UNITS = Message("s"), Message("min"), Message("h"), Message("d")
# Hours, minutes, seconds of a duration that is known to the second.
TIMER_UNITS = Message("h"), Message("min", context="timer"), Message("s")


def format_count(value: float) -> str:
    """A count: 4,884,480 as it is, 134,515,008 as 135 M, 8,190,735,360 as 8.19 B."""
    if value >= 0.9995e9:  # just below a billion, three digits already round to 1 B
        return f"{value / 1e9:.3g} B"
    if value >= 10e6:
        return f"{value / 1e6:.3g} M"
    return f"{value:,.0f}"


def format_gb(gb: float) -> str:
    """Gigabytes with three digits at most: 0.4 GB, 24.3 GB, 139 GB; megabytes below a tenth of one; 0 GB."""
    if 0 < gb < 0.1:
        return format_mb(1000 * gb)
    return f"{_format_digits(gb)} GB" if gb > 0 else "0 GB"


def format_mb(mb: float) -> str:
    """The size of a file: 40 KB, 4.9 MB, 18 MB, 1.2 GB."""
    if round(mb) >= 1000:
        return format_gb(mb / 1000)
    if mb < 0.1:
        return f"{max(1.0, 1000 * mb):.0f} KB" if mb > 0 else "0 MB"
    return f"{mb:.1f} MB" if mb < 9.95 else f"{mb:.0f} MB"


def format_minutes(minutes: float, lang: str = "en") -> str:
    """An estimated duration, no more exact than it is known: 8 s, 40 s, 12 min, 1 h 20 min, 14 h, 3 d 4 h."""
    second, minute, hour, day = (unit.render(lang) for unit in TIME_UNITS)
    seconds = 60 * minutes
    if seconds <= 0:
        return f"0 {second}"
    if seconds < 9.5:
        return f"{max(1, round(seconds))} {second}"
    if seconds < 97.5:
        return f"{_round_to_five(seconds)} {second}"
    total_minutes = round(minutes)
    if total_minutes < 60:
        return f"{total_minutes} {minute}"
    if total_minutes < 600:
        if total_minutes >= 120:
            total_minutes = _round_to_five(total_minutes)
        return _join_two_units(total_minutes // 60, hour, total_minutes % 60, minute)
    hours = round(minutes / 60)
    if hours < 48:
        return f"{hours} {hour}"
    return _join_two_units(hours // 24, day, hours % 24, hour)


def format_seconds(seconds: float, lang: str) -> str:
    """A duration that is known to the second: 45 s, 3 min 20 s, 2 h 5 min."""
    hour, minute, second = (unit.render(lang) for unit in TIMER_UNITS)
    total_minutes, remaining_seconds = divmod(round(seconds), 60)
    hours, remaining_minutes = divmod(total_minutes, 60)
    if hours:
        parts = [(hours, hour), (remaining_minutes, minute)]
    else:
        parts = [(remaining_minutes, minute), (remaining_seconds, second)]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or f"0 {second}"


def format_money(amount: Range, currency: str = "USD") -> str:
    """A cost from low to high: $0.09–0.12, ¥1,240–1,860, <$0.01; $0 where it is free."""
    sign = currency_sign(currency)
    if amount.high == 0:
        return f"{sign}0"
    low, high = _format_cash(amount.low), _format_cash(amount.high)
    less_than = "<" if amount.low < 0.005 else ""
    if low == high:
        return f"{less_than}{sign}{low}"
    return f"{less_than}{sign}{low}–{high}"


def format_cost(amount: float, currency: str) -> str:
    """What something did cost: $0.12, ¥1,240.00, SEK 3.00."""
    return f"{currency_sign(currency)}{amount:,.2f}"


def format_energy(watt_hours: Range) -> str:
    """Energy from low to high: 12–19 Wh, 1.2–1.9 kWh."""
    unit, amount = "Wh", watt_hours
    if watt_hours.high >= 1000:
        unit, amount = "kWh", watt_hours.scaled(1 / 1000)
    low, high = (f"{_format_digits(max(value, 0.1), 10)} {unit}" for value in (amount.low, amount.high))
    return format_span(low, high)


def format_share(fraction: float) -> str:
    """A fraction in percent: <0.01%, 0.35%, 12.5%, 100%."""
    if fraction >= 0.9995:
        return "100%"
    if 0 < fraction < 0.0001:
        return "<0.01%"
    return f"{fraction:.2%}" if fraction < 0.1 else f"{fraction:.1%}"


def format_span(low: str, high: str) -> str:
    """From one formatted amount to another, a common unit once: 11–14 min, 50 s – 2 min, 1 h 20 min – 2 h."""
    if low == high:
        return low
    start, end = low.split(), high.split()
    if len(start) == len(end) == 2 and start[1] == end[1]:
        return f"{start[0]}–{high}"
    return f"{low} – {high}"


def _round_to_five(value: float) -> int:
    return 5 * round(value / 5)


def _format_digits(value: float, tenths_below: float = 100) -> str:
    """With one decimal below `tenths_below`, without from there on."""
    return f"{value:.1f}" if value < tenths_below - 0.05 else f"{value:,.0f}"


def _format_cash(value: float) -> str:
    if value < 0.005:
        return "0.01"
    return f"{value:.2f}" if value < 99.995 else f"{value:,.0f}"


def _join_two_units(first: int, unit: str, second: int, smaller_unit: str) -> str:
    return f"{first} {unit} {second} {smaller_unit}" if second else f"{first} {unit}"
