"""Each sentence is said in English and in Chinese, well; and a third language is one file.

In the code and in the cards: with the same values, punctuation of its own, and one word for each thing.
"""

import ast
import re
import shutil
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import yaml
from chooser_cases import CPU, GRID_SAMPLE, fixed_estimates, sentences

import studio
from studio import chooser, i18n, methods, plan, presets
from studio.errors import NotPossible
from studio.i18n import Message
from studio.ui import app
from studio.ui.help import panel

CODE = Path(studio.__file__).parent
LOCALE_FILE = i18n.LOCALES / "zh.yaml"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
LETTER = re.compile(r"[^\W\d_]")
QUOTED = re.compile(r"“[^”]*”")
PLACEHOLDER = re.compile(r"\{(\w+)(?:[!:][^{}]*)?\}")
# Punctuation of the other language, where no quoted text or formula excuses it.
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff”）][,;:!?]|[,;!?][\u4e00-\u9fff]|[\u4e00-\u9fff”）]\.(?!\w)")
FULL_WIDTH = re.compile(r"[，。：；！？（）、]")
# Names and units that stand in a Chinese text of their own; one with other letters must hold Chinese.
SAME_IN_CHINESE = re.compile(
    r"\b(LoRA|QLoRA|DoRA|AdaLoRA|LoHa|LoKr|LoftQ|MiSS|OFT|VeRA|RLHF|RLOO|GRPO|DPO|KTO|SimPO|ORPO|SFT|RL|UPFT"
    r"|PEFT|P-tuning|ReLU|NF4|F1|KL"
    r"|bf16|alpha|SmolLM2|MiniLM|Hugging Face|Hub|Space|CSV|JSON|JSONL|GGUF|safetensors|kWh|GB|MB|GFLOP|token"
    r"|[ABWhs])\b|IA³"
)
# The card of the Chinese sample names its words in English, too.
CHINESE_SAMPLE = "support-zh.yaml"
# Kinds of pydantic's errors: the message of pydantic is the English.
PYDANTIC = "pydantic|"
# The group of what several modules say.
SHARED_GROUP = "studio.i18n"
# Words that were given up, and what is said instead; quoted examples are left alone.
GIVEN_UP = {
    "调优": "微调",
    "(?<!（)(?<!也叫)基座": "基础模型",
    "虚拟词": "虚拟 token",
    "打分模型": "奖励模型",
    "附件|附加件": "小模块",
    "预留": "验证集",
    "改变量": "改动量",
    "该方法": "这种方法",
    "每步样本数|(?<!（)批大小": "每步的样本数",
    "Hub 编号": "Hub 模型 ID",
    "(完成|以前|之前|这次|那次)的?运行": "训练",
    "-bit": "位",
    "您": "你",
}
# English counts words where Chinese counts characters, and Chinese has no blank between sentences.
EXCEPTIONS = {"{n_words:,}": "{n_chars:,}", "sentences| ": ""}
SPACED_PER_CENT = re.compile(r"\d %")


class CodeMessage(NamedTuple):
    """A message that stands in the code: its id in the catalogues, and where."""

    id: str
    module: str
    line: int


def find_faults(english, chinese):
    """What is wrong with a sentence and its Chinese, in words; nothing where both are well."""
    if not chinese.strip():
        return ["has no Chinese"]
    bare_english, bare_chinese = QUOTED.sub("“”", english), QUOTED.sub("“”", chinese)
    faults = [
        f"says {word!r} for {better!r}" for word, better in GIVEN_UP.items() if re.search(word, bare_chinese)
    ]
    if not CHINESE.search(chinese) and LETTER.search(SAME_IN_CHINESE.sub("", PLACEHOLDER.sub("", chinese))):
        faults.append("is not translated")
    if set(PLACEHOLDER.findall(english)) != set(PLACEHOLDER.findall(chinese)):
        faults.append("has other values")
    if HALF_WIDTH.search(bare_chinese) or (CHINESE.search(chinese) and re.search(r"(?<!\.)\.$", chinese)):
        faults.append("has half-width punctuation")
    if FULL_WIDTH.search(bare_english) or CHINESE.search(bare_english):
        faults.append("has Chinese in its English")
    ends_english, ends_chinese = re.search(r"[.!?]”?$", english), re.search(r"[。！？]”?$", chinese)
    if bool(ends_english) != bool(ends_chinese) and not chinese.endswith(("…", "”")):
        faults.append("ends as a sentence in one language only")
    if SPACED_PER_CENT.search(chinese):
        faults.append("has a space before %")
    return faults


def string_value(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def find_messages(source, module):
    """Each Message(…) and label(…) that begins with a literal."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called, text = getattr(node.func, "id", getattr(node.func, "attr", "")), string_value(node.args[0])
        if called not in ("Message", "label") or not text:
            continue
        contexts = [keyword.value for keyword in node.keywords if keyword.arg == "context"]
        if called == "label":
            contexts += node.args[1:2]
        context = string_value(contexts[0]) if contexts else ""
        yield CodeMessage(f"{context}|{text}" if context else text, module, node.lineno)


@cache
def code_messages():
    found = []
    for path in sorted(CODE.rglob("*.py")):
        module = ".".join(path.relative_to(CODE.parent).with_suffix("").parts).removesuffix(".__init__")
        found += find_messages(path.read_text(encoding="utf-8"), module)
    return tuple(found)


@cache
def locale_groups():
    """The groups of the Chinese catalogue: module -> id -> Chinese."""
    content = i18n.parse_yaml(LOCALE_FILE.read_text(encoding="utf-8"))
    return {name: entries for name, entries in content.items() if name != i18n.ABOUT}


def strip_context(message_id):
    """The English of a message's id."""
    return re.sub(r"^\w+\|", "", message_id)


def card_texts(card, place=""):
    """Each text of a card: its place, its English and its Chinese ("" where there is none)."""
    if isinstance(card, dict) and "en" in card:
        yield place, str(card["en"]), str(card.get("zh", ""))
    elif isinstance(card, dict | list):
        for key, part in card.items() if isinstance(card, dict) else enumerate(card):
            yield from card_texts(part, f"{place}.{key}")


@cache
def all_card_texts():
    return tuple(
        (f"{path.relative_to(presets.FOLDER)}{place}", english, chinese)
        for path in sorted(presets.FOLDER.rglob("*.yaml"))
        for place, english, chinese in card_texts(yaml.safe_load(path.read_text(encoding="utf-8")))
    )


# Chinese


def test_every_message_of_the_code_has_an_entry_and_no_entry_is_left_over():
    used = {message.id: f"{message.module}:{message.line}" for message in code_messages()}
    entries = {entry for group in locale_groups().values() for entry in group}
    untranslated = {place: entry for entry, place in used.items() if entry not in entries}
    assert {
        place: entry for place, entry in untranslated.items() if LETTER.search(PLACEHOLDER.sub("", entry))
    } == {}
    assert [entry for entry in entries - set(used) if not entry.startswith(PYDANTIC)] == []


def test_an_entry_stands_once_in_the_group_of_a_module_that_says_it():
    modules = {}
    for message in code_messages():
        modules.setdefault(message.id, set()).add(message.module)
    counts = Counter(entry for group in locale_groups().values() for entry in group)
    assert [entry for entry, count in counts.items() if count > 1] == []
    misplaced = {
        entry: (name, modules[entry])
        for name, group in locale_groups().items()
        for entry in group
        if entry in modules and name not in (*modules[entry], SHARED_GROUP)
    }
    assert misplaced == {}


def test_every_message_is_well_said_in_both_languages():
    wrong = [
        f"{name}: {fault}: {chinese or entry}"
        for name, group in locale_groups().items()
        for entry, chinese in group.items()
        if not entry.startswith(PYDANTIC)
        if EXCEPTIONS.get(entry) != chinese
        for fault in find_faults(strip_context(entry), str(chinese))
    ]
    assert wrong == []


def test_every_text_of_a_card_is_well_said_in_both_languages():
    wrong = [
        f"{place} {fault}: {chinese or english}"
        for place, english, chinese in all_card_texts()
        for fault in find_faults(english, chinese)
        if CHINESE_SAMPLE not in place or fault != "has Chinese in its English"
    ]
    assert wrong == []


@pytest.mark.thorough
def test_the_sentences_are_really_found():
    assert len(list(code_messages())) > 500
    assert len(list(all_card_texts())) > 500


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("Start it again.", "请重新开始。"),
        ("{count:,} rows", "{count:,} 行"),
        ("{step} / {steps} GB", "{step} / {steps} GB"),
        ("LoRA", "LoRA"),
        ("Write “你好。” first.", "先写 “Hello, you.” 这句。"),
        ("Reading…", "读取中…"),
        ("It closes with “Yours, M.” here", "以“您的, M.”结尾"),
        ("Read train.jsonl, please.", "请读取 train.jsonl。"),
    ],
)
def test_a_sentence_that_is_well_is_let_through(english, chinese):
    assert find_faults(english, chinese) == []


@pytest.mark.parametrize(
    ("english", "chinese", "fault"),
    [
        ("Start", "", "has no Chinese"),
        ("Start", "Start", "is not translated"),
        ("{count} rows", "{number} 行", "has other values"),
        ("{count} rows", "行", "has other values"),
        ("Start it.", "开始.", "has half-width punctuation"),
        ("Start it.", "打开 LoRA.", "has half-width punctuation"),
        ("Now, start", "现在,开始", "has half-width punctuation"),
        ("Now start", "现在:开始", "has half-width punctuation"),
        ("Start，now", "现在开始", "has Chinese in its English"),
        ("Start 开始", "开始", "has Chinese in its English"),
        ("Start it.", "开始", "ends as a sentence in one language only"),
        ("up to 5 %", "至多 5 %", "has a space before %"),
        ("Choose your file", "选择您的文件", "says '您' for '你'"),
        ("It closes.", "结束", "ends as a sentence in one language only"),
        ("Nothing", "没有。", "ends as a sentence in one language only"),
    ],
)
def test_each_fault_is_told(english, chinese, fault):
    assert fault in find_faults(english, chinese)


def test_messages_in_whatever_form_are_found():
    lines = [
        'a = Message("One.")',
        'b = i18n.label("Two", context="b")',
        "c = Message(name)",
        'd = label("Three " "four", "d")',
    ]
    source = "\n".join(lines)
    found_messages = [(message.id, message.line) for message in find_messages(source, "m")]
    assert found_messages == [("One.", 1), ("b|Two", 2), ("d|Three four", 4)]
    card = {"a": [{"en": "x", "zh": "甲"}, {"en": "y"}], "b": {"en": "z", "zh": "乙"}}
    assert list(card_texts(card)) == [(".a.0", "x", "甲"), (".a.1", "y", ""), (".b", "z", "乙")]


# A third language


@pytest.fixture(scope="module")
def pseudo_locales(tmp_path_factory):
    """A folder with a third language `xx` in a file of its own: every English text in ⟦brackets⟧."""
    entries = [entry for group in locale_groups().values() for entry in group]
    entries += [english for _, english, _ in all_card_texts()]
    about = {"name": "⟦xx⟧", "space_between_scripts": False}
    content = {i18n.ABOUT: about, "all": {entry: f"⟦{strip_context(entry)}⟧" for entry in entries}}
    folder = tmp_path_factory.mktemp("locales")
    shutil.copy(LOCALE_FILE, folder)
    (folder / "xx.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return folder


@pytest.fixture
def pseudo_language(pseudo_locales, monkeypatch):
    """The third language, as long as a test runs."""
    monkeypatch.setattr(i18n, "LOCALES", pseudo_locales)
    return "xx"


def outside_brackets(text):
    """What of a text stands in no ⟦brackets⟧."""
    depth, outside = 0, ""
    for character in text:
        depth += character == "⟦"
        if not depth and character != "⟧":
            outside += character
        depth -= character == "⟧"
    return outside


def untranslated(texts):
    """The texts of which something with letters did not go through the catalogue."""
    return [text for text in texts if LETTER.search(outside_brackets(text))]


def nested_texts(value):
    """Every text within a value."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in nested_texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in nested_texts(part)]
    return [value] if isinstance(value, str) else []


def test_the_labels_of_the_page_come_in_a_third_language(pseudo_language):
    labels = i18n.labels(pseudo_language)
    labels.pop(i18n.label_key(app.OTHER_LANGUAGE))  # says the name of another language
    assert len(labels) > 100
    assert untranslated(labels.values()) == []
    assert i18n.languages() == ("en", "xx", "zh")


def test_an_error_comes_in_a_third_language(pseudo_language):
    with pytest.raises(NotPossible) as caught:
        methods.get("magic")
    assert untranslated([caught.value.render(pseudo_language)]) == []


def test_the_problems_of_a_plan_come_in_a_third_language(pseudo_language):
    raw = {
        "task": "classify",
        "model": "minilm-l6",
        "data": {"source": "x"},
        "method": {"name": "rlhf", "settings": {"steps": "many", "colour": "blue"}},
        "training": {"epochs": "many", "batch_size": 0.5, "seed": -1, "lr_scheduler_type": "up"},
        "extra": 1,
    }
    problems = plan.find_problems(raw) + methods.find_plan_problems(raw)
    assert len(problems) >= 8
    messages = [problem.message.render(pseudo_language) for problem in problems]
    assert untranslated(messages) == []


def test_the_help_page_of_a_method_comes_in_a_third_language(pseudo_language):
    for name in presets.methods():
        value = panel.method_page_value(name, pseudo_language)
        del value["name"]
        svg = ElementTree.fromstring(value.pop("drawing"))
        drawn = [element.text for element in svg.iter() if element.text and element.text.strip()]
        assert untranslated([*nested_texts(value), *drawn]) == [], name
        groups = panel.terms_value(name, pseudo_language)["groups"]
        shown_terms = [
            [group["head"], *(term[part] for term in group["terms"] for part in ("label", "help", "exact"))]
            for group in groups
        ]
        assert untranslated(nested_texts(shown_terms)) == [], name


def test_glossary_curves_and_tour_come_in_a_third_language(pseudo_language):
    assert untranslated(nested_texts(panel.tour_value(pseudo_language))) == []
    assert untranslated(nested_texts(panel.curve_texts(pseudo_language))) == []
    assert untranslated(nested_texts(panel.curve_headings(pseudo_language))) == []
    glossary = panel.glossary_value(pseudo_language)
    assert untranslated([term["plain"] for term in glossary["terms"]]) == []
    assert untranslated(nested_texts(glossary["words"])) == []


def test_the_answer_of_the_chooser_comes_in_a_third_language(pseudo_language):
    for answers in GRID_SAMPLE:
        choice = chooser.choose(answers, "", CPU, fixed_estimates())
        rendered = [message.render(pseudo_language) for message in (*sentences(choice), choice.prompt)]
        assert untranslated(rendered) == [], answers
    for question in chooser.QUESTIONS:
        texts = [question.text, question.why, *(text for _, text in question.choices)]
        assert untranslated([text.render(pseudo_language) for text in texts]) == []


def test_a_message_that_did_not_go_through_the_catalogue_is_found(pseudo_language):
    rendered = [Message(text).render(pseudo_language) for text in ("Not in the file.", "Start")]
    assert untranslated(rendered) == ["Not in the file.", "Start"]
    assert untranslated(["method.name: ⟦a ⟦b⟧ c⟧"]) == ["method.name: ⟦a ⟦b⟧ c⟧"]
    assert untranslated(["⟦a ⟦b⟧ c⟧ ⟦d⟧ 1"]) == []
