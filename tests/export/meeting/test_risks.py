"""A risk is named where the run's own figures show it, and nowhere else."""

import pytest

from studio import runs
from studio.evaluate import predictions, verdict
from studio.export.meeting import messages
from studio.export.meeting.risks import find_risks
from studio.training import report_messages

DATA = {
    "name": "t.csv",
    "licence": "CC0-1.0",
    "rows": 130,
    "damaged": 0,
    "incomplete": 0,
    "test_name": "other.csv",
}
SUITE = {"before": 0.9, "after": 0.9, "n": 40, "low": -0.1, "high": 0.1}
CLEAN = {"data": DATA, "texts": {"max_length": 64, "cut": 0, "dropped": 0}, "retention": {"all": SUITE}}


def risks_of(run):
    return find_risks(run, predictions.read(run.folder), verdict.read(runs.report(run)))


def test_a_run_whose_figures_show_no_risk_has_none(make_run):
    assert risks_of(make_run(**CLEAN)) == ()


@pytest.mark.parametrize(
    ("changed", "risk"),
    [
        ({"data": {**DATA, "licence": ""}}, messages.RISK_DATA_LICENCE_UNKNOWN),
        ({"data": {**DATA, "test_name": ""}}, messages.RISK_SAME_SOURCE),
        ({"data": {**DATA, "damaged": 4}}, messages.RISK_LEFT_OUT.format(count=4, rows=130)),
        ({"retention": {}}, messages.RISK_NOT_MEASURED),
        ({"split": "validation"}, messages.RISK_VALIDATION),
        ({"n": 12, "n_tuned": 12}, messages.RISK_FEW_ROWS.format(n=12)),
        ({"stopped": True}, messages.RISK_STOPPED),
        ({"best_step": 0}, report_messages.START_KEPT),
        (
            {"texts": {"max_length": 64, "cut": 3, "dropped": 1}},
            report_messages.TEXTS_CUT_AND_DROPPED.format(length=64, cut=3, dropped=1),
        ),
    ],
)
def test_each_risk_is_named_alone(make_run, changed, risk):
    assert risks_of(make_run(**{**CLEAN, **changed})) == (risk,)


def test_a_run_that_broke_off_is_a_risk(make_run):
    run = make_run(**CLEAN)
    runs.set_status(run, "failed")
    assert risks_of(run) == (messages.RISK_BROKE_OFF,)


@pytest.mark.parametrize(
    ("model", "risk"),
    [
        ("llama3.2-1b", messages.RISK_BASE_LICENCE.format(licence="Llama 3.2 Community License")),
        ("someone/model", messages.RISK_BASE_LICENCE_UNKNOWN),
    ],
)
def test_the_licence_of_the_base_is_a_risk_unless_it_allows_any_use(make_run, model, risk):
    assert risks_of(make_run(model=model, **CLEAN)) == (risk,)
