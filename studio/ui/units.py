"""Amounts as people read them: memory, sizes, times, money, energy, and the span between two of them."""

from studio.estimate.types import Range
from studio.i18n import Message

CURRENCY_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥"}
TIME_UNITS = Message("s"), Message("min"), Message("h"), Message("d")


def format_gb(gb: float) -> str:
    """GB with three digits at most: 0.4 GB, 24.3 GB, 139 GB; MB where it is less than a tenth of one; 0 GB."""
    if 0 < gb < 0.1:
        return format_mb(1000 * gb)
    return f"{_format_digits(gb)} GB" if gb > 0 else "0 GB"


def format_mb(mb: float) -> str:
    """A file: 40 KB, 4.9 MB, 18 MB, 1.2 GB."""
    if round(mb) >= 1000:
        return format_gb(mb / 1000)
    if mb < 0.1:
        return f"{max(1.0, 1000 * mb):.0f} KB" if mb > 0 else "0 MB"
    return f"{mb:.1f} MB" if mb < 9.95 else f"{mb:.0f} MB"


def format_minutes(minutes: float, lang: str = "en") -> str:
    """A time that is not known to the second: 8 s, 40 s, 12 min, 1 h 20 min, 14 h, 3 d 4 h."""
    second, minute, hour, day = (unit.render(lang) for unit in TIME_UNITS)
    seconds, rounded_minutes = 60 * minutes, round(minutes)
    if seconds < 9.5:
        return f"{max(1, round(seconds)) if seconds > 0 else 0} {second}"
    if seconds < 97.5:
        return f"{5 * round(seconds / 5)} {second}"
    if rounded_minutes < 60:
        return f"{rounded_minutes} {minute}"
    if rounded_minutes < 600:
        rounded_minutes = rounded_minutes if rounded_minutes < 120 else 5 * round(rounded_minutes / 5)
        return _join_two_units(rounded_minutes // 60, hour, rounded_minutes % 60, minute)
    hours = round(minutes / 60)
    return f"{hours} {hour}" if hours < 48 else _join_two_units(hours // 24, day, hours % 24, hour)


def format_money(amount: Range, currency: str = "USD") -> str:
    """What something costs from low to high: $0.09–0.12, ¥1,240–1,860, <$0.01; 0 is 0."""
    sign = CURRENCY_SIGNS.get(currency, f"{currency} ")
    if amount.high == 0:
        return f"{sign}0"
    low, high = _format_cash(amount.low), _format_cash(amount.high)
    small = "<" if amount.low < 0.005 else ""
    return f"{small}{sign}{low}" if low == high else f"{small}{sign}{low}–{high}"


def format_energy(watt_hours: Range) -> str:
    """Energy from low to high: 12–19 Wh, 1.2–1.9 kWh."""
    scaled = watt_hours.scaled(1 / 1000) if watt_hours.high >= 1000 else watt_hours
    unit = "kWh" if watt_hours.high >= 1000 else "Wh"
    return format_span(
        *(f"{_format_digits(max(value, 0.1), 10)} {unit}" for value in (scaled.low, scaled.high))
    )


def format_share(fraction: float) -> str:
    """A share of a whole: 0.35%, 12.5%, 100%."""
    if fraction >= 0.9995:
        return "100%"
    if 0 < fraction < 0.0001:
        return "<0.01%"
    return f"{fraction:.2%}" if fraction < 0.1 else f"{fraction:.1%}"


def format_span(low: str, high: str) -> str:
    """From one said amount to another, the unit once where it is the same: 11–14 min, 50 s – 2 min, 1 h 20 min – 2 h."""
    if low == high:
        return low
    start, end = low.split(), high.split()
    if len(start) == len(end) == 2 and start[1] == end[1]:
        return f"{start[0]}–{high}"
    return f"{low} – {high}"


def _format_digits(value: float, tenths_below: float = 100) -> str:
    return f"{value:.1f}" if value < tenths_below - 0.05 else f"{value:,.0f}"


def _format_cash(value: float) -> str:
    if value < 0.005:
        return "0.01"
    return f"{value:.2f}" if value < 99.995 else f"{value:,.0f}"


def _join_two_units(first: int, unit: str, second: int, smaller_unit: str) -> str:
    return f"{first} {unit} {second} {smaller_unit}" if second else f"{first} {unit}"
