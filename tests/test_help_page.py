"""The help parts say everything in both languages, put no text into the page that could run there, and are strict about their cards."""

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import gradio as gr
import pytest

from studio import methods, presets
from studio.errors import BadPlan
from studio.i18n import Message, languages
from studio.ui import app
from studio.ui.components import forms
from studio.ui.help import cards
from studio.ui.help import panel as help_panel
from studio.ui.method import tab as method_tab
from studio.ui.train import curves

ENGLISH = SimpleNamespace(headers={"accept-language": "en-GB,en"})
CHINESE = SimpleNamespace(headers={"accept-language": "zh-CN,zh;q=0.9"})
NAMES = [found.name for found in methods.METHODS]
HAN = re.compile(r"[\u4e00-\u9fff]")
HALF_WIDTH_MARK = re.compile(r"[\u4e00-\u9fff][,;:!?]|[,;!?][\u4e00-\u9fff]")
HOSTILE = "${run(1)} C:\\new `tick` <b onclick=x>&amp; $5"


def texts(found):
    """Every text within a value."""
    if isinstance(found, dict):
        return [text for one in found.values() for text in texts(one)]
    if isinstance(found, list):
        return [text for one in found for text in texts(one)]
    return [found] if isinstance(found, str) else []


def read_by_gradio(text):
    """What is left of a text between backticks in JavaScript; fails where it would run something or end there."""
    assert not re.search(r"(?<!\\)(?:\\\\)*(`|\$\{)", text), text
    return re.sub(r"\\(.)", r"\1", text)


@pytest.fixture
def own_cards(tmp_path, monkeypatch):
    """`own_cards(name, text)` puts a card in the place of the shipped one."""
    readers = (
        cards.pages,
        cards.glossary,
        cards.curves,
        cards.exact_terms,
        cards._drawing_texts,
        cards.drawing,
    )

    def put(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(presets, "FOLDER", tmp_path)
        return path

    presets.methods(), presets.samples()  # read from where they are shipped
    for reader in readers:
        reader.cache_clear()
    yield put
    for reader in readers:
        reader.cache_clear()


def test_every_setting_has_an_exact_sentence_and_none_is_left_over():
    own = {f"{found.name}.{knob.name}" for found in methods.METHODS for knob in found.settings}
    assert set(cards.exact_terms()) == own | {
        f"training.{field}" for field in method_tab.TRAINING_FIELD_NAMES
    }
    assert tuple(help_panel.TRAINING_FIELDS) == method_tab.TRAINING_FIELD_NAMES


@pytest.mark.parametrize("key", sorted(cards.exact_terms()))
def test_an_exact_sentence_is_said_in_both_languages_and_adds_to_the_plain_one(key):
    said = cards.exact_terms()[key]
    assert HAN.search(said.render("zh"))
    assert not HAN.search(said.render())
    assert not HALF_WIDTH_MARK.search(said.render("zh"))
    assert 40 < len(said.render()) < 420, "one or two sentences"
    name = key.split(".")[0]
    plain = next(
        term["help"]
        for term in help_panel.list_terms("lora" if name == "training" else name, "en")
        if term["key"] == key
    )
    assert said.render() not in plain


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_speaks_the_language_and_holds_nothing_but_the_drawing(name, lang):
    svg = cards.drawing(name, lang)
    root = ElementTree.fromstring(svg)
    shipped = ElementTree.parse(presets.ASSETS / "methods" / f"{name}.svg").getroot()
    said = [part.text for part in root.iter() if part.tag.endswith(("title", "desc", "text"))]
    assert said == [
        cards._drawing_texts()[part.get("data-w")].render(lang)
        for part in shipped.iter()
        if part.get("data-w")
    ]
    assert len(list(root.iter())) == len(list(shipped.iter()))
    assert "data-w" not in svg
    assert "<!--" not in svg
    assert "`" not in svg
    assert "$" not in svg


def test_words_cannot_become_a_part_of_a_drawing():
    svg = cards.fill_svg_text(
        '<svg><text x="1" data-w="a" y="2">old</text></svg>',
        {"a": Message("</text><script>1</script> & “b”")},
        "en",
        Path("a.svg"),
    )
    found = ElementTree.fromstring(svg)
    assert [part.tag for part in found.iter()] == ["svg", "text"]
    assert found[0].text == "</text><script>1</script> & “b”"
    assert found[0].attrib == {"x": "1", "y": "2"}


@pytest.mark.parametrize(
    ("svg", "said"),
    [
        ('<svg><text data-w="missing">x</text></svg>', "a.svg: there are no words for data-w 'missing'"),
        ('<svg><g data-w="a"><text>x</text></g></svg>', "a.svg: expected data-w on a title, desc or text"),
    ],
)
def test_a_drawing_without_its_words_is_named(svg, said):
    with pytest.raises(BadPlan, match=re.escape(said)):
        cards.fill_svg_text(svg, {"a": Message("a")}, "en", Path("a.svg"))


def test_a_drawing_of_no_method_is_not_looked_for():
    with pytest.raises(BadPlan, match="is no method"):
        cards.drawing("../../secrets", "en")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "rank: {name: {en: a, zh: 甲}, plain: {en: a, zh: 甲}, exact: {en: a, zh: 甲}, extra: 1}",
            "glossary.yaml: rank.extra: Extra inputs",
        ),
        (
            "rank: {name: {en: a, zh: 甲}, plain: {en: a, zh: 甲}}",
            "glossary.yaml: rank.exact: Field required",
        ),
        ("rank: [", "glossary.yaml: is not valid YAML"),
        ("nothing", "glossary.yaml: : Input should be a valid dictionary"),
    ],
)
def test_a_damaged_card_names_the_file_and_the_place(own_cards, text, said):
    own_cards("glossary.yaml", text)
    with pytest.raises(BadPlan, match=re.escape(said)):
        cards.glossary()


def test_a_missing_page_of_a_method_is_named(own_cards):
    own_cards("help/nothing.yaml", "")
    with pytest.raises(BadPlan, match=r"full\.yaml: there is no such file"):
        cards.pages()


@pytest.mark.parametrize("lang", languages())
@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_method_is_whole(name, lang):
    found = help_panel.method_page_value(name, lang, "It should take a minute.")
    assert found["drawing"].startswith("<svg")
    assert found["cost"] == "It should take a minute."
    assert all(texts(found))
    assert len(found["steps"]) >= 3
    assert len(found["how"]) >= 3
    assert presets.samples()[cards.pages()[name].attempt.sample].name.render(lang) in found["sample"]
    if lang == "zh":
        assert all(HAN.search(text) for text in texts({**found, "name": "名", "cost": "价"}))


def test_the_page_says_what_is_missing_while_the_cost_is_unknown():
    assert "choose a base model" in help_panel.method_page_value("lora", "en")["cost"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "a short run"), (58, "about 58 s"), (200, "about 3 min 20 s"), (12.2, "about 12 s")],
)
def test_a_try_says_how_long_it_took_where_that_was_measured(monkeypatch, seconds, said):
    page = cards.pages()["lora"]
    timed = page.model_copy(update={"attempt": page.attempt.model_copy(update={"seconds": seconds})})
    monkeypatch.setattr(cards, "pages", lambda: {"lora": timed})
    assert said in help_panel.method_page_value("lora", "en")["attempt"]


def test_a_text_comes_out_of_a_template_as_it_is_and_runs_nothing():
    found = forms.escape_template({"a": [HOSTILE], "b": 3, "c": HOSTILE})
    assert forms.unescape_template(found) == {"a": [HOSTILE], "b": 3, "c": HOSTILE}
    assert read_by_gradio(found["a"][0]) == HOSTILE
    assert read_by_gradio(found["c"]) == HOSTILE
    assert found["b"] == 3
    assert read_by_gradio(help_panel.update_cost(HOSTILE)["cost"]) == HOSTILE


def test_every_component_with_a_template_holds_its_texts_back():
    from studio.ui.playground import tab as playground_tab

    shown = gr.HTML({}, html_template=playground_tab.PANE_TEMPLATE)
    assert read_by_gradio(shown.postprocess({"text": HOSTILE})["text"]) == HOSTILE
    assert shown.preprocess(shown.postprocess({"text": HOSTILE})) == {"text": HOSTILE}
    drawn = gr.HTML({}, html_template="<div></div>", js_on_load="0")
    assert drawn.postprocess({"text": HOSTILE}) == {"text": HOSTILE}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_the_templates_show_can_run(name):
    for lang in languages():
        for text in texts(
            forms.escape_template(
                [help_panel.method_page_value(name, lang, HOSTILE), help_panel.terms_value(name, lang)]
            )
        ):
            read_by_gradio(text)


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_is_explained_in_two_levels_in_the_order_of_the_form(name):
    knobs = methods.get(name).settings
    found = help_panel.list_terms(name, "en")
    assert [term["label"] for term in found[: len(knobs)]] == [knob.label.render() for knob in knobs]
    assert [term["key"] for term in found[len(knobs) :]] == [
        f"training.{field}" for field in method_tab.TRAINING_FIELD_NAMES
    ]
    for term in found:
        assert term["help"]
        assert term["exact"] == cards.exact_terms()[term["key"]].render()


def test_settings_of_one_choice_alone_stand_folded_under_its_name():
    groups = help_panel.terms_value("peft", "en")["groups"]
    own = {kind for knob in methods.get("peft").settings if knob.depends_on for kind in knob.depends_on[1:]}
    assert [group["folded"] for group in groups] == [False, *[True] * len(own), False]
    assert groups[1]["head"].startswith("DoRA: ")
    assert [len(group["terms"]) for group in (groups[0], groups[-1])] == [
        1,
        len(method_tab.TRAINING_FIELD_NAMES),
    ]
    assert [group["folded"] for group in help_panel.terms_value("full", "en")["groups"]] == [False], (
        "full fine-tuning has those of the training alone"
    )


def test_the_chosen_method_is_explained_in_the_visitor_s_language():
    page, terms = help_panel.explain_method("qat", CHINESE)
    assert page["name"] == "qat"
    assert HAN.search(page["what"])
    assert terms["groups"][0]["head"].startswith("“量化感知")
    assert not HAN.search(help_panel.explain_method("qat", ENGLISH)[0]["what"])


@pytest.mark.parametrize("sent", ["magic", "../full", "", None, 7])
def test_a_browser_cannot_ask_for_the_page_of_anything_else(sent):
    assert help_panel.explain_method(sent, ENGLISH) == (gr.skip(), gr.skip())


def test_a_term_is_found_under_its_name_in_either_language():
    for lang, name, also in (("en", "Learning rate", "学习率"), ("zh", "学习率", "Learning rate")):
        found = help_panel.glossary_value(lang)
        assert len(found["terms"]) == len(cards.glossary())
        assert {"name": name, "also": also}.items() <= next(
            term for term in found["terms"] if term["name"] == name
        ).items()
        assert all(texts(found))
    assert help_panel.open_glossary(ENGLISH)["asked"] < help_panel.open_glossary(ENGLISH)["asked"], (
        "each is new, so that the dialog opens again"
    )


@pytest.mark.parametrize("lang", languages())
def test_every_chart_says_what_its_curve_means(lang):
    found = help_panel.curve_texts(lang)
    assert set(curves.MEASURES) <= set(found)
    assert all(set(one) == {"plain", "exact", "good", "bad"} and all(texts(one)) for one in found.values())
    assert set(help_panel.curve_headings(lang)) == {"open", "good", "bad", "exact"}


def test_the_tour_has_a_step_for_each_tab_in_both_languages():
    for request in (ENGLISH, CHINESE):
        told = help_panel.load_tour(request)
        assert len(told["steps"]) == len(app.TAB_LABELS)
        assert all(texts(told))
    assert all(HAN.search(text) for text in texts(help_panel.tour_value("zh")))
    assert "{step}" in help_panel.tour_value("zh")["words"]["place"]


@pytest.mark.filterwarnings("error::UserWarning")
def test_the_parts_can_be_laid_out_and_tell_which_method_to_try():
    with gr.Blocks() as page:
        help_panel.build_buttons()
        about, shown = help_panel.build_method_page(), help_panel.build_terms()
        about.attempt(help_panel.explain_method, gr.State("lora"), [about, shown])
    assert {"show-around", "open-glossary", "glossary", "tour", "about-method", "exact-terms"} <= {
        block.elem_id for block in page.blocks.values()
    }
