"""The reward rehearsal on the Method tab, called as a plain function."""

import pytest
from form_fields import CHINESE, ENGLISH, form_fields

from studio.methods.rlhf_stages import rehearsal as rules
from studio.training import rehearsal
from studio.ui.method import rehearsal as panel


def rehearse(request=ENGLISH, **changed):
    return list(panel.rehearse(request, **form_fields(method="rlhf", **changed)))


def test_without_examples_it_says_so():
    assert [notice["text"] for notice in rehearse(source="")] == [
        "Bring examples first: the rehearsal asks their questions."
    ]


def test_settings_that_do_not_go_together_are_named():
    (notice,) = rehearse(rlhf_reward="contains")
    assert notice["kind"] == "bad"
    assert "name the words an answer should contain" in str(notice)


@pytest.mark.parametrize(
    ("reward", "kind", "headline"),
    [
        (lambda text: 1.0, "bad", "This reward cannot teach."),
        (lambda text: float(len(text)), "check", "This reward can be tricked."),
    ],
)
def test_the_verdict_comes_with_its_evidence(monkeypatch, reward, kind, headline):
    result = rules.rehearse(
        ["a?", "b?"], [["x", "yy"], ["z", "www"]], lambda items: [reward(text) for _, text in items]
    )
    plans = []
    monkeypatch.setattr(
        rehearsal,
        "rehearse",
        lambda plan: plans.append(plan) or iter([rehearsal.Progress(0, 0), rehearsal.Progress(2, 4), result]),
    )
    *progress, verdict = rehearse(rlhf_reward="json")
    assert [notice["text"] for notice in progress] == [
        "Loading the base model…",
        "Writing and scoring answers: 2 of 4.",
    ]
    assert (verdict["kind"], verdict["text"]) == (kind, headline)
    assert "4 answers of the base model to 2 questions" in verdict["more"]
    assert plans[0].method.settings["reward"] == "json"
    assert rehearse(CHINESE, rlhf_reward="json")[-1]["text"].startswith("这个奖励")
