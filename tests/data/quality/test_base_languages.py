"""The languages of the data against those that a base model knows."""

import pytest

from studio import presets
from studio.data import store
from studio.data.quality import base_languages, health, language_id
from studio.data.quality.base_languages import HARDLY_KNOWS, NOBODY_KNOWS
from studio.data.quality.health import CheckOptions

GERMAN = "Die Lieferung ist leider noch nicht angekommen, bitte prüfen Sie den Stand der Sendung."
ENGLISH = "The parcel has not arrived yet, please check where it is and write back to me today."
CHINESE = "包裹还没有收到，麻烦查一下现在到哪里了。"


def test_a_language_counts_from_a_tenth_of_the_texts_on():
    rows = [(GERMAN, GERMAN)] * 5 + [(CHINESE, CHINESE)] + [(ENGLISH, ENGLISH)] * 4
    assert set(base_languages.find_languages(rows, "chat")) == {"de", "en", "zh"}
    rows += [(ENGLISH, ENGLISH)]
    assert set(base_languages.find_languages(rows, "chat")) == {"de", "en"}


def test_the_answers_count_too_but_not_the_labels_of_texts():
    assert base_languages.find_languages([(ENGLISH, CHINESE)] * 8, "chat") == ("en", "zh")
    assert base_languages.find_languages([(ENGLISH, "退货")] * 8, "classify") == ("en",)


def test_words_too_few_to_tell_are_in_no_language():
    assert base_languages.find_languages([("ok", "fine")] * 8, "chat") == ()


@pytest.mark.parametrize(
    ("languages", "model", "nearest"),
    [
        (("de",), "smollm2-135m", "qwen3-0.6b"),
        (("zh", "de", "en"), "smollm2-135m", "qwen3-0.6b"),
        (("zh",), "minilm-l6", "bert-base-chinese"),
        (("de",), "minilm-l6", "xlm-roberta-base"),
        (("en",), "smollm2-135m", "smollm2-135m"),
        (("zh",), "qwen3-8b", "qwen3-8b"),
    ],
)
def test_the_nearest_base_knows_all_languages_and_does_the_same_tasks(languages, model, nearest):
    assert base_languages.nearest_base(languages, model) == nearest


def test_the_warning_names_what_is_not_known_and_who_knows_it():
    warning = base_languages.language_warning(("en", "de", "zh"), "smollm2-135m")
    assert warning.text == HARDLY_KNOWS.text
    names = [language_id.language_name("de"), language_id.language_name("zh")]
    assert warning.values["languages"] == names
    assert warning.values["other"] == presets.models()["qwen3-0.6b"].name


def test_nothing_is_said_of_a_known_language_or_an_unknown_model():
    assert base_languages.language_warning(("en",), "smollm2-135m") is None
    assert base_languages.language_warning(("zh",), "qwen3-0.6b") is None
    assert base_languages.language_warning(("zh",), "somebody/some-model") is None


def test_a_language_that_no_base_knows_is_said_to_be_known_by_none():
    assert base_languages.language_warning(("xx",), "smollm2-135m").text == NOBODY_KNOWS.text


def test_every_base_names_languages_of_the_identifier_and_their_source():
    for card in presets.models().values():
        assert set(card.languages.codes) <= set(language_id.LANGUAGE_NAMES)
        assert card.languages.source


@pytest.mark.parametrize(("model", "is_known"), [("smollm2-135m", False), ("qwen3-0.6b", True)])
def test_the_health_report_warns_where_the_base_does_not_know_the_language(model, is_known):
    sample = presets.samples()["support-zh"]
    table = store.find("sample:support-zh").table()
    report = health.check_health(table, sample.task, sample.columns, CheckOptions(model=model))
    findings = {finding.kind: finding for finding in report.findings}
    assert ("base_language" in findings) is not is_known
    if not is_known:
        assert findings["base_language"].grade == "stop"
