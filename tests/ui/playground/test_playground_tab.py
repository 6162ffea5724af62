"""The Playground tab, called as plain functions."""

from types import SimpleNamespace

import pytest
from form_fields import CHINESE, ENGLISH

from studio.playground import questions
from studio.playground import session as playground_session
from studio.playground.session import Answer, Badge, SelfTestResult, Turn
from studio.ui.playground import history
from studio.ui.playground import tab as playground_tab

PRESSED_BUTTON = SimpleNamespace()
OPTIONS = {"temperature": 0, "length": 10, "seed": 0, "system": "", "past": {}}


class SessionStandIn:
    """Stands for loaded models: it remembers what it was asked, and answers at once."""

    def __init__(self):
        badge = Badge("toy", "abc", as_trained=True)
        self.self_test, self.asked = SelfTestResult(badge, badge, 0.0, 1.0), []

    def ask(self, question):
        self.asked.append(question)
        yield Answer("from the base", "from yours", speed={"base": 1.0, "tuned": 1.0}, done=("base", "tuned"))


@pytest.fixture
def session(monkeypatch):
    stand_in = SessionStandIn()
    monkeypatch.setattr(playground_session, "get_session", lambda run: stand_in)
    return stand_in


def ask(run_id, prompt, request=ENGLISH, event=PRESSED_BUTTON, **options):
    """All that the page is told when both models are asked."""
    return list(playground_tab.ask_both(None, run_id, prompt, event, request, **{**OPTIONS, **options}))


def test_asking_without_a_run_or_a_question_says_so(finished):
    (told,) = ask("", "hello")
    assert told.notice["text"] == playground_tab.NO_FINISHED_RUN.render()
    (told,) = ask(finished().id, "  ")
    assert told.notice["text"] == playground_tab.NO_PROMPT.render()
    (told,) = ask("", "hello", CHINESE)
    assert told.notice["text"] == playground_tab.NO_FINISHED_RUN.render("zh")


def test_an_offered_question_is_asked_by_its_number_alone(finished, session):
    run = finished()
    loading, _, last = ask(run.id, "ignored", event=SimpleNamespace(number=2))
    question = questions.offer(run)[2]
    assert loading.prompt == question
    assert [asked.prompt for asked in session.asked] == [question]
    assert last.history["entries"][0]["question"] == question
    (told,) = ask(run.id, "ignored", event=SimpleNamespace(number=99))
    assert told.notice["text"] == playground_tab.NO_PROMPT.render()


def test_a_follow_up_brings_the_conversation_and_the_system_prompt(finished, session):
    run = finished()
    *_, last = ask(run.id, "where is my lamp", system=" Be kind. ")
    assert last.follow_up["visible"]
    options = {**OPTIONS, "past": last.history, "system": "Be kind."}
    *_, last = playground_tab.ask_follow_up(run.id, "", "and when?", ENGLISH, **options)
    first, second = session.asked
    assert (first.system, first.turns) == ("Be kind.", ())
    assert second.turns == (Turn("where is my lamp", "from the base", "from yours"),)
    assert len(history.read_turns(last.history)) == 2


def test_a_classifier_has_no_options_and_no_follow_up(finished, session):
    classifier, writer, chat = (finished("lora", task) for task in ("classify", "complete", "chat"))
    visible = {}
    for run in (classifier, writer, chat):
        chips, options, system, *_ = playground_tab.show_run(run.id, ENGLISH)
        assert len(chips["questions"]) > 0
        visible[run.plan.task] = (options["visible"], system["visible"])
    assert visible == {"classify": (False, False), "complete": (True, False), "chat": (True, True)}
    *_, last = ask(classifier.id, "hello")
    assert not last.follow_up["visible"]
    assert playground_tab.show_run(None, ENGLISH)[0] == {}


def test_a_run_chosen_by_hand_is_the_one_to_come_back_to(finished):
    chosen, other = finished("lora"), finished("full")
    assert playground_tab.remember_run(chosen.id) == chosen.id
    assert playground_tab.update_run_choices(other.id, chosen.id, [], ENGLISH)["value"] == chosen.id


@pytest.mark.thorough
def test_the_base_model_answers_alone_before_anything_is_trained(tiny_chat):
    *_, (notice, base, tuned) = playground_tab.ask_base(
        str(tiny_chat), "chat", "where is my lamp", ENGLISH, **OPTIONS
    )
    assert notice["text"] == ""
    assert (base["busy"], base["title"].startswith("Base model only")) == ("false", True)
    assert base["text"]
    assert tuned["text"] == ""


def test_a_base_model_that_is_not_there_says_so():
    *_, (notice, base, _) = playground_tab.ask_base(
        "owner/does-not-exist", "chat", "hello", ENGLISH, **OPTIONS
    )
    assert notice["kind"] == "bad"
    assert base["busy"] == "false"
    notice, *_ = next(playground_tab.ask_base("smollm2-135m", "chat", " ", ENGLISH, **OPTIONS))
    assert notice["text"] == playground_tab.NO_PROMPT.render()
