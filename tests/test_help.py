"""Drawings, help, glossary and curves explain everything there is, in both languages, and the drawings are safe to put into a page."""

import re
from xml.etree import ElementTree

import pytest
import yaml

from studio import presets
from studio.i18n import languages
from studio.ui.train import curves

METHODS = ["adapter", "frozen", "full", "lora", "peft", "prefix", "qat", "qlora", "rlhf", "upft"]
FILES = ["drawings", "glossary", "curves", *(f"help/{name}" for name in METHODS)]
SVG = "{http://www.w3.org/2000/svg}"
# What a drawing may be made of; anything that runs, loads or brings in other markup is not among it.
ELEMENTS = {f"{SVG}{name}" for name in ("svg", "title", "desc", "g", "rect", "circle", "path", "text")}
COLOUR = re.compile(r"none|var\(--draw-(ink|accent|muted|paper), #[0-9a-f]{6}\)")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
HAN_PUNCTUATION_MISSING = re.compile(r"[\u4e00-\u9fff][,;:!?]|[,;!?][\u4e00-\u9fff]")
# Words of a drawing that are names or signs, alike in every language.
NAMES = {
    "A",
    "B",
    "W",
    "1",
    "2",
    "3",
    "ReLU",
    "SFT",
    "RL",
    "DoRA",
    "AdaLoRA",
    "IA³",
    "LoHa",
    "LoKr",
    "OFT",
    "VeRA",
    "P-tuning",
}


def read(*path):
    return yaml.safe_load(presets.FOLDER.joinpath(*path).read_text(encoding="utf-8"))


def drawing(name):
    return ElementTree.parse(presets.ASSETS / "methods" / f"{name}.svg").getroot()


def texts(found, place=""):
    """Every text of a card with its place; a text is what holds a language."""
    if isinstance(found, dict) and set(found) & set(languages()):
        return [(place, found)]
    parts = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [text for key, part in parts for text in texts(part, f"{place}.{key}")]


def test_every_method_has_a_drawing_and_a_help_file_and_none_is_left_over():
    assert sorted(presets.methods()) == METHODS
    assert sorted(path.stem for path in (presets.ASSETS / "methods").glob("*.svg")) == METHODS
    assert sorted(path.stem for path in (presets.FOLDER / "help").glob("*.yaml")) == METHODS


@pytest.mark.parametrize("name", FILES)
def test_every_text_is_said_in_both_languages(name):
    found = texts(read(f"{name}.yaml"))
    assert found
    for place, text in found:
        assert set(text) == set(languages()), place
        assert all(isinstance(said, str) and said.strip() == said and said for said in text.values()), place
        assert not CHINESE.search(text["en"]), place
        assert not HAN_PUNCTUATION_MISSING.search(text["zh"]), (
            place,
            HAN_PUNCTUATION_MISSING.findall(text["zh"]),
        )


@pytest.mark.parametrize("name", FILES)
def test_chinese_is_chinese(name):
    alike = NAMES if name == "drawings" else set()
    untranslated = [
        place
        for place, text in texts(read(f"{name}.yaml"))
        if not CHINESE.search(text["zh"]) and text["zh"] not in alike
    ]
    if name == "glossary":  # a term may go by its English name; what it means may not
        untranslated = [place for place in untranslated if not place.endswith(".name")]
    assert untranslated == []


@pytest.mark.parametrize("name", METHODS)
def test_a_help_file_answers_what_how_when_and_what_to_watch(name):
    found = read("help", f"{name}.yaml")
    assert list(found) == ["what", "how", "fits", "fits_not", "watch", "try", "source"]
    assert 3 <= len(found["how"]) <= 5
    assert 2 <= len(found["fits"]) <= 3
    assert 2 <= len(found["fits_not"]) <= 3
    for key in ("what", "watch", "source"):
        assert set(found[key]) == set(languages())


@pytest.mark.parametrize("name", METHODS)
def test_a_try_is_a_sample_the_method_can_train_on(name):
    found = read("help", f"{name}.yaml")["try"]
    assert set(found) == {"sample", "seconds"}
    assert found["seconds"] is None or 0 < found["seconds"] < 600
    assert found["sample"] in presets.samples()
    assert presets.samples()[found["sample"]].task in presets.methods()[name].tasks


def test_both_languages_of_a_source_name_the_same_papers():
    paper = re.compile(r"arXiv [0-9]{4}\.[0-9]{5}|https?://\S+|github\.com/\w+/\w+")
    for name in METHODS:
        source = read("help", f"{name}.yaml")["source"]
        assert paper.findall(source["en"]), name
        assert paper.findall(source["en"]) == paper.findall(source["zh"]), name


@pytest.mark.parametrize("name", METHODS)
def test_a_drawing_holds_nothing_that_runs_or_loads(name):
    root = drawing(name)
    assert root.get("viewBox") == "0 0 480 300"
    assert {part.tag for part in root.iter()} <= ELEMENTS
    for part in root.iter():
        for key, value in part.attrib.items():
            assert not key.startswith("on"), key
            assert not key.endswith(("href", "style", "id")), (
                key
            )  # nothing to load, and nothing two drawings on a page could fight over
            assert "url(" not in value.lower(), value
            assert ":" not in value, value


@pytest.mark.parametrize("name", METHODS)
def test_a_drawing_takes_every_colour_from_the_page_and_paints_no_background(name):
    root = drawing(name)
    colours = [
        part.get(key) for part in root.iter() for key in ("fill", "stroke") if part.get(key) is not None
    ]
    assert [colour for colour in colours if not COLOUR.fullmatch(colour)] == []
    painted = {id(part) for part in root.iter() if part.get("fill") is not None for part in part.iter()}
    shapes = [
        part for part in root.iter() if part.tag.removeprefix(SVG) in ("rect", "circle", "path", "text")
    ]
    assert [
        part.attrib for part in shapes if id(part) not in painted
    ] == []  # none would be black in the dark
    boxes = [part for part in root.iter(f"{SVG}rect") if float(part.get("width")) >= 400]
    assert boxes == []


@pytest.mark.parametrize("name", METHODS)
def test_a_drawing_stays_within_its_frame(name):
    for part in drawing(name).iter():
        if part.tag == f"{SVG}rect":
            x, y, width, height = (float(part.get(key)) for key in ("x", "y", "width", "height"))
            assert 0 <= x <= x + width <= 480, part.attrib
            assert 0 <= y <= y + height <= 300, part.attrib
        if part.tag == f"{SVG}text":
            assert 0 <= float(part.get("x")) <= 480, part.attrib
            assert 12 <= float(part.get("y")) <= 296, part.attrib


@pytest.mark.parametrize("name", METHODS)
def test_a_drawing_is_named_and_described_before_anything_is_drawn(name):
    first, second = list(drawing(name))[:2]
    assert (first.tag, first.get("data-w")) == (f"{SVG}title", f"{name}.title")
    assert (second.tag, second.get("data-w")) == (f"{SVG}desc", f"{name}.desc")


def test_every_word_of_a_drawing_has_a_key_and_no_key_is_unused():
    words, used = read("drawings.yaml"), set()
    for name in METHODS:
        for part in drawing(name).iter():
            if part.tag.removeprefix(SVG) in ("title", "desc", "text"):
                key = part.get("data-w")
                assert part.text == words[key]["en"], key
                assert "." not in key or key.startswith(f"{name}."), key
                used.add(key)
            else:
                assert part.get("data-w") is None
                assert not (part.text or "").strip()
    assert used == set(words)


def test_a_term_is_explained_plainly_and_exactly_and_only_once():
    found = read("glossary.yaml")
    assert len(found) >= 45
    for key, term in found.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key), key
        assert list(term) == ["name", "plain", "exact"], key
        assert term["plain"] != term["exact"], key
    for lang in languages():
        names = [term["name"][lang].lower() for term in found.values()]
        assert len(set(names)) == len(names)


def test_every_curve_is_explained_with_what_good_and_bad_ones_look_like():
    found = read("curves.yaml")
    assert set(curves.MEASURES) <= set(found)
    for key, curve in found.items():
        assert list(curve) == ["plain", "exact", "good", "bad"], key
    for name, measure in curves.MEASURES.items():
        for curve in measure.curves:  # a check that is a chart's only line is explained by the chart
            assert curve.key in found or len(measure.curves) == 1, (name, curve.key)


def test_what_is_explained_is_measured():
    from studio.training.callback import LOGGED_METRICS

    known = {
        *curves.MEASURES,
        *curves.POINT_KEYS,
        *LOGGED_METRICS.values(),
        "perplexity",
        "f1",
    }  # the last two: studio.evaluate.held_out
    assert set(read("curves.yaml")) <= known
