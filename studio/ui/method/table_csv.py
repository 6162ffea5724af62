"""The figures of the comparison table as plain numbers, to compare by and to copy into a spreadsheet."""

from studio.estimate.types import Estimate
from studio.ui.method import table_messages


def raw_values(estimate: Estimate) -> dict[str, list[float] | None]:
    """Low, likely and high of every column for the script; None where a figure is not known."""
    trainable_share = None
    if estimate.trainable is not None and estimate.total:
        trainable_share = estimate.trainable / estimate.total
    raw: dict[str, list[float] | None] = {}
    for name, amount in (
        ("memory", estimate.memory_gb),
        ("time", estimate.minutes),
        ("money", estimate.money),
        ("energy", estimate.watt_hours),
    ):
        raw[name] = [amount.low, amount.likely, amount.high] if amount else None
    for name, value in (("updated", trainable_share), ("disk", estimate.disk_mb)):
        raw[name] = None if value is None else [value, value, value]
    return raw


def render_headings(lang: str) -> list[str]:
    """The headings of a copied table."""
    headings = {name: message.render(lang) for name, message in table_messages.COLUMN_HEADINGS.items()}
    range_ends = [message.render(lang) for message in table_messages.RANGE_ENDS]
    trained, total, usable_memory, fits, currency = (
        message.render(lang) for message in table_messages.CSV_COLUMNS
    )
    return [
        headings["method"],
        f"{headings['updated']}, 0–1",
        trained,
        total,
        *(f"{headings['memory']}, {end} (GB)" for end in range_ends),
        *(f"{headings['time']}, {end} (min)" for end in range_ends),
        usable_memory,
        fits,
        *(f"{headings['money']}, {end}" for end in range_ends),
        currency,
        f"{headings['disk']} (MB)",
        *(f"{table_messages.ENERGY_HEADING.render(lang)}, {end} (Wh)" for end in range_ends),
    ]


def render_row(name: str, estimate: Estimate, lang: str) -> list[str | float | None]:
    """The figures of a row in the order of `render_headings`, six digits each; None where not known."""
    raw: dict[str, list[float | None]] = {}
    for column, values in raw_values(estimate).items():
        raw[column] = [_six_digits(value) for value in values] if values else [None, None, None]
    fit_label = table_messages.FIT_LABELS.get(estimate.fits)
    return [
        name,
        raw["updated"][1],
        estimate.trainable,
        estimate.total,
        *raw["memory"],
        *raw["time"],
        None if estimate.room_gb is None else _six_digits(estimate.room_gb),
        fit_label.render(lang) if fit_label else None,
        *raw["money"],
        estimate.currency if estimate.money else None,
        raw["disk"][1],
        *raw["energy"],
    ]


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")
