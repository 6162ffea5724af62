"""The help parts say everything in both languages, and put no text into the page that could run there."""

import re
from types import SimpleNamespace

import gradio as gr
import pytest

from studio import methods, presets
from studio.i18n import languages
from studio.ui import app
from studio.ui.components import gradio_adapter
from studio.ui.form.training_fields import TRAINING_FIELDS
from studio.ui.help import cards
from studio.ui.help import panel as help_panel
from studio.ui.train import curves

ENGLISH = SimpleNamespace(headers={"accept-language": "en-GB,en"})
CHINESE = SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9"})
NAMES = [method.name for method in methods.METHODS]
HAN = re.compile(r"[\u4e00-\u9fff]")
HOSTILE = "${run(1)} C:\\new `tick` <b onclick=x>&amp; $5"


def texts(value):
    """Every text within a value."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return [value] if isinstance(value, str) else []


def read_by_gradio(text):
    """What a text between backticks becomes in JavaScript; fails where it would run or end."""
    assert not re.search(r"(?<!\\)(?:\\\\)*(`|\$\{)", text), text
    return re.sub(r"\\(.)", r"\1", text)


def test_the_page_of_a_method_is_complete():
    for name, card in presets.methods().items():
        for lang in languages():
            value = help_panel.method_page_value(name, lang, "It should take a minute.")
            assert value["drawing"].startswith("<svg")
            assert value["cost"] == "It should take a minute."
            assert all(texts(value))
            assert len(value["steps"]) >= 3
            assert len(value["how"]) >= 3
            assert presets.samples()[card.help.sample_run.sample].name.render(lang) in value["sample"]
        assert all(HAN.search(text) for text in texts({**value, "name": "名", "cost": "价"})), (
            "the last is Chinese"
        )


def test_a_missing_piece_costs_that_piece_alone(monkeypatch):
    cards = dict(presets.methods())
    cards["lora"] = cards["lora"].model_copy(
        update={"help": None, "drawing": {}, "settings": {}, "steps": ()}
    )
    monkeypatch.setattr(presets, "methods", lambda: cards)
    value = help_panel.method_page_value("lora", "en")
    assert value["what"] == cards["lora"].principle.render()
    assert [value[name] for name in ("drawing", "how", "steps", "fits", "watch", "attempt")] == [
        "",
        [],
        [],
        [],
        "",
        "",
    ]
    terms = [term for group in help_panel.terms_value("lora", "en")["groups"] for term in group["terms"]]
    assert {term["exact"] for term in terms if term["key"].startswith("lora.")} == {""}
    assert all(term["exact"] for term in terms if term["key"].startswith("training."))
    assert all(texts(help_panel.method_page_value("full", "en"))), "another method's page stays as it is"


def test_the_page_says_what_is_missing_while_the_cost_is_unknown():
    assert "choose a base model" in help_panel.method_page_value("lora", "en")["cost"]


@pytest.mark.parametrize(
    ("seconds", "time"),
    [(None, "a short run"), (58, "about 58 s"), (200, "about 3 min 20 s"), (12.2, "about 12 s")],
)
def test_a_try_says_how_long_it_took_where_that_was_measured(monkeypatch, seconds, time):
    card = presets.methods()["lora"]
    sample_run = card.help.sample_run.model_copy(update={"seconds": seconds})
    page = card.help.model_copy(update={"sample_run": sample_run})
    timed_cards = {"lora": card.model_copy(update={"help": page})}
    monkeypatch.setattr(presets, "methods", lambda: timed_cards)
    assert time in help_panel.method_page_value("lora", "en")["attempt"]


def test_a_text_comes_out_of_a_template_as_it_is_and_runs_nothing():
    escaped = gradio_adapter.escape_template({"a": [HOSTILE], "b": 3, "c": HOSTILE})
    assert gradio_adapter.unescape_template(escaped) == {"a": [HOSTILE], "b": 3, "c": HOSTILE}
    assert read_by_gradio(escaped["a"][0]) == HOSTILE
    assert read_by_gradio(escaped["c"]) == HOSTILE
    assert escaped["b"] == 3
    assert read_by_gradio(help_panel.update_cost(HOSTILE)["cost"]) == HOSTILE


def test_every_component_with_a_template_holds_its_texts_back():
    from studio.ui.playground import tab as playground_tab

    gradio_adapter.patch_components()
    templated = gr.HTML({}, html_template=playground_tab.PANE_TEMPLATE)
    assert read_by_gradio(templated.postprocess({"text": HOSTILE})["text"]) == HOSTILE
    assert templated.preprocess(templated.postprocess({"text": HOSTILE})) == {"text": HOSTILE}
    scripted = gr.HTML({}, html_template="<div></div>", js_on_load="0")
    assert scripted.postprocess({"text": HOSTILE}) == {"text": HOSTILE}


def test_nothing_the_templates_show_can_run():
    for name in NAMES:
        for lang in languages():
            values = [help_panel.method_page_value(name, lang, HOSTILE), help_panel.terms_value(name, lang)]
            escaped_texts = texts(gradio_adapter.escape_template(values))
            assert [read_by_gradio(text) for text in escaped_texts] == texts(values)


def test_each_setting_is_explained_in_two_levels_in_the_order_of_the_form():
    training_keys = [f"training.{field}" for field in TRAINING_FIELDS]
    for name in NAMES:
        settings = methods.get(name).settings
        terms = help_panel.list_terms(name, "en")
        method_terms, training_terms = terms[: len(settings)], terms[len(settings) :]
        assert [term["label"] for term in method_terms] == [setting.label.render() for setting in settings]
        assert [term["key"] for term in training_terms] == training_keys
        for term in terms:
            assert term["help"]
            assert term["exact"] == cards.exact_term(term["key"]).render()
            assert term["exact"] not in term["help"], "it adds to the plain words"


def test_settings_of_one_choice_alone_stand_folded_under_its_name():
    groups = help_panel.terms_value("peft", "en")["groups"]
    choices = {setting.depends_on[1] for setting in methods.get("peft").settings if setting.depends_on}
    assert [group["folded"] for group in groups] == [False, *[True] * len(choices), False]
    assert groups[1]["head"].startswith("DoRA: ")
    assert (len(groups[0]["terms"]), len(groups[-1]["terms"])) == (1, len(TRAINING_FIELDS))
    open_groups = help_panel.terms_value("full", "en")["groups"]
    assert [group["folded"] for group in open_groups] == [False, False], "all its own hold for every choice"
    assert [len(group["terms"]) for group in open_groups] == [1, len(TRAINING_FIELDS)]


def test_the_chosen_method_is_explained_in_the_visitor_s_language():
    page, terms = help_panel.explain_method("qat", CHINESE)
    assert page["name"] == "qat"
    assert HAN.search(page["what"])
    assert terms["groups"][0]["head"].startswith("“量化感知")
    assert not HAN.search(help_panel.explain_method("qat", ENGLISH)[0]["what"])


@pytest.mark.parametrize("name", ["magic", "../full", "", None, 7])
def test_a_browser_cannot_ask_for_the_page_of_anything_else(name):
    assert help_panel.explain_method(name, ENGLISH) == (gr.skip(), gr.skip())


def test_a_term_is_found_under_its_name_in_either_language():
    for lang, name, also in (("en", "Learning rate", "学习率"), ("zh", "学习率", "Learning rate")):
        glossary = help_panel.glossary_value(lang)
        assert len(glossary["terms"]) == len(cards.glossary())
        assert [term["also"] for term in glossary["terms"] if term["name"] == name] == [also]
        assert all(texts(glossary))
    assert help_panel.open_glossary(ENGLISH)["asked"] < help_panel.open_glossary(ENGLISH)["asked"], (
        "each is new, so that the dialog opens again"
    )


@pytest.mark.parametrize("lang", languages())
def test_every_chart_says_what_its_curve_means(lang):
    explained = help_panel.curve_texts(lang)
    assert set(curves.MEASURES) <= set(explained)
    for curve in explained.values():
        assert set(curve) == {"plain", "exact", "good", "bad"}
        assert all(texts(curve))
    assert set(help_panel.curve_headings(lang)) == {"open", "good", "bad", "exact"}


def test_the_tour_has_a_step_for_each_tab_in_both_languages():
    for request in (ENGLISH, CHINESE):
        tour = help_panel.load_tour(request)
        assert len(tour["steps"]) == len(app.TAB_LABELS)
        assert all(texts(tour))
    assert all(HAN.search(text) for text in texts(help_panel.tour_value("zh")))
    assert "{step}" in help_panel.tour_value("zh")["words"]["place"]


@pytest.mark.filterwarnings("error::UserWarning")
def test_the_parts_can_be_laid_out_and_tell_which_method_to_try():
    with gr.Blocks() as page:
        help_panel.build_dialogs(help_panel.build_buttons())
        method_page, terms = help_panel.build_method_page(), help_panel.build_terms()
        method_page.attempt(help_panel.explain_method, gr.State("lora"), [method_page, terms])
    assert {"show-around", "open-glossary", "glossary", "tour", "about-method", "exact-terms"} <= {
        block.elem_id for block in page.blocks.values()
    }
