"""Is training needed at all, on the Method tab: its notice, chart and table."""

import pytest
from form_fields import CHINESE, ENGLISH, form_fields

from studio.errors import NotPossible
from studio.evaluate.baselines import Baseline, Baselines
from studio.evaluate.paired import Estimate
from studio.i18n import Message
from studio.training.baselines import client
from studio.training.baselines.client import Progress
from studio.ui.method import baselines as panel

MEASURED = Baselines(
    measure="accuracy",
    kind="hits",
    split="test",
    n=40,
    n_held_out=40,
    n_learned=100,
    n_train=200,
    entries=(
        Baseline("majority", Estimate(0.25, 0.15, 0.4), 0.0, 0.0),
        Baseline("linear", Estimate(0.8, 0.65, 0.9), 4.0, 0.012),
    ),
)


def test_progress_is_shown_with_a_way_to_cancel_and_then_the_result(monkeypatch):
    plans = []

    def measure(plan):
        plans.append(plan)
        yield Progress("linear", 0.5)
        yield MEASURED

    monkeypatch.setattr(client, "measure", measure)
    busy, done = panel.measure(ENGLISH, **form_fields("classify", "sample:ticket-triage", "minilm-l6"))
    assert busy[0]["text"] == "Embedding the texts: 50%"
    assert (busy[3]["visible"], busy[4]["visible"]) == (False, True)
    assert done[0]["text"].startswith("There is room for training: the best without it, “Linear head")
    assert "100 of 200 training rows" in done[0]["more"]
    assert done[1]["visible"]
    assert (done[3]["visible"], done[4]["visible"]) == (True, False)
    assert plans[0].task == "classify"


@pytest.mark.parametrize("request_", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_what_cannot_be_measured_is_said(request_, monkeypatch):
    def measure(plan):
        raise NotPossible(
            Message("Cancelled; nothing was kept."), Message("Try the prompt on the base model")
        )
        yield

    monkeypatch.setattr(client, "measure", measure)
    (shown,) = panel.measure(request_, **form_fields())
    assert shown[0]["bad"]
    (without_data,) = panel.measure(request_, **form_fields(source=""))
    assert without_data[0]["bad"]


def test_the_chart_has_a_bar_with_its_interval_and_its_cost_for_each():
    figure = panel.draw(MEASURED, "en")
    (bars,) = figure.data
    assert list(bars.x) == [0.8, 0.25]  # from the bottom
    assert [round(value, 3) for value in bars.error_x.array] == [0.1, 0.15]
    assert [round(value, 3) for value in bars.error_x.arrayminus] == [0.15, 0.1]
    assert "4.0 s in all, 0.012 s for one text alone" in bars.y[0]
    assert figure.layout.xaxis.title.text == "share of texts sorted rightly (accuracy)"
    assert tuple(figure.layout.xaxis.range) == (0, 1)


def test_the_table_says_the_same_as_the_chart():
    table = panel.render(MEASURED, "en")
    assert "<caption>share of texts sorted rightly (accuracy)</caption>" in table
    assert '<th scope="row">Linear head on the base&#x27;s embeddings</th><td>80% (65–90%)</td>' in table
    assert "<td>4.0 s in all, 0.012 s for one text alone</td>" in table
    assert "基础模型的嵌入加线性分类头" in panel.render(MEASURED, "zh")
