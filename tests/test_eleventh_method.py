"""A method is one file, one card and one line: an eleventh works everywhere without another edit."""

import io
import json
import shutil
from types import SimpleNamespace

import layernorm_tuning
import pytest
import yaml
from chooser_cases import CPU, GRID_SAMPLE, TONE, closed_form_estimates, fixed_estimates
from layernorm_tuning import NAME

from studio import chooser, export, methods, presets, runs
from studio.cli.main import main
from studio.data.quality.minimum_examples import get_min_examples
from studio.i18n import languages
from studio.methods import compatibility
from studio.methods.compatibility import UNSUPPORTED_TASKS
from studio.models import shape
from studio.plan import Data, MethodChoice, Plan
from studio.ui import app
from studio.ui.help import messages, panel
from studio.ui.method import table, table_messages
from studio.ui.method.table import TableState

BARE_CARD = {"order": 11, "name": {"en": "LayerNorm tuning"}, "tasks": ["chat", "complete"]}
NEAR = {**TONE, "apart": "near"}
ENGLISH = SimpleNamespace(headers={"accept-language": "en"})


@pytest.fixture
def add_method(tmp_path, monkeypatch):
    """`add_method(card)`: the eleventh method is registered, with this card or with the complete one."""

    def add(card=None):
        folder = tmp_path / "presets"
        shutil.copytree(presets.FOLDER, folder)
        complete_card = layernorm_tuning.__file__.replace(".py", ".yaml")
        target = folder / "methods" / f"{NAME}.yaml"
        if card:
            target.write_text(yaml.safe_dump(card, allow_unicode=True), encoding="utf-8")
        else:
            shutil.copyfile(complete_card, target)
        monkeypatch.setattr(presets, "FOLDER", folder)
        monkeypatch.setattr(methods, "METHODS", (*methods.METHODS, layernorm_tuning.METHOD))

    return add


@pytest.fixture
def eleventh(add_method):
    add_method()


@pytest.fixture
def untraced(monkeypatch):
    """Estimates by the closed form alone: the child that traces a step does not know the method."""
    monkeypatch.setattr("studio.estimate.all_methods.trace_missing", lambda *args: False)


def make_plan(**values):
    data = Data(source="sample:support-tone", columns={"prompt": "customer", "response": "reply"})
    plan = Plan(task="chat", model="smollm2-135m", data=data, method=MethodChoice(name=NAME))
    return plan.model_copy(update=values)


# The guided chooser


def test_the_chooser_chooses_it_for_its_reasons_and_says_of_every_other_why_not(eleventh):
    choice = chooser.choose(NEAR, "sample:support-tone", CPU, fixed_estimates())
    assert (choice.method, choice.plan.method.name) == (NAME, NAME)
    assert (
        "needs no more than the norms, and LayerNorm tuning trains nothing else" in choice.reasons[0].render()
    )
    assert list(choice.rejections) == [name for name in presets.methods() if name != NAME]


def test_the_chooser_says_why_it_was_not_chosen(eleventh):
    choice = chooser.choose(TONE, "sample:support-tone", CPU, fixed_estimates())
    assert choice.method == "lora"
    assert choice.rejections[NAME].render().startswith("Changes very little; your task is a step away from")


def test_the_chooser_finds_it_and_every_other_by_the_closed_form(eleventh):
    choices = [
        chooser.choose(answers, "sample:support-tone", CPU, closed_form_estimates(CPU))
        for answers in (NEAR, *GRID_SAMPLE)
    ]
    assert choices[0].method == NAME
    assert all(len(choice.rejections) == 10 for choice in choices if choice.method)


def test_a_card_with_nothing_but_a_name_costs_the_chooser_no_answer(add_method):
    add_method(BARE_CARD)
    for answers in GRID_SAMPLE:
        choice = chooser.choose(answers, "sample:support-tone", CPU, fixed_estimates())
        assert choice.method != NAME, "nothing speaks for it"
        if choice.method:
            assert choice.rejections[NAME].render("zh")


# The page


@pytest.mark.parametrize("lang", languages())
def test_its_page_and_terms_are_shown_and_every_other_page_stays(eleventh, lang):
    card = presets.methods()[NAME]
    value = panel.method_page_value(NAME, lang)
    assert value["drawing"] == "", "it has none"
    assert value["what"] == card.help.what.render(lang)
    assert value["steps"] == [step.render(lang) for step in card.steps]
    groups = panel.terms_value(NAME, lang)["groups"]
    assert groups[0]["terms"][0]["exact"] == card.settings["scope"].exact.render(lang)
    for name in presets.methods():
        assert panel.method_page_value(name, lang)["what"]
        assert panel.terms_value(name, lang)["groups"]


def test_a_bare_card_has_a_page_that_says_it_is_not_described(add_method):
    add_method(BARE_CARD)
    page, terms = panel.explain_method(NAME, ENGLISH)
    assert page["what"] == presets.NOT_DESCRIBED.render()
    assert terms["groups"][0]["terms"][0]["exact"] == ""
    assert panel.method_page_value("lora", "en")["drawing"].startswith("<svg")


def test_its_settings_have_fields_in_the_form(eleventh):
    ids = {block.elem_id for block in app.build_page().blocks.values()}
    assert {f"knobs-{NAME}", f"knob-{NAME}-scope"} <= ids


@pytest.mark.parametrize("card", [None, BARE_CARD], ids=["complete card", "bare card"])
def test_it_has_a_row_of_the_comparison_table(add_method, card):
    add_method(card)
    estimates = closed_form_estimates(CPU)(make_plan())
    for lang in languages():
        rows = table.render_table(TableState(estimates, chosen=NAME, task="chat"), lang)["rows"]
        assert [row["id"] for row in rows] == list(presets.methods())
        assert (rows[-1]["id"], rows[-1]["kind"]) == (NAME, "chosen")
        assert rows[-1]["short"] == presets.methods()[NAME].short.render(lang)
        assert rows[-1]["cells"]["memory"]["big"].endswith("GB")


def test_sentences_count_it(eleventh):
    assert table_messages.TABLE_CAPTION.render().startswith("Eleven methods")
    assert table_messages.TABLE_CAPTION.render("zh").startswith("十一种方法")
    assert messages.TOUR_STEPS[1][1].render().startswith("Eleven methods compared")


# The command line


def test_studio_methods_lists_it(eleventh, capsys):
    assert main(["methods"]) == 0
    assert f"\n{NAME} " in capsys.readouterr().out
    assert main(["methods", "--json"]) == 0
    description = json.loads(capsys.readouterr().out)[-1]
    assert (description["name"], description["built"]) == (NAME, True)
    assert [entry["task"] for entry in description["not_with"]] == ["classify", "prefer", "prompts"]


def test_studio_help_counts_it(eleventh, capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "list the eleven methods" in capsys.readouterr().out


def test_studio_choose_chooses_it(eleventh, untraced, tmp_path, capsys, monkeypatch):
    answers = tmp_path / "answers.yaml"
    answers.write_text(yaml.safe_dump({**NEAR, "budget": "any"}), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    arguments = ["choose", "--data", "sample:support-tone", "--machine", CPU.id, "--answers", str(answers)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith(f"LayerNorm tuning ({NAME})\n")


def test_studio_estimate_all_prices_it(eleventh, untraced, capsys):
    assert main(["estimate", "support-tone-lora", "--all", "--machine", CPU.id, "--json"]) == 0
    estimates = json.loads(capsys.readouterr().out)
    assert set(estimates) == set(presets.methods())
    model_shape = shape.from_config(presets.models()["smollm2-135m"].config)
    parameters = layernorm_tuning.count_parameters(model_shape, {"scope": "all"}, 0)
    assert estimates[NAME]["trainable_parameters"] == parameters.trainable
    assert estimates[NAME]["minutes"]["likely"] > 0


# What its card says of its limits


def test_its_limits_are_those_of_its_card(eleventh):
    refusal = compatibility.find_incompatibility(NAME, "classify")
    assert refusal.reason.render() == "The norms alone sort no texts."
    assert compatibility.find_incompatibility(NAME, "prefer") == UNSUPPORTED_TASKS["prefer"]
    gemma = shape.from_config(presets.models()["gemma3-270m"].config)
    assert compatibility.find_incompatibility(NAME, "chat", gemma).reason.render().startswith("This family")
    assert get_min_examples(NAME, "chat")[0] == 60
    assert get_min_examples(NAME, "complete")[0] == get_min_examples("", "complete")[0]
    raw = make_plan().model_dump()
    assert methods.find_plan_problems(raw) == []
    (problem,) = methods.find_plan_problems({**raw, "task": "classify"})
    assert problem.message.values["why"] == refusal.reason


# A real training


def test_it_trains_saves_loads_and_is_exported(eleventh, tiny_chat, chat_csv, tmp_path):
    from studio.models import load
    from studio.training import worker

    plan = make_plan(
        model=str(tiny_chat),
        data=Data(source=str(chat_csv), columns={"prompt": "prompt", "response": "response"}),
    )
    training = {"epochs": 2, "batch_size": 8, "max_length": 64, "eval_count": 2, "learning_rate": 1e-2}
    plan = plan.model_copy(update={"training": plan.training.model_copy(update=training)})
    run = runs.create(plan)
    worker.run(run.id)
    assert runs.status(run).state == "done"
    base = load.base_model(tiny_chat, "chat", [], 42)
    before = {name: value.clone() for name, value in base.named_parameters()}
    tuned = layernorm_tuning.METHOD.load(base, run.model)
    changed = {name for name, value in tuned.named_parameters() if not value.equal(before[name])}
    assert changed == {name for name in before if "norm" in name}
    exported = export.save_result(run, "merged", tmp_path / "exported")
    assert "LayerNorm tuning" in (exported / "README.md").read_text(encoding="utf-8")
