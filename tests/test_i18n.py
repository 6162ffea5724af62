"""A message is rendered in the language of whoever reads it, with its values filled in."""

import pytest

from studio import i18n
from studio.i18n import Message


def test_a_sentence_is_said_in_the_language_asked_for():
    greeting = Message("Hello {name}", translations={"zh": "你好 {name}"})
    assert greeting.render("en", name="Mira") == "Hello Mira"
    assert greeting.render("zh", name="Mira") == "你好 Mira"


def test_chinese_falls_back_to_english():
    assert Message("Start").render("zh") == "Start"


def test_a_message_within_a_message_is_rendered_in_the_same_language():
    outer, inner = (
        Message("Why: {why}", translations={"zh": "原因：{why}"}),
        Message("no memory", translations={"zh": "内存不足"}),
    )
    assert outer.render("en", why=inner) == "Why: no memory"
    assert outer.render("zh", why=inner) == "原因：内存不足"


@pytest.mark.parametrize(
    ("names", "chinese"),
    [
        (["red", 3], "现有：red、3。"),
        (("red", 3), "现有：red、3。"),
        ([Message("red", translations={"zh": "红"}), 3], "现有：红、3。"),
    ],
)
def test_a_list_is_joined_by_the_comma_of_the_language(names, chinese):
    colours = Message("It has {names}.", translations={"zh": "现有：{names}。"})
    assert colours.render(names=names) == "It has red, 3."
    assert colours.render("zh", names=names) == colours.format(names=names).render("zh") == chinese


def test_a_list_of_one_has_no_comma_and_text_is_not_taken_apart():
    only = Message("{name}", translations={"zh": "只有 {name}"})
    assert only.render("zh", name=["one, two"]) == only.render("zh", name="one, two") == "只有 one, two"


def test_braces_in_a_value_are_kept_as_they_are():
    assert Message("“{name}” is empty").render(name="{x}.csv") == "“{x}.csv” is empty"


def test_a_sentence_without_values_may_hold_braces():
    assert Message('{"a": 1}').render() == '{"a": 1}'


def test_a_formatted_message_keeps_its_translations_and_falls_back_to_english():
    filled = Message("{count} rows", translations={"zh": "{count} 行"}).format(count=3)
    assert (filled.render(), filled.render("zh")) == ("3 rows", "3 行")
    assert Message("{count} rows").format(count=3).render("zh") == "3 rows"


def test_a_number_is_formatted_in_both_languages():
    size = Message("{size:,.1f} MB", translations={"zh": "{size:,.1f} 兆"})
    assert size.render("en", size=1234.56) == "1,234.6 MB"
    assert size.render("zh", size=1234.56) == "1,234.6 兆"


@pytest.mark.parametrize(
    ("count", "sentence"), [(0, "0 rows are"), (1, "1 row is"), (2, "2 rows are"), (1200, "1,200 rows are")]
)
def test_a_word_goes_with_its_count(count, sentence):
    assert Message("{count:,} {count:row|rows} {count:is|are}").render(count=count) == sentence
    assert Message("{count:,} {count:row|rows} {count:is|are}").format(count=count).render() == sentence


def test_a_message_of_a_card_may_lack_chinese():
    assert Message.from_card({"en": "a"}) == Message("a")
    assert Message.from_card({"en": "a", "zh": "甲"}) == Message("a", translations={"zh": "甲"})


def test_a_label_is_found_by_its_key_in_every_language(monkeypatch):
    monkeypatch.setattr(i18n, "_LABELS", dict(i18n._LABELS))  # the label ends with the test
    text, chinese = "A label that only this test has", "只有这个测试才有的标签"
    message = i18n.register_label(Message(text, translations={"zh": chinese}))
    assert i18n.labels("en")[i18n.label_key(message)] == text
    assert i18n.labels("zh")[i18n.label_key(message)] == chinese
    assert i18n.label_key(message) != i18n.label_key(Message("another"))


@pytest.mark.parametrize("language", i18n.languages())
def test_no_label_is_empty_in_any_language(language):
    import studio.data.schema.infer_roles
    import studio.export
    import studio.methods  # noqa: F401 - registers the labels

    assert all(text.strip() for text in i18n.labels(language).values())


def test_sentences_stand_apart_in_english_and_side_by_side_in_chinese():
    assert i18n.join_sentences(["One.", "", "Two."], "en") == "One. Two."
    assert i18n.join_sentences(["一。", "", "二。"], "zh") == "一。二。"
