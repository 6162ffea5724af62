"""Amounts are written as people read them."""

import pytest

from studio.estimate.types import Range
from studio.ui import units


@pytest.mark.parametrize(
    ("gb", "text"),
    [
        (0, "0 GB"),
        (0.04, "40 MB"),
        (0.43, "0.4 GB"),
        (24.31, "24.3 GB"),
        (99.96, "100 GB"),
        (1390.4, "1,390 GB"),
    ],
)
def test_memory_is_said_with_three_digits_at_most(gb, text):
    assert units.format_gb(gb) == text


@pytest.mark.parametrize(
    ("minutes", "english", "chinese"),
    [
        (0, "0 s", "0 秒"),
        (0.05, "3 s", "3 秒"),
        (0.7, "40 s", "40 秒"),
        (1.5, "90 s", "90 秒"),
        (12.4, "12 min", "12 分钟"),
        (80, "1 h 20 min", "1 小时 20 分钟"),
        (128, "2 h 10 min", "2 小时 10 分钟"),
        (840, "14 h", "14 小时"),
        (4560, "3 d 4 h", "3 天 4 小时"),
    ],
)
def test_a_time_is_said_as_exactly_as_it_is_known(minutes, english, chinese):
    assert units.format_minutes(minutes) == english
    assert units.format_minutes(minutes, "zh") == chinese


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_times_are_said_as_people_say_them(seconds, text):
    assert units.format_seconds(seconds, "en") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(999_885_952, "1 B"), (134_515_008, "135 M"), (4_884_480, "4,884,480"), (8_190_735_360, "8.19 B")],
)
def test_counts_are_said_as_people_say_them(value, text):
    assert units.format_count(value) == text


@pytest.mark.parametrize(
    ("low", "high", "currency", "text"),
    [
        (0, 0, "USD", "$0"),
        (0.001, 0.004, "USD", "<$0.01"),
        (0.09, 0.12, "USD", "$0.09–0.12"),
        (1240, 1860, "CNY", "¥1,240–1,860"),
        (2, 2, "XYZ", "XYZ 2.00"),
    ],
)
def test_money_is_said_in_its_own_currency(low, high, currency, text):
    assert units.format_money(Range(low, (low + high) / 2, high), currency) == text


@pytest.mark.parametrize(
    ("low", "high", "text"), [(12, 19, "12–19 Wh"), (1200, 1900, "1.2–1.9 kWh"), (0.01, 3, "0.1–3.0 Wh")]
)
def test_energy_is_said_in_the_unit_of_its_upper_end(low, high, text):
    assert units.format_energy(Range(low, (low + high) / 2, high)) == text


def test_a_unit_is_said_once_where_it_is_the_same():
    assert units.format_span("11 min", "14 min") == "11–14 min"
    assert units.format_span("50 s", "2 min") == "50 s – 2 min"
    assert units.format_span("3 min", "3 min") == "3 min"
