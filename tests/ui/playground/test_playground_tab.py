"""The Playground tab, called as plain functions."""

from form_fields import CHINESE, ENGLISH

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
