"""The Playground tab, called as plain functions."""

from form_fields import CHINESE, ENGLISH

from studio.playground.session import Answer, Badge, SelfTestResult
from studio.ui.playground import tab as playground_tab


def first_notice(run_id, prompt, request=ENGLISH):
    """What is said first when both models are asked."""
    sampling = {"temperature": 0, "length": 10, "seed": 0}
    return next(playground_tab.ask_both(None, run_id, prompt, request, **sampling))[0]["text"]


def test_asking_without_a_run_or_a_question_says_so(finished):
    assert first_notice("", "hello").startswith("No finished run")
    assert first_notice(finished().id, "  ") == "Type a question first."
    assert first_notice("", "hello", CHINESE).startswith("还没有")


def test_a_run_chosen_by_hand_is_the_one_to_come_back_to(finished):
    chosen, other = finished("lora"), finished("full")
    assert playground_tab.remember_run(chosen.id) == chosen.id
    assert playground_tab.update_run_choices(other.id, chosen.id, [], ENGLISH)["value"] == chosen.id


def test_the_base_model_answers_alone_before_anything_is_trained(tiny_chat):
    *_, (notice, base, tuned) = playground_tab.ask_base(
        str(tiny_chat), "chat", "where is my lamp", 12, ENGLISH
    )
    assert notice["text"] == ""
    assert (base["busy"], base["title"].startswith("Base model alone")) == ("false", True)
    assert base["text"]
    assert tuned["text"] == ""


def test_a_base_model_that_is_not_there_says_so():
    *_, (notice, base, _) = playground_tab.ask_base("owner/does-not-exist", "chat", "hello", 12, ENGLISH)
    assert notice["kind"] == "bad"
    assert base["busy"] == "false"
    notice, *_ = next(playground_tab.ask_base("smollm2-135m", "chat", " ", 12, ENGLISH))
    assert notice["text"] == "Type a question first."


def tuned_pane(scores, problem_type):
    """What the tuned model's pane shows of these scores."""
    badges = [Badge(name, "abc", as_trained=True) for name in ("base", "tuned")]
    answer = Answer(scores={"tuned": scores}, done=("base", "tuned"))
    return playground_tab.pane_value("tuned", answer, SelfTestResult(*badges, 0.0, 1.0), "en", problem_type)


def test_of_several_labels_those_that_reach_the_threshold_are_named():
    pane = tuned_pane({"billing": 0.91, "returns": 0.2, "late": 0.5}, "multi_label_classification")
    assert [bar["name"] for bar in pane["bars"]] == ["billing", "late", "returns"]
    assert pane["note"] == playground_tab.LABELS_GIVEN.render(threshold=0.5, labels=["billing", "late"])
    pane = tuned_pane({"billing": 0.4, "returns": 0.2}, "multi_label_classification")
    assert pane["note"] == playground_tab.NO_LABEL_GIVEN.render(threshold=0.5)


def test_a_number_is_shown_as_a_number():
    pane = tuned_pane({"rating": 4.234}, "regression")
    assert (pane["text"], pane["bars"], pane["note"]) == ("4.23", [], "")


def test_one_class_a_text_shows_every_share_and_no_note():
    pane = tuned_pane({"billing": 0.9, "returns": 0.1}, "single_label_classification")
    assert [bar["share"] for bar in pane["bars"]] == ["90%", "10%"]
    assert pane["note"] == ""
