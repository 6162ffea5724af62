"""What the same run would cost elsewhere."""

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH, form_fields

from studio.estimate.machines import catalogue
from studio.storage import home
from studio.ui.method import elsewhere
from studio.ui.method import tab as method_tab
from studio.ui.method.elsewhere import ESTIMATES_ONLY


def open_tables(request=ENGLISH, **changed):
    """The tables after their part of the page was opened."""
    return elsewhere.open_tables(request, **form_fields(**changed))


@pytest.mark.parametrize("request_", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_elsewhere_shows_machines_and_services_and_own_names_as_text(request_):
    (home() / "machines.yaml").write_text(
        "machines:\n  mine: {name: '<img src=x>', card: t4, price: {per_hour: 0.001}}\n", encoding="utf-8"
    )
    html = open_tables(request_)
    assert "&lt;img src=x&gt;" in html
    assert "<img" not in html
    assert "RunPod" in html
    assert "docs.ori.co" in html
    assert "$" in html


def test_what_is_only_remembered_is_not_shown():
    html = open_tables()
    recalled = [
        machine.name
        for machine in catalogue.load_machines().values()
        if "recalled" in {source.quality for source in (machine.spec_source, machine.price_source) if source}
    ]
    assert recalled
    assert [name for name in recalled if f">{name}<" in html] == []
    assert ESTIMATES_ONLY.render() in html


def test_elsewhere_without_data_says_what_to_do_and_no_price():
    html = open_tables(source="")
    assert elsewhere.DATA_OR_MODEL_MISSING.render() in html
    assert "$" not in html


def test_a_section_that_is_put_away_is_not_worked_out():
    assert method_tab.refresh(ENGLISH, elsewhere_html="", **form_fields())[3] == gr.skip()
    assert "RunPod" in method_tab.refresh(ENGLISH, elsewhere_html="tables", **form_fields())[3]
