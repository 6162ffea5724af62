"""“Same again, but …”: what of a run's plan stands in the form, and what is said where something is gone."""

import json
from types import SimpleNamespace

import pytest
from form_fields import ENGLISH, SAMPLE_COLUMNS

from studio import runs
from studio.data import store
from studio.data.schema import infer_roles
from studio.ui.data import tab as data_tab
from studio.ui.train import same_again
from studio.ui.train.same_again import FormTargets

DATA_OUTPUTS = len(data_tab.notice_only({}))
FIELDS = ("epochs", "seed", "lora_rank", "frozen_blocks")
TARGETS = FormTargets(
    data=[None] * DATA_OUTPUTS,
    method=None,
    method_for=None,
    model=None,
    edited=None,
    test_sets=None,
    name=None,
    change_notice=None,
    fields=dict.fromkeys(FIELDS),
)


@pytest.fixture
def make_run(make_plan):
    """`make_run(model=…, data={…}, …)`: a run of LoRA on the sample of support replies, with changes."""

    def make(data=None, training=None, **changed):
        plan = make_plan("lora", "chat")
        sample = {"source": "sample:support-tone", "columns": SAMPLE_COLUMNS["chat"], "test": ""}
        changed = {
            "name": "First try",
            "model": "smollm2-135m",
            "data": plan.data.model_copy(update={**sample, **(data or {})}),
            "training": plan.training.model_copy(update=training or {}),
            **changed,
        }
        return runs.create(plan.model_copy(update=changed))

    return make


def repeat(run_id, browser_runs=(), test_sets=None):
    """What happens to the form, by name; `data` are the updates of the Data tab."""
    event = SimpleNamespace(id=run_id)
    notice, change, *others = same_again.repeat_run(
        TARGETS, list(browser_runs), [], test_sets or {}, event, ENGLISH
    )
    names = ("method", "method_for", "model", "edited", "test_sets", "name", "values")
    return {
        "notice": notice,
        "change": change,
        "data": others[:DATA_OUTPUTS],
        **dict(zip(names, others[DATA_OUTPUTS:], strict=True)),
    }


def test_a_run_s_model_data_columns_method_and_settings_stand_in_the_form(make_run):
    run = make_run(training={"epochs": 7, "seed": 5})
    form = repeat(run.id)
    assert (form["name"], form["model"], form["method"]) == ("First try", "smollm2-135m", "lora")
    assert form["method_for"] == "sample:support-tone|chat"
    assert json.dumps(SAMPLE_COLUMNS["chat"]) in form["data"]
    values = dict(zip(FIELDS, json.loads(form["values"]), strict=True))
    assert (values["epochs"], values["seed"]) == (7, 5)
    assert values["lora_rank"] == run.plan.method.settings.get("rank", values["lora_rank"])
    assert values["frozen_blocks"] == same_again.UNCHANGED
    assert form["edited"] == {
        "source": "sample:support-tone",
        "names": ["epochs", "batch_size", "test_share"],
    }
    assert form["change"]["text"] == same_again.PLAN_OF.render(name="First try")


def test_columns_that_a_run_guessed_come_back_too(make_run):
    run = make_run(data={"columns": {}})
    assert json.dumps(SAMPLE_COLUMNS["chat"]) in repeat(run.id)["data"]
    other = {"prompt": "reply", "response": "customer"}
    (run.folder / "report.json").write_text(json.dumps({"data": {"columns": other}}))
    assert json.dumps(other) in repeat(run.id)["data"]


def test_a_model_that_is_gone_is_named_and_the_rest_stands_in_the_form(make_run):
    form = repeat(make_run(model="/models/gone").id)
    assert same_again.MODEL_GONE.render(model="/models/gone") in form["change"]["text"]
    assert form["model"] == same_again.gr.skip()
    assert form["values"] != same_again.NO_VALUES


def test_data_that_are_gone_change_nothing_and_are_said(make_run, chat_csv):
    dataset = store.add(chat_csv)
    columns = infer_roles.guess_roles(dataset.table(), "chat").columns
    run = make_run(data={"source": dataset.source, "columns": columns})
    assert repeat(run.id)["values"] != same_again.NO_VALUES
    store.delete(dataset)
    form = repeat(run.id)
    assert (form["notice"]["kind"], form["values"]) == ("bad", same_again.NO_VALUES)
    assert form["method"] == same_again.gr.skip()


def test_a_file_of_the_machine_is_not_opened_but_the_way_on_is_said(make_run, chat_csv):
    run = make_run(data={"source": str(chat_csv)})
    form = repeat(run.id)
    assert form["values"] == same_again.NO_VALUES
    assert chat_csv.name in form["notice"]["text"]
    assert run.id[:8] in form["notice"]["more"]


def test_a_column_that_is_gone_is_named(make_run):
    notice = repeat(make_run(data={"columns": {"prompt": "customer", "response": "answer"}}).id)["notice"]
    assert notice["text"] == same_again.COLUMNS_GONE.render(name="First try", columns=["answer"])


def test_a_test_set_of_its_own_is_remembered_for_the_data_and_said_to_be_gone(make_run, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("customer,reply\n" + "".join(f"Where is {n}?,Here is {n}.\n" for n in range(10)))
    test = store.add(path)
    run = make_run(data={"test": test.source})
    assert repeat(run.id)["test_sets"] == {"sample:support-tone": test.source}
    store.delete(test)
    form = repeat(run.id, test_sets={"sample:support-tone": test.source})
    assert form["test_sets"] == {"sample:support-tone": ""}
    assert same_again.TEST_GONE.render() in form["change"]["text"]


def test_what_the_page_has_no_field_for_is_said(make_run):
    form = repeat(make_run(data={"train_share": 0.5}).id)
    label = same_again.comparison.OTHER_LABELS["data.train_share"]
    assert same_again.NO_FIELD.render(settings=[label]) in form["change"]["text"]


def test_where_others_reach_the_page_nobody_repeats_another_s_run(make_run, monkeypatch):
    run = make_run()
    monkeypatch.setenv("STUDIO_OPEN", "1")
    assert repeat(run.id)["values"] == same_again.NO_VALUES
    assert repeat(run.id, browser_runs=[run.id])["values"] != same_again.NO_VALUES
    assert repeat({"no": 1}, browser_runs=[run.id])["notice"]["kind"] == "bad"
