"""The suites of general questions: complete, in both languages, and with answers that do not give themselves
away.
"""

import json

import pytest

from studio.evaluate.retention import budget, suites

LANGUAGES = ("en", "zh")
CASES = [(name, language) for name in suites.SUITE_NAMES for language in LANGUAGES]


def read_items(name, language):
    return suites.load_suites()[name].in_language(language)


@pytest.mark.parametrize(("name", "language"), CASES)
def test_a_suite_has_all_its_items_each_once_and_in_its_language(name, language):
    items = read_items(name, language)
    assert len(items) == budget.ALL_ITEMS
    assert len({item.question for item in items}) == len(items)
    assert all(len(set(item.answers)) == len(item.answers) >= 2 for item in items)
    is_chinese = [any("\u4e00" <= sign <= "\u9fff" for sign in item.question) for item in items]
    assert is_chinese == [language == "zh"] * len(items)


@pytest.mark.parametrize(("name", "language"), CASES)
def test_the_right_answer_is_not_told_by_its_length(name, language):
    items = read_items(name, language)
    longest = sum(len(item.right) > max(map(len, item.wrong)) for item in items)
    shortest = sum(len(item.right) < min(map(len, item.wrong)) for item in items)
    assert longest <= len(items) / 2
    assert shortest <= 0.6 * len(items)


@pytest.mark.parametrize(("name", "language"), CASES)
def test_no_answer_begins_with_another(name, language):
    """The shorter would always be likelier."""
    for item in read_items(name, language):
        assert not any(
            one.startswith(other) for one in item.answers for other in item.answers if one != other
        )


@pytest.mark.parametrize("name", suites.SUITE_NAMES)
def test_a_suite_has_a_name_in_both_languages(name):
    suite = suites.load_suites()[name]
    assert suite.name.render("en") and suite.name.render("zh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_the_json_answers_the_right_one_alone_can_be_parsed(language):
    for item in read_items("json", language):
        assert json.loads(item.right)
        for answer in item.wrong:
            with pytest.raises(json.JSONDecodeError):
                json.loads(answer)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sums_are_right(language):
    signs = {"plus": "+", "minus": "-", "times": "*", "divided by": "//", "加": "+", "减": "-"}
    signs |= {"乘以": "*", "除以": "//"}
    checked = 0
    for item in read_items("arithmetic", language):
        task = item.question.removeprefix("What is ").removesuffix("?").removesuffix("等于多少？")
        for word, sign in sorted(signs.items(), key=lambda pair: -len(pair[0])):
            left, found, right = task.partition(word)
            if found and left.strip().isdigit() and right.strip().isdigit():
                value = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "//": int.__floordiv__}[sign]
                assert value(int(left), int(right)) == int(item.right), item.question
                checked += 1
    assert checked == 29


def test_a_run_is_asked_in_the_language_of_its_data_and_once_in_the_other():
    chosen = suites.choose_items("zh", 4)
    assert list(chosen) == list(suites.SUITE_NAMES)
    assert all(len(items) == 4 for items in chosen.values())
    assert chosen["knowledge"][0] == read_items("knowledge", "zh")[0]
    assert chosen["other_language"][0] == read_items("other_language", "en")[0]
    assert suites.choose_items("en", 99)["json"] == read_items("json", "en")


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["Where is my parcel? It has been a week.", "谢谢"], "en"),
        (["我的包裹在哪里？", "已经一个星期了", "hello"], "zh"),
        (["Wo ist mein Paket? Ich warte seit einer Woche darauf."], "en"),
        ([], "en"),
    ],
)
def test_the_language_of_the_data(texts, language):
    assert suites.detect_language(texts) == language
