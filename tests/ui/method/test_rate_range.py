"""The learning-rate range test on the Method tab, called as a plain function."""

import pytest
from form_fields import ENGLISH, form_fields

from studio.evaluate.rate_range import RateRange
from studio.training import rate_range
from studio.ui.method import rate_range as panel


def press(**changed):
    return list(panel.test_learning_rates(ENGLISH, **form_fields(**changed)))


def test_without_examples_it_says_so():
    ((notice, button, advised),) = press(source="")
    assert (notice["text"], button["visible"], advised) == (panel.NO_EXAMPLES.render(), False, None)


def test_a_method_of_several_trainings_is_refused_with_what_to_do():
    ((notice, _, _),) = press(method="rlhf")
    assert notice["kind"] == "bad"
    assert rate_range.CHOOSE_ANOTHER.render() in str(notice)


@pytest.mark.parametrize(("planned", "advised"), [(1e-5, 3e-4), (2e-4, None)])
def test_a_rate_far_from_the_planned_one_is_offered(monkeypatch, planned, advised):
    tested = RateRange((1e-4, 1e-3, 1e-2), (1.8, 1.0, 5.0), start=2.0, planned=planned)
    steps = [rate_range.Progress(0, 0), rate_range.Progress(1, 30), tested]
    monkeypatch.setattr(rate_range, "measure", lambda plan: iter(steps))
    monkeypatch.setattr(rate_range, "estimate_minutes", lambda plan: (0.5, 1.5))
    (price, *_), (progress, *_), (notice, button, offered) = press(method="lora")
    assert price["text"] == panel.LOADING.render(time="1 min")
    assert progress["text"] == panel.TESTING.render(done=1, total=30)
    assert notice["kind"] == "good"
    assert offered == advised
    assert button["visible"] is bool(advised)
