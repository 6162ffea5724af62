"""The samples on the Data tab: what each takes here, which is the first to try, and which is honest."""

from types import SimpleNamespace

import gradio as gr
import pytest
from form_fields import CHINESE, ENGLISH

from studio import presets
from studio.estimate import all_methods
from studio.estimate.machines import catalogue
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.ui.data import messages, samples
from studio.ui.data import tab as data_tab
from studio.ui.form import plan_form


def test_every_sample_says_what_it_takes_and_the_quickest_stands_first_as_the_best_first_try():
    described = samples.describe_samples(ENGLISH)["samples"]
    assert {sample["id"] for sample in described} == set(presets.samples())
    assert all(sample["cost"] for sample in described)
    assert [bool(sample["badge"]) for sample in described] == [True] + [False] * (len(described) - 1)
    minutes = [samples._estimate(sample["id"], 0.0).minutes.likely for sample in described]
    assert minutes == sorted(minutes)


def test_the_figures_are_those_of_the_estimator_for_the_default_plan():
    estimate = all_methods.estimate_chosen_method(
        samples.default_plan("ticket-triage"), catalogue.local_machine()
    )
    assert samples._estimate("ticket-triage", 0.0).minutes == estimate.minutes


@pytest.mark.parametrize(("name", "is_known"), [("support-zh", False), ("support-tone", True)])
def test_a_sample_that_the_embedded_model_hardly_understands_says_so(name, is_known):
    described = samples.describe_samples(CHINESE)["samples"]
    sample = next(sample for sample in described if sample["id"] == name)
    assert (not sample["caution"]) is is_known
    assert sample["badge"] == "" or is_known


@pytest.mark.parametrize("name", presets.samples())
def test_every_sample_keeps_enough_rows_for_a_verdict(name):
    plan = samples.default_plan(name)
    n_test = len(plan_form.split_examples(plan).test)
    assert n_test >= MIN_ROWS


@pytest.mark.parametrize("name", ["nonsense", "", None, "../../x", 3])
def test_a_sample_that_does_not_exist_is_refused_and_changes_nothing(name):
    notice, *others = data_tab.pick_sample(SimpleNamespace(id=name), ENGLISH)
    assert notice["kind"] == "bad"
    assert all(value == gr.skip() for value in others)


def test_the_part_where_data_comes_from_folds_into_one_line_and_counts_rows_anew(dataset):
    *_, folded = data_tab.restore(dataset.source, ENGLISH)
    title = messages.OPEN_DATA.render(name=dataset.name, rows=40)
    assert (folded["label"], folded["open"]) == (title, False)
    *_, unfolded = data_tab.restore("", ENGLISH)
    assert unfolded["open"]
    assert data_tab.name_open_data(dataset.source, ENGLISH)["label"] == title
    assert data_tab.name_open_data("dataset:nonsense", ENGLISH) == gr.skip()
