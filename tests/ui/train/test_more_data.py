"""“Would more data help?” on the page: its cost first, then starting, cancelling and the answer."""

import pytest
from form_fields import CHINESE, ENGLISH
from learning_curve_cases import finish

from studio import runs
from studio.training import launcher, learning_curve
from studio.ui.train import more_data


@pytest.fixture
def whole(make_plan):
    return finish(runs.create(make_plan("lora", "classify")), 400, 220)


def seen(answer):
    """The sentence, and whether the buttons to start and to cancel are there and the page asks again."""
    notice, start, cancel, timer = answer[:4]
    return notice["text"], start["visible"], cancel["visible"], timer["active"]


def test_the_cost_is_said_before_anything_starts(whole):
    text, *rest = seen(more_data.look(whole.id, ENGLISH))
    assert text.startswith("2 trainings, about ")
    assert rest == [True, False, False]
    assert runs.all_runs() == [whole]


def test_it_starts_waits_is_cancelled_and_answers(whole, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "start", started.append)
    answer = more_data.start(whole.id, [whole.id], ENGLISH)
    assert seen(answer) == ("2 trainings left. You can close this page.", False, True, True)
    assert answer[4] == [whole.id, *(part.id for part in started)]
    assert seen(more_data.cancel(whole.id, ENGLISH))[0] == more_data.CANCELLED.text
    assert all(part.stop_file.exists() for part in started)
    for part, n_train, n_wrong in zip(started, (100, 200), (400, 300), strict=True):
        finish(part, n_train, n_wrong)
    text, *rest = seen(more_data.look(whole.id, ENGLISH))
    assert text.startswith("+200 rows ≈ +")
    assert rest == [False, False, False]
    assert more_data.look(whole.id, CHINESE)[0]["text"].startswith("再加 200 行 ≈ 提高")
    assert learning_curve.unfinished_parts(whole) == []


@pytest.mark.parametrize("run_id", ["", "../../etc", "a" * 32])
def test_what_is_no_run_gets_a_sentence(run_id):
    for ask in (more_data.look, more_data.cancel):
        assert seen(ask(run_id, ENGLISH))[0]
    assert seen(more_data.start(run_id, [], ENGLISH))[0]
