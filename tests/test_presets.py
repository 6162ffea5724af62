"""What the studio ships as text is complete, strict and keeps its promises."""

import csv
import re
from collections import Counter

import pytest

from studio import methods, presets
from studio.data.quality import surface_rules
from studio.errors import BadPlan
from studio.plan import OPTIONAL_ROLES, REQUIRED_ROLES

OPENING, CLOSING = "Hello from the potting shed.", "— Mira, Fernhill"
CLOCK_TIME = re.compile(r"\b\d{1,2}(\.\d\d)? [ap]m\b|\bnoon\b")
CONTRACTION = re.compile(
    r"\w'(t|re|ve|ll|d|m)\b|\b(it|that|here|there|what|let|he|she|who|where|how)'s\b", re.IGNORECASE
)


@pytest.fixture
def presets_folder(tmp_path, monkeypatch):
    """An empty folder in the place of the presets."""
    monkeypatch.setattr(presets, "FOLDER", tmp_path)
    return tmp_path


def rows_of(card):
    with card.path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_method_has_a_card_and_a_place_of_its_own_in_the_table():
    cards = presets.methods()
    assert sorted(cards) == sorted(method.name for method in methods.METHODS)
    assert [card.order for card in cards.values()] == list(range(1, len(cards) + 1))


def test_methods_are_counted_in_words():
    assert presets.spelled_method_count().render() == "ten"
    assert presets.spelled_method_count().render("zh") == "十"
    assert presets.spelled_method_count(besides=1).render() == "nine"


def test_every_trainable_method_has_a_card_that_agrees_on_the_tasks():
    for method in methods.METHODS:
        assert set(method.tasks) <= set(presets.methods()[method.name].tasks)


def test_a_method_card_says_everything_in_both_languages():
    missing = []
    for name, card in presets.methods().items():
        for field in ("name", "in_sentence", "short", "principle", "updated", "when", "needs"):
            message = getattr(card, field)
            if message in (None, presets.NOT_DESCRIBED) or set(message.translations) != {"zh"}:
                missing.append((name, field))
        if len(card.steps) < 3 or not (card.help and card.drawing and card.chooser.reasons):
            missing.append((name, "steps, help, drawing or chooser"))
    assert missing == []


def test_a_card_with_nothing_but_a_name_and_tasks_is_described_neutrally(presets_folder):
    (presets_folder / "methods").mkdir()
    file = presets_folder / "methods" / "new.yaml"
    file.write_text("order: 1\nname: {en: New, zh: 新}\ntasks: [chat]\n", encoding="utf-8")
    card = presets.methods()["new"]
    assert card.short == card.principle == card.updated == presets.NOT_DESCRIBED
    assert card.name_in_sentence == card.name
    assert (card.help, card.steps, card.drawing, card.settings) == (None, (), {}, {})


@pytest.mark.parametrize("entry", ["{points: 1}", "{points: 1, shared: light, text: {en: A., zh: 甲。}}"])
def test_a_reason_has_a_sentence_of_its_own_or_a_shared_one(presets_folder, entry):
    (presets_folder / "methods").mkdir()
    file = presets_folder / "methods" / "new.yaml"
    text = f"order: 1\nname: {{en: New, zh: 新}}\ntasks: [chat]\nchooser: {{reasons: [{entry}]}}\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadPlan, match=r"new\.yaml: chooser\.reasons\.0: .*either text or shared"):
        presets.methods()


@pytest.mark.parametrize("name", list(presets.models()))
def test_a_model_card_is_complete(name):
    card = presets.models()[name]
    assert card.tasks
    assert set(card.tasks) & set(REQUIRED_ROLES)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", card.hub)
    assert card.about.render()
    assert card.about.render("zh")
    assert card.licence


def test_each_task_has_an_embedded_model_that_needs_no_hub():
    embedded = [card for card in presets.models().values() if card.wheel]
    assert {task for card in embedded for task in card.tasks} >= {"chat", "classify"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", card.wheel.sha256) for card in embedded)


@pytest.mark.parametrize("name", list(presets.samples()))
def test_a_sample_has_the_promised_rows_and_columns_and_no_duplicates(name):
    card = presets.samples()[name]
    rows = rows_of(card)
    assert len(rows) == card.rows
    assert (
        set(REQUIRED_ROLES[card.task])
        <= set(card.columns)
        <= set(REQUIRED_ROLES[card.task]) | set(OPTIONAL_ROLES.get(card.task, ()))
    )
    assert set(card.columns.values()) <= set(rows[0])
    assert all(cell.strip() for row in rows for cell in row.values())
    inputs = [" ".join(row[card.columns[REQUIRED_ROLES[card.task][0]]].lower().split()) for row in rows]
    assert [text for text, times in Counter(inputs).items() if times > 1] == []


def test_the_tone_sample_keeps_its_own_rules():
    rows = rows_of(presets.samples()["support-tone"])
    assert len(rows) >= 120
    replies = [row["reply"] for row in rows]
    assert len(set(replies)) == len(replies)
    for reply in replies:
        assert reply.startswith("Hello from the potting shed."), reply
        assert reply.endswith("— Mira, Fernhill"), reply
        assert "unfortunately" not in reply.lower(), reply
        assert "!" not in reply, reply


def off_tone(answer):
    """Which of the house tone's checkable rules an answer breaks."""
    rules = {
        "opening": answer.startswith(OPENING),
        "closing": answer.endswith(CLOSING),
        "clock time": CLOCK_TIME.search(answer),
        "no contraction": not CONTRACTION.search(answer),
        "no exclamation mark": "!" not in answer,
        "no unfortunately": "unfortunately" not in answer.lower(),
        "20 to 45 words": 20 <= len(answer.split()) <= 45,
    }
    return [rule for rule, holds in rules.items() if not holds]


def preference_answers():
    """The better and the worse answers of the preference sample."""
    rows = rows_of(presets.samples()["support-preference"])
    return [row["better"] for row in rows], [row["worse"] for row in rows]


def test_both_answers_of_a_pair_have_the_same_voice():
    better, worse = preference_answers()
    for answer in (*better, *worse):
        assert off_tone(answer) == [], answer
    assert len({*better, *worse}) == len(better) + len(worse) >= 240


def test_the_surface_of_the_preference_sample_does_not_tell_which_answer_is_better():
    better, worse = preference_answers()
    rule = surface_rules.find_best_rule(better, worse)
    assert surface_rules.measure_rule(rule, better, worse).share <= 0.6
    probe = surface_rules.probe_words(better, worse)
    assert probe.low < 0.5 < probe.high
    assert probe.share <= 0.6
    for name in ("characters", "words"):
        count, longer, _ = surface_rules.COUNTS[name]
        share = surface_rules.measure_rule(surface_rules.SurfaceRule(longer, count), better, worse).share
        assert 0.45 <= share <= 0.55


def test_no_customer_of_the_preference_sample_repeats_one_of_the_tone_sample():
    tone, pairs = (
        {" ".join(row["customer"].lower().split()) for row in rows_of(presets.samples()[name])}
        for name in ("support-tone", "support-preference")
    )
    assert tone & pairs == set()


def test_every_answer_to_a_word_problem_is_one_plain_number():
    rows = rows_of(presets.samples()["word-problems"])
    assert len(rows) >= 160
    for row in rows:
        assert row["question"].endswith("?"), row
        assert re.fullmatch(r"(0|[1-9]\d*)(\.\d?[1-9])?", row["answer"]), row


def test_the_triage_sample_has_six_labels_of_equal_size():
    rows = rows_of(presets.samples()["ticket-triage"])
    labels = Counter(row["label"] for row in rows)
    assert sorted(labels) == [
        "account",
        "billing",
        "delivery",
        "product question",
        "returns",
        "technical problem",
    ]
    assert set(labels.values()) == {40}


def test_an_unknown_key_in_a_method_card_names_file_and_key(presets_folder):
    original = (presets.ROOT / "presets" / "methods" / "lora.yaml").read_text(encoding="utf-8")
    (presets_folder / "methods").mkdir()
    file = presets_folder / "methods" / "lora.yaml"
    file.write_text(original + "colour: blue\n", encoding="utf-8")
    with pytest.raises(BadPlan) as caught:
        presets.methods()
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{file}: colour: ")


def test_an_unknown_key_in_the_catalogue_names_file_model_and_key(presets_folder):
    file = presets_folder / "models.yaml"
    file.write_text("tiny: {name: T, colour: blue}\n", encoding="utf-8")
    with pytest.raises(BadPlan) as caught:
        presets.models()
    assert any(problem.startswith(f"{file}: tiny.colour: ") for problem in caught.value.problems)
    assert any(problem.startswith(f"{file}: tiny.hub: ") for problem in caught.value.problems)


def test_a_card_that_is_a_list_names_its_file(presets_folder):
    (presets_folder / "models.yaml").write_text("- tiny\n", encoding="utf-8")
    with pytest.raises(BadPlan, match=r"models\.yaml: expected keys and values"):
        presets.models()
