"""The panes show an answer, the labels of a classifier, and whether the weights are the right ones."""

from studio.playground.session import Answer, Badge, SelfTestResult
from studio.ui.playground import panes

BADGES = [Badge(name, "abc", as_trained=True) for name in ("base", "tuned")]


def pane(side, problem_type="", proof=None, **answer):
    """What a pane shows of an answer that has ended."""
    shown = Answer(done=("base", "tuned"), **{"speed": {"base": 1.0, "tuned": 2.0}, **answer})
    return panes.pane_value(side, shown, proof or SelfTestResult(*BADGES, 0.0, 1.0), "en", problem_type)


def test_of_several_labels_those_that_reach_the_threshold_are_named():
    scores = {"billing": 0.91, "returns": 0.2, "late": 0.5}
    value = pane("tuned", "multi_label_classification", scores={"tuned": scores})
    assert [bar["name"] for bar in value["bars"]] == ["billing", "late", "returns"]
    assert value["note"] == panes.LABELS_GIVEN.render(threshold=0.5, labels=["billing", "late"])
    value = pane("tuned", "multi_label_classification", scores={"tuned": {"billing": 0.4, "returns": 0.2}})
    assert value["note"] == panes.NO_LABEL_GIVEN.render(threshold=0.5)


def test_a_number_is_shown_as_a_number():
    value = pane("tuned", "regression", scores={"tuned": {"rating": 4.234}})
    assert (value["text"], value["bars"], value["note"]) == ("4.23", [], "")


def test_one_class_a_text_shows_every_share_and_that_it_is_not_calibrated():
    value = pane("tuned", "single_label_classification", scores={"tuned": {"billing": 0.9, "returns": 0.1}})
    assert [bar["share"] for bar in value["bars"]] == ["90%", "10%"]
    assert value["note"] == panes.UNCALIBRATED.render()


def test_an_untrained_head_shows_no_shares_and_no_number():
    for problem_type in ("single_label_classification", "multi_label_classification", "regression"):
        value = pane("base", problem_type, scores={"base": {"billing": 0.9, "returns": 0.1}})
        assert (value["bars"], value["text"]) == ([], panes.UNTRAINED_HEAD.render())
        assert panes.answer_in_words(Answer(scores={"base": {"billing": 0.9}}), "base", problem_type) == ""


def test_each_side_is_verified_in_its_own_words():
    base, tuned = pane("base", base="hi"), pane("tuned", tuned="hello")
    assert (base["trust"], base["verdict"]) == ("holds", panes.VERIFIED["base"].render())
    assert base["proof"].startswith(panes.WEIGHTS_MATCH["base"].render())
    assert tuned["proof"].startswith(panes.WEIGHTS_MATCH["tuned"].render())
    other = SelfTestResult(BADGES[0], Badge("tuned", "def", as_trained=False), 0.0, 1.0)
    assert pane("tuned", proof=other)["verdict"] == panes.NOT_VERIFIED["tuned"].render()
    unchanged = SelfTestResult(*BADGES, 0.0, 0.0)
    assert pane("tuned", proof=unchanged)["trust"] == "fails"


def test_a_report_that_was_changed_proves_nothing():
    tuned = Badge("tuned", "abc", as_trained=True, is_report_intact=False)
    proof = SelfTestResult(BADGES[0], tuned, 0.0, 1.0)
    value = panes.pane_value("tuned", Answer(tuned="hello", done=("tuned",), speed={"tuned": 1.0}), proof)
    assert not proof.passed
    assert value["trust"] == "fails"
    assert panes.REPORT_CHANGED.render() in value["proof"]
