"""Every sentence a person reads exists once, in two languages, and is filled in when it is said."""

import pytest

from studio import words
from studio.words import Words


def test_a_sentence_is_said_in_the_language_asked_for():
    greeting = Words("Hello {name}", "你好 {name}")
    assert greeting.say("en", name="Mira") == "Hello Mira"
    assert greeting.say("zh", name="Mira") == "你好 Mira"


def test_chinese_falls_back_to_english():
    assert Words("Start").say("zh") == "Start"


def test_words_within_words_are_said_in_the_same_language():
    outer, inner = Words("Why: {why}", "原因：{why}"), Words("no memory", "内存不足")
    assert outer.say("en", why=inner) == "Why: no memory"
    assert outer.say("zh", why=inner) == "原因：内存不足"


@pytest.mark.parametrize(
    ("names", "chinese"),
    [(["red", 3], "现有：red、3。"), (("red", 3), "现有：red、3。"), ([Words("red", "红"), 3], "现有：红、3。")],
)
def test_a_list_is_joined_by_the_comma_of_the_language(names, chinese):
    colours = Words("It has {names}.", "现有：{names}。")
    assert colours.say(names=names) == "It has red, 3."
    assert colours.say("zh", names=names) == colours.filled(names=names).zh == chinese


def test_a_list_of_one_has_no_comma_and_text_is_not_taken_apart():
    only = Words("{name}", "只有 {name}")
    assert only.say("zh", name=["one, two"]) == only.say("zh", name="one, two") == "只有 one, two"


def test_braces_in_a_value_are_kept_as_they_are():
    assert Words("“{name}” is empty").say(name="{x}.csv") == "“{x}.csv” is empty"


def test_a_sentence_without_values_may_hold_braces():
    assert Words('{"a": 1}').say() == '{"a": 1}'


def test_filled_words_keep_both_languages():
    filled = Words("{count} rows", "{count} 行").filled(count=3)
    assert (filled.en, filled.zh) == ("3 rows", "3 行")
    assert Words("{count} rows").filled(count=3).zh == ""


def test_a_number_is_formatted_in_both_languages():
    size = Words("{size:,.1f} MB", "{size:,.1f} 兆")
    assert size.say("en", size=1234.56) == "1,234.6 MB"
    assert size.say("zh", size=1234.56) == "1,234.6 兆"


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are"), (1200, "1,200 rows are")])
def test_a_word_goes_with_its_count(count, said):
    assert Words("{count:,} {count:row|rows} {count:is|are}").say(count=count) == said
    assert Words("{count:,} {count:row|rows} {count:is|are}").filled(count=count).en == said


def test_words_of_a_card_may_lack_chinese():
    assert Words.of({"en": "a"}) == Words("a")
    assert Words.of({"en": "a", "zh": "甲"}) == Words("a", "甲")


def test_a_label_is_found_by_its_key_in_every_language():
    found = words.label("A label that only this test has", "只有这个测试才有的标签")
    assert words.labels("en")[words.key(found)] == found.en
    assert words.labels("zh")[words.key(found)] == found.zh
    assert words.key(found) != words.key(Words("another"))


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_no_label_is_empty_in_any_language(language):
    import studio.data.columns
    import studio.export
    import studio.methods  # noqa: F401 - registers the labels

    assert all(text.strip() for text in words.labels(language).values())


def test_sentences_stand_apart_in_english_and_side_by_side_in_chinese():
    assert words.joined(["One.", "", "Two."], "en") == "One. Two."
    assert words.joined(["一。", "", "二。"], "zh") == "一。二。"
