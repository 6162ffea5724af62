"""Drawings, help, glossary and curves explain everything there is; drawings are safe to put into a page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from studio import methods, presets
from studio.errors import BadPlan
from studio.i18n import Message, languages
from studio.presets import MethodPage
from studio.ui.form.training_fields import TRAINING_FIELDS
from studio.ui.help import cards
from studio.ui.train import curves

NAMES = list(presets.methods())
SVG = "{http://www.w3.org/2000/svg}"
# What a drawing may be made of; anything that runs, loads or brings in other markup is not among it.
ELEMENTS = {f"{SVG}{name}" for name in ("svg", "title", "desc", "g", "rect", "circle", "path", "text")}
COLOUR = re.compile(r"none|var\(--draw-(ink|accent|muted|paper), #[0-9a-f]{6}\)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def read(*path):
    return yaml.safe_load(presets.FOLDER.joinpath(*path).read_text(encoding="utf-8"))


def parse_drawing(name):
    return ElementTree.parse(presets.ASSETS / "methods" / f"{name}.svg").getroot()


def drawing_elements():
    """Every element of every drawing, with the method's name."""
    return [(name, element) for name in NAMES for element in parse_drawing(name).iter()]


# Help pages


def test_every_method_has_a_drawing_and_a_help_page_and_none_is_left_over():
    drawings = [path.stem for path in (presets.ASSETS / "methods").glob("*.svg")]
    assert sorted(drawings) == sorted(NAMES)
    assert [name for name, card in presets.methods().items() if not card.help] == []


def test_a_help_page_answers_what_how_when_and_what_to_watch():
    assert set(MethodPage.model_fields) == {
        "what",
        "how",
        "fits",
        "fits_not",
        "watch",
        "source",
        "sample_run",
    }
    sizes = {}
    for name, card in presets.methods().items():
        page = card.help
        if not (3 <= len(page.how) <= 5 and 2 <= len(page.fits) <= 3 and 2 <= len(page.fits_not) <= 3):
            sizes[name] = (len(page.how), len(page.fits), len(page.fits_not))
    assert sizes == {}


def test_a_try_is_a_sample_the_method_can_train_on():
    for name, card in presets.methods().items():
        sample_run = card.help.sample_run
        assert sample_run.seconds is None or 0 < sample_run.seconds < 600, name
        assert presets.samples()[sample_run.sample].task in card.tasks, name


def test_both_languages_of_a_source_name_the_same_papers():
    paper = re.compile(r"arXiv [0-9]{4}\.[0-9]{5}|https?://\S+|github\.com/\w+/\w+")
    for name, card in presets.methods().items():
        papers = paper.findall(card.help.source.render())
        assert papers, name
        assert papers == paper.findall(card.help.source.render("zh")), name


# Exact terms


def setting_keys():
    own = [f"{method.name}.{setting.name}" for method in methods.METHODS for setting in method.settings]
    return [*own, *(f"training.{field}" for field in TRAINING_FIELDS)]


def test_every_setting_has_an_exact_sentence_and_none_is_left_over():
    assert [key for key in setting_keys() if not cards.exact_term(key)] == []
    described = {f"{name}.{key}" for name, card in presets.methods().items() for key in card.settings}
    described |= {f"training.{field}" for field in read("training.yaml")}
    assert described == set(setting_keys())


def test_an_exact_sentence_is_one_or_two_sentences_in_both_languages():
    lengths = {key: len(cards.exact_term(key).render()) for key in setting_keys()}
    assert {key: length for key, length in lengths.items() if not 40 < length < 420} == {}
    not_chinese = [key for key in setting_keys() if not CHINESE.search(cards.exact_term(key).render("zh"))]
    assert not_chinese == []


def test_a_setting_without_an_exact_sentence_has_none():
    for key in ("magic.rank", "lora.magic", "training.magic", "lora", ""):
        assert cards.exact_term(key) is None


# Drawings


def test_a_drawing_holds_nothing_that_runs_or_loads():
    wrong = []
    for name, element in drawing_elements():
        if element.tag not in ELEMENTS:
            wrong.append((name, element.tag))
        for key, value in element.attrib.items():
            # Nothing to load, and nothing that two drawings on a page could fight over.
            is_unsafe = key.startswith("on") or key.endswith(("href", "style", "id"))
            if is_unsafe or "url(" in value.lower() or ":" in value:
                wrong.append((name, key, value))
    assert wrong == []
    assert {parse_drawing(name).get("viewBox") for name in NAMES} == {"0 0 480 300"}


def test_a_drawing_takes_every_colour_from_the_page_and_paints_no_background():
    wrong = []
    for name in NAMES:
        root = parse_drawing(name)
        colours = [
            value for element in root.iter() for key in ("fill", "stroke") if (value := element.get(key))
        ]
        wrong += [(name, colour) for colour in colours if not COLOUR.fullmatch(colour)]
        filled = {id(inner) for outer in root.iter() if outer.get("fill") for inner in outer.iter()}
        for element in root.iter():
            # A shape without a fill would be black in the dark.
            if (
                element.tag.removeprefix(SVG) in ("rect", "circle", "path", "text")
                and id(element) not in filled
            ):
                wrong.append((name, "no fill", element.attrib))
            if element.tag == f"{SVG}rect" and float(element.get("width")) >= 400:
                wrong.append((name, "background", element.attrib))
    assert wrong == []


def test_a_drawing_stays_within_its_frame():
    for name, element in drawing_elements():
        if element.tag == f"{SVG}rect":
            x, y, width, height = (float(element.get(key)) for key in ("x", "y", "width", "height"))
            assert 0 <= x <= x + width <= 480, (name, element.attrib)
            assert 0 <= y <= y + height <= 300, (name, element.attrib)
        if element.tag == f"{SVG}text":
            assert 0 <= float(element.get("x")) <= 480, (name, element.attrib)
            assert 12 <= float(element.get("y")) <= 296, (name, element.attrib)


def test_a_drawing_is_named_and_described_before_anything_is_drawn():
    for name in NAMES:
        first, second = list(parse_drawing(name))[:2]
        assert (first.tag, first.get("data-w")) == (f"{SVG}title", f"{name}.title")
        assert (second.tag, second.get("data-w")) == (f"{SVG}desc", f"{name}.desc")


def test_every_word_of_a_drawing_has_a_key_and_no_key_is_unused():
    texts = {key: text["en"] for key, text in read("drawings.yaml").items()}
    for name, card in presets.methods().items():
        texts |= {f"{name}.{key}": text.render() for key, text in card.drawing.items()}
    used = set()
    for name, element in drawing_elements():
        key = element.get("data-w")
        if element.tag.removeprefix(SVG) in ("title", "desc", "text"):
            assert element.text == texts[key], key
            assert "." not in key or key.startswith(f"{name}."), key
            used.add(key)
        else:
            assert key is None
            assert not (element.text or "").strip()
    assert used == set(texts)


def test_a_drawing_speaks_the_language_and_holds_nothing_but_the_drawing():
    shared = cards._read_drawing_texts(presets.FOLDER)
    for name, card in presets.methods().items():
        shipped = list(parse_drawing(name).iter())
        texts = shared | {f"{name}.{key}": text for key, text in card.drawing.items()}
        keys = [element.get("data-w") for element in shipped if element.get("data-w")]
        for lang in languages():
            svg = cards.drawing(name, lang)
            elements = list(ElementTree.fromstring(svg).iter())
            written = [
                element.text for element in elements if element.tag.endswith(("title", "desc", "text"))
            ]
            assert written == [texts[key].render(lang) for key in keys]
            assert len(elements) == len(shipped)
            assert not any(part in svg for part in ("data-w", "<!--", "`", "$"))


def test_words_cannot_become_a_part_of_a_drawing():
    svg = cards.fill_svg_text(
        '<svg><text x="1" data-w="a" y="2">old</text></svg>',
        {"a": Message("</text><script>1</script> & “b”")},
        "en",
        Path("a.svg"),
    )
    root = ElementTree.fromstring(svg)
    assert [element.tag for element in root.iter()] == ["svg", "text"]
    assert root[0].text == "</text><script>1</script> & “b”"
    assert root[0].attrib == {"x": "1", "y": "2"}


@pytest.mark.parametrize(
    ("svg", "problem"),
    [
        ('<svg><text data-w="missing">x</text></svg>', "a.svg: there are no words for data-w 'missing'"),
        ('<svg><g data-w="a"><text>x</text></g></svg>', "a.svg: expected data-w on a title, desc or text"),
    ],
)
def test_a_drawing_without_its_words_is_named(svg, problem):
    with pytest.raises(BadPlan, match=re.escape(problem)):
        cards.fill_svg_text(svg, {"a": Message("a")}, "en", Path("a.svg"))


def test_a_drawing_of_no_method_is_not_looked_for():
    with pytest.raises(BadPlan, match="is no method"):
        cards.drawing("../../secrets", "en")


# Glossary and curves


def test_a_term_is_explained_plainly_and_exactly_and_only_once():
    glossary = read("glossary.yaml")
    assert len(glossary) >= 45
    for key, term in glossary.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key), key
        assert list(term) == ["name", "plain", "exact"], key
        assert term["plain"] != term["exact"], key
    for lang in languages():
        names = [term["name"][lang].lower() for term in glossary.values()]
        assert len(set(names)) == len(names)


def test_every_curve_is_explained_with_what_good_and_bad_ones_look_like():
    explained = read("curves.yaml")
    assert set(curves.MEASURES) <= set(explained)
    for key, curve in explained.items():
        assert list(curve) == ["plain", "exact", "good", "bad"], key
    for name, measure in curves.MEASURES.items():
        for curve in measure.curves:  # a check that is a chart's only line is explained by the chart
            assert curve.key in explained or len(measure.curves) == 1, (name, curve.key)


def test_what_is_explained_is_measured():
    from studio.training.callback import LOGGED_METRICS

    # The last two: studio.evaluate.held_out.
    measured = {*curves.MEASURES, *curves.POINT_KEYS, *LOGGED_METRICS.values(), "perplexity", "f1"}
    assert set(read("curves.yaml")) <= measured


@pytest.mark.parametrize(
    ("text", "problem"),
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
def test_a_damaged_card_names_the_file_and_the_place(tmp_path, monkeypatch, text, problem):
    (tmp_path / "glossary.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(presets, "FOLDER", tmp_path)
    with pytest.raises(BadPlan, match=re.escape(problem)):
        cards.glossary()


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "FOLDER", tmp_path)
    with pytest.raises(BadPlan, match=r"glossary\.yaml: there is no such file"):
        cards.glossary()
