"""Every sentence, in the code and in the cards, is said in English and in Chinese, with the same values, punctuation of its own and one word for each thing."""

import ast
import re
from pathlib import Path

import pytest
import yaml

import studio
from studio import presets

CODE = Path(studio.__file__).parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")
QUOTED = re.compile(r"“[^”]*”")
PLACEHOLDER = re.compile(r"\{(\w+)(?:[!:][^{}]*)?\}")
# Punctuation of the other language, where no quoted text or formula excuses it.
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff”）][,;:!?]|[,;!?][\u4e00-\u9fff]|[\u4e00-\u9fff”）]\.(?!\w)")
FULL_WIDTH = re.compile(r"[，。：；！？（）、]")
# Names and units that stand in a Chinese text of their own; a text that holds other letters must hold Chinese.
ALIKE = re.compile(
    r"\b(LoRA|QLoRA|DoRA|AdaLoRA|LoHa|LoKr|OFT|VeRA|RLHF|RLOO|GRPO|DPO|SFT|RL|UPFT|PEFT|P-tuning|ReLU|NF4|F1|KL|bf16|alpha|SmolLM2"
    r"|MiniLM|Hugging Face|Hub|Space|CSV|JSON|JSONL|GGUF|safetensors|kWh|GB|MB|GFLOP|token|[ABWhs])\b|IA³"
)
# The button to the other language is said in the other language.
SWITCH = ("中文", "English")
# The card of the Chinese sample names its words in English, too.
OF_CHINESE = "support-zh.yaml"
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
SPACED_PER_CENT = re.compile(r"\d %")


def faults(en, zh):
    """What is wrong with a sentence and its Chinese, in words; nothing where both are well."""
    if not zh.strip():
        return ["has no Chinese"]
    if (en, zh) == SWITCH:
        return []
    bare_en, bare_zh = QUOTED.sub("“”", en), QUOTED.sub("“”", zh)
    found = [f"says {word!r} for {better!r}" for word, better in GIVEN_UP.items() if re.search(word, bare_zh)]
    if not CHINESE.search(zh) and re.search(r"[^\W\d_]", ALIKE.sub("", PLACEHOLDER.sub("", zh))):
        found.append("is not translated")
    if set(PLACEHOLDER.findall(en)) != set(PLACEHOLDER.findall(zh)):
        found.append("has other values")
    if HALF_WIDTH.search(bare_zh) or (CHINESE.search(zh) and re.search(r"(?<!\.)\.$", zh)):
        found.append("has half-width punctuation")
    if FULL_WIDTH.search(bare_en) or CHINESE.search(bare_en):
        found.append("has Chinese in its English")
    if bool(re.search(r"[.!?]”?$", en)) != bool(re.search(r"[。！？]”?$", zh)) and not zh.endswith(
        ("…", "”")
    ):
        found.append("ends as a sentence in one language only")
    if SPACED_PER_CENT.search(zh):
        found.append("has a space before %")
    return found


def literal(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def sentences(source):
    """Each Words(…) and label(…) that begins with a literal: its line, its English and its Chinese ("" where there is none)."""
    for node in ast.walk(ast.parse(source)):
        called = (
            getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        )
        if called in ("Words", "label") and node.args and literal(node.args[0]):
            second = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "zh")]
            yield node.lineno, literal(node.args[0]), (literal(second[0]) if second else "") or ""


def pairs(card, place=""):
    """Each text of a card in both languages, with its place; a list counts as its items."""
    if isinstance(card, dict) and "en" in card:
        both = [found if isinstance(found, list) else [found] for found in (card["en"], card.get("zh", ""))]
        for number, en in enumerate(both[0]):
            yield (
                f"{place}[{number}]" if len(both[0]) > 1 else place,
                str(en),
                str(both[1][number]) if number < len(both[1]) else "",
            )
        return
    for key, part in (
        card.items() if isinstance(card, dict) else enumerate(card) if isinstance(card, list) else ()
    ):
        yield from pairs(part, f"{place}.{key}")


def wrong(texts):
    return [f"{place} {fault}: {zh or en}" for place, en, zh in texts for fault in faults(en, zh)]


@pytest.mark.parametrize("path", sorted(CODE.rglob("*.py")), ids=lambda path: str(path.relative_to(CODE)))
def test_every_sentence_of_the_code_is_said_in_both_languages(path):
    assert wrong(sentences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "path", sorted(presets.FOLDER.rglob("*.yaml")), ids=lambda path: str(path.relative_to(presets.FOLDER))
)
def test_every_text_of_a_card_is_said_in_both_languages(path):
    found = wrong(pairs(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert [one for one in found if path.name != OF_CHINESE or "has Chinese in its English" not in one] == []


def test_the_sentences_are_really_found():
    assert sum(len(list(sentences(path.read_text(encoding="utf-8")))) for path in CODE.rglob("*.py")) > 500
    assert (
        sum(
            len(list(pairs(yaml.safe_load(path.read_text(encoding="utf-8")))))
            for path in presets.FOLDER.rglob("*.yaml")
        )
        > 500
    )


@pytest.mark.parametrize(
    ("en", "zh"),
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
def test_a_sentence_that_is_well_is_let_through(en, zh):
    assert faults(en, zh) == []


@pytest.mark.parametrize(
    ("en", "zh", "fault"),
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
def test_each_fault_is_told(en, zh, fault):
    assert fault in faults(en, zh)


def test_words_in_whatever_form_are_found():
    source = 'a = Words("One.")\nb = words.label("Two", zh="二")\nc = Words(name)\nd = Words("Three " "four", "三" "四")'
    assert list(sentences(source)) == [(1, "One.", ""), (2, "Two", "二"), (4, "Three four", "三四")]
    assert list(pairs({"a": [{"en": ["x", "y"], "zh": ["甲"]}], "b": {"en": "z"}})) == [
        (".a.0[0]", "x", "甲"),
        (".a.0[1]", "y", ""),
        (".b", "z", ""),
    ]
