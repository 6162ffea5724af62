"""Pairs that their surface gives away are found, and pairs that only their meaning tells apart are not."""

import random

import pytest

from studio.data.quality import checks, surface_rules
from studio.data.quality.checks import CheckContext, CheckOptions
from studio.data.quality.table_view import build_view
from studio.data.readers.read import Table

WORDS = (
    *("amber", "birch", "cedar", "daisy", "ember", "fern", "grove", "hazel", "iris", "juniper"),
    *("kale", "lilac", "maple", "nettle", "olive"),
)


def random_answers(count, seed):
    """Answers of 5 to 12 words each, all of one kind."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 12))) + "." for _ in range(count)]


SIDES = (random_answers(100, 1), random_answers(100, 2))


def context_of(better, worse):
    """What a check gets of these pairs."""
    rows = tuple(
        {"q": f"Question {index}?", "c": first, "r": second}
        for index, (first, second) in enumerate(zip(better, worse, strict=True))
    )
    columns = {"prompt": "q", "chosen": "c", "rejected": "r"}
    table = Table("t.csv", ("q", "c", "r"), rows)
    return CheckContext(build_view(table, "prefer", columns), CheckOptions())


def check(better, worse):
    """The finding on the surface of these pairs, or none."""
    return next(checks.surface_of_pairs(context_of(better, worse)), None)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda text: f"{text} — Mira, Fernhill", "the answer that ends in “. — Mira, Fernhill”"),
        (lambda text: f"Certainly! {text}", "the answer that begins with “Certainly!”"),
        (lambda text: f"Fern:\n{text}", "the answer that begins with “Fern:”"),
        (lambda text: f"{text[:-1]}!", "the answer that ends in “!”"),
        (lambda text: text.replace(" ", " 7 "), "the answer with more digits"),
    ],
)
def test_what_only_better_answers_have_is_named(change, name):
    better, worse = [change(text) for text in SIDES[0]], SIDES[1]
    rule = surface_rules.find_best_rule(better, worse)
    assert rule.message.render() == name
    assert surface_rules.measure_rule(rule, better, worse).share == 1


def test_a_surface_that_ranks_all_pairs_is_a_warning_with_what_to_do():
    finding = check([f"{text} — Mira, Fernhill" for text in SIDES[0]], SIDES[1])
    assert finding.grade == "warn"
    assert finding.message.render().startswith(
        "Taking the answer that ends in “. — Mira, Fernhill” ranks 100% of 100 pairs correctly"
    )
    assert "Give both answers the same opening, ending and length" in finding.why.render()


def test_a_tie_counts_half_and_shorter_is_the_reverse_of_longer():
    _, longer, shorter = surface_rules.COUNTS["characters"]
    rules = {rule.message: rule for rule in surface_rules._candidates(["aaa"], ["b"])}
    better, worse = ["aaa", "b", "cc", "d"], ["b", "aaa", "dd", "eee"]
    assert surface_rules.measure_rule(rules[longer], better, worse).share == (1 + 0 + 0.5 + 0) / 4
    assert surface_rules.measure_rule(rules[shorter], better, worse).share == (0 + 1 + 0.5 + 1) / 4


def test_words_that_stand_on_one_side_only_are_found_by_the_probe():
    better = [f"{text} Thank you kindly for that." for text in SIDES[0]]
    worse = [f"{text} You should know it anyhow." for text in SIDES[1]]
    assert surface_rules.probe_words(better, worse).share > 0.95


def test_answers_of_one_kind_are_not_told_apart():
    assert check(*SIDES) is None
    probe = surface_rules.probe_words(*SIDES)
    assert probe.low < 0.5 < probe.high


def test_the_best_of_many_rules_has_a_wider_interval():
    rule = surface_rules.find_best_rule(*SIDES)
    one = surface_rules.measure_rule(rule, *SIDES)
    best = surface_rules.measure_rule(rule, *SIDES, surface_rules.N_RULES)
    assert best.share == one.share
    assert best.low < one.low < one.high < best.high


def test_chinese_answers_are_read_by_their_characters():
    better = [f"您好，第 {index} 号花盆已为您安排，谢谢。" for index in range(40)]
    worse = [f"第 {index} 号水壶自己看说明吧。" for index in range(40)]
    assert surface_rules.probe_words(better, worse).share == 1
    finding = check(better, worse)
    assert "回答" in finding.message.render("zh")


def test_a_rule_found_on_some_pairs_is_measured_on_others():
    train = [{"chosen": f"{first} ok", "rejected": second} for first, second in zip(*SIDES, strict=True)]
    held_out = [{"chosen": "a ok", "rejected": "b"}, {"chosen": "a", "rejected": "b ok"}, {"prompt": "?"}]
    note = surface_rules.measure_held_out(train, held_out)
    assert (note["share"], note["n"]) == (0.5, 2)
    assert surface_rules.measure_held_out(train, [{"prompt": "?"}]) == {}


@pytest.mark.thorough
def test_ten_thousand_pairs_written_at_random_show_no_rule():
    better, worse = ([text * 20 for text in random_answers(10_000, seed)] for seed in (3, 4))
    context = context_of(better, worse)
    assert list(checks.surface_of_pairs(context)) == []
