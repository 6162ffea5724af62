"""The history holds what was asked, and a follow-up continues the conversation that it belongs to."""

from studio.playground.session import Turn
from studio.ui.playground import history


def entry(question):
    return {"question": question, "base": f"base {question}", "tuned": f"tuned {question}"}


def test_a_follow_up_reads_back_to_the_first_question_of_its_conversation():
    value = history.history_value([], "en")
    for question, is_follow_up in (("old", False), ("first", False), ("second", True)):
        value = history.add_entry(value, entry(question), is_follow_up, "en")
    assert [item["question"] for item in value["entries"]] == ["second", "first", "old"]
    assert history.read_turns(value) == (
        Turn("first", "base first", "tuned first"),
        Turn("second", "base second", "tuned second"),
    )


def test_only_the_latest_questions_are_kept():
    value = {}
    for number in range(history.MAX_ENTRIES + 5):
        value = history.add_entry(value, entry(str(number)), False, "en")
    assert len(value["entries"]) == history.MAX_ENTRIES
    assert value["entries"][0]["question"] == "24"


def test_what_a_browser_makes_up_is_no_history():
    for wrong in (None, [], "x", {"entries": "x"}, {"entries": [1, None]}):
        assert history.read_turns(wrong) == ()
    (read,) = history.read_entries({"entries": [{"question": 5, "role": "system", "base": "x" * 30_000}]})
    assert set(read) == {"question", "base", "tuned", "mark"}
    assert (read["question"], len(read["base"])) == ("5", history.MAX_CHARS)
