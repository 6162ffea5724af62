"""What came out of a run, in sentences and small tables, from its report; whatever the report lacks is left out."""

import json
from typing import Any

from studio import runs
from studio.estimate import record
from studio.methods import base
from studio.runs import Run
from studio.tabs import forms
from studio.train import worker
from studio.words import Words, joined

LOWERED = Words(
    "{part} loss went from {before:.3f} to {after:.3f} (best at step {step}), in {time}. Next: compare both models in the Playground.",
    "{part}损失从 {before:.3f} 降到 {after:.3f}（第 {step} 步最好），用时 {time}。下一步：到“对比”页比较两个模型。",
)
NOT_LOWERED = Words(
    "{part} loss did not fall: {before:.3f} before, {after:.3f} after {time}. Try more examples, another learning rate, or fewer epochs.",
    "{part}损失没有下降：训练前 {before:.3f}，{time}后 {after:.3f}。可以试试多加样本、换个学习率，或减少轮数。",
)
# Methods that do not train on the examples' own answers may rightly move away from them.
OTHER_GOAL = ("rlhf", "upft")
MOVED = Words(
    "In {time}. The loss on the kept-aside examples was {before:.3f} and is {after:.3f}; this method does not aim at it. Next: compare both models in the Playground.",
    "用时 {time}。验证损失训练前为 {before:.3f}，现在为 {after:.3f}；这种方法的目标不在这里。下一步：到“对比”页比较两个模型。",
)
ACCURACY = Words(
    "It is right on {after:.0%} of the kept-aside texts (accuracy); before, {before:.0%}.",
    "验证集文本的分类准确率为 {after:.0%}，训练前为 {before:.0%}。",
)
RIGHT = Words(
    "It answers {after:.0%} of {asked:.0f} kept-aside questions rightly; the base, {before:.0%}.",
    "验证集的 {asked:.0f} 个问题答对 {after:.0%}；基础模型为 {before:.0%}。",
)
PAIRS = Words(
    "The reward model ranks {after:.0%} of the {count} kept-aside pairs as people did; its simple start (a linear fit) {before:.0%}, guessing 50%.",
    "验证集的 {count} 个偏好对里，奖励模型与人判断一致的占 {after:.0%}；它的起点（线性拟合）为 {before:.0%}，瞎猜是 50%。",
)
LONGER = Words("Always taking the longer answer would be right on {share:.0%}.", "若总选较长的回答，正确率为 {share:.0%}。")
REWARD = Words(
    "Its answers to {count} kept-aside questions score {after:.3g} on average; before practice, {before:.3g}.",
    "验证集的 {count} 个问题，回答平均得分 {after:.3g}；练习前为 {before:.3g}。",
)
NO_SIGNAL = Words(
    "Practice changed nothing: choose a reward that some of its answers already earn and others do not, or allow longer answers.",
    "练习没有带来变化：请换一种有的回答能得分、有的还得不到分的奖励，或允许更长的回答。",
)
PREFERRED = Words(
    "It finds the better answer likelier in {after:.0%} of the {count} kept-aside pairs; before, {before:.0%}.",
    "验证集的 {count} 个偏好对里，有 {after:.0%} 它更倾向较好的回答；训练前为 {before:.0%}。",
)
ROUNDED = {
    "caption": Words("What rounding costs", "量化的代价"),
    "full_precision": Words("full precision", "全精度"),
    "quantised_afterwards": Words("rounded afterwards", "训练后量化"),
    "quantised_while_training": Words("rounded while training", "训练中量化"),
    "loss": Words("validation loss", "验证损失"),
    "accuracy": Words("accuracy", "准确率"),
    "bytes": Words("size of the file", "文件大小"),
}
SAMPLES = {
    "caption": Words("Answers before and after practice", "练习前后的回答"),
    "question": Words("Question", "问题"),
    "before": Words("Before", "之前"),
    "after": Words("After", "之后"),
    "reward": Words("Score", "得分"),
}
# The part of the examples that a verdict rests on.
PARTS = {"validation": Words("Validation", "验证"), "test": Words("Test", "测试")}
# How many samples are shown, and how much of each text (characters).
MOST, LENGTH = 4, 300
# How much of the file of samples is looked at (bytes).
TAIL = 30_000


def sentences(run: Run, report: dict[str, Any], lang: str) -> str:
    """What came out, in sentences."""
    before, after, notes = _part(report, "before"), _part(report, "after"), _part(report, "method")
    time = forms.duration(_number(report.get("seconds")) or 0, lang)
    parts = []
    if _has("accuracy", before, after):
        parts.append(ACCURACY.say(lang, after=after["accuracy"], before=before["accuracy"]))
    if _has("right", before, after):
        parts.append(RIGHT.say(lang, after=after["right"], before=before["right"], asked=_number(after.get("asked")) or 0))
    parts += [*_of_stages(notes, lang), noted(run, lang)]
    if _has("loss", before, after):
        lower = after["loss"] < before["loss"]
        said = LOWERED if lower else MOVED if run.plan.method.name in OTHER_GOAL else NOT_LOWERED
        if run.plan.method.name in OTHER_GOAL and len(notes):
            said = MOVED
        part = PARTS["test" if report.get("measured_on") == "test" else "validation"]
        parts.append(said.say(lang, before=before["loss"], after=after["loss"], step=report.get("best_step", 0), time=time, part=part))
    if receipt := record.receipt(record.foretold(run), report):
        parts.append(receipt.say(lang))
    texts = _part(report, "texts")
    if texts.get("cut") or texts.get("dropped"):
        parts.append(worker.LEFT_OUT.say(lang, cut=texts["cut"], length=texts["max_length"], dropped=texts["dropped"]))
    return joined(parts, lang)


def noted(run: Run, lang: str) -> str:
    """What the method had to say by now, also of a run that goes on."""
    return joined((one.say(lang) for one in base.said(run.folder)), lang)


def _of_stages(notes: dict[str, Any], lang: str) -> list[str]:
    """What the method's own notes say: reward model, practice, pairs."""
    found = []
    judged, practice, pairs = _part(notes, "reward_model"), _part(notes, "rl"), _part(notes, "dpo")
    count = _part(judged, "pairs").get("held_out", "?")
    if _has("accuracy", _part(judged, "before"), _part(judged, "after")):
        found.append(PAIRS.say(lang, after=judged["after"]["accuracy"], before=judged["before"]["accuracy"], count=count))
        if (share := _number(judged.get("the_longer_one_is_better"))) is not None:
            found.append(LONGER.say(lang, share=share))
    if _has("reward", _part(practice, "before"), _part(practice, "after")):
        asked = _part(practice, "questions").get("held_out", "?")
        found.append(REWARD.say(lang, after=practice["after"]["reward"], before=practice["before"]["reward"], count=asked))
        if practice["after"]["reward"] == practice["before"]["reward"]:
            found.append(NO_SIGNAL.say(lang))
    if _has("preferred", _part(pairs, "before"), _part(pairs, "after")):
        count = _part(pairs, "pairs").get("held_out", "?")
        found.append(PREFERRED.say(lang, after=pairs["after"]["preferred"], before=pairs["before"]["preferred"], count=count))
    return found


def tables(report: dict[str, Any], lang: str) -> list[dict[str, Any]]:
    """What came out that wants a table: the price of rounding, answers before and after practice. Cells are plain text."""
    notes = _part(report, "method")
    found = []
    rounded = _part(notes, "quantisation")
    columns = [name for name in ("full_precision", "quantised_afterwards", "quantised_while_training") if _part(rounded, name)]
    if columns:
        rows = []
        for key in ("loss", "accuracy", "bytes"):
            values = [_number(rounded[name].get(key)) for name in columns]
            if any(value is not None for value in values):
                rows.append([ROUNDED[key].say(lang), *(_cell(key, value) for value in values)])
        found.append({"caption": ROUNDED["caption"].say(lang), "heads": ["", *(ROUNDED[name].say(lang) for name in columns)], "rows": rows})
    said = _part(notes, "rl").get("samples")
    rows = [_sample(item, ("question", "before", "after", "reward")) for item in said[:MOST]] if isinstance(said, list) else []
    if rows:
        heads = [SAMPLES[name].say(lang) for name in ("question", "before", "after", "reward")]
        found.append({"caption": SAMPLES["caption"].say(lang), "heads": heads, "rows": rows})
    return found


def samples(run: Run, known: int) -> tuple[int, list[dict[str, str]] | None]:
    """How large the file of practice's answers is, and its last ones; None where it is as large as `known`."""
    path = run.folder / "stages" / "samples.jsonl"
    size = path.stat().st_size if path.is_file() else 0
    if size == known:
        return size, None
    if not size:
        return 0, []
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL))
        lines = file.read().split(b"\n")
    rows = [item for line in lines if (item := _row(line))]
    last = [row for row in rows if row.get("step") == rows[-1].get("step")]
    return size, [
        dict(zip(("question", "answer", "reward"), _sample(row, ("question", "answer", "reward")), strict=True)) for row in last[:MOST]
    ]


def _row(line: bytes) -> dict[str, Any]:
    found = runs.parse_point(line)
    return found if "answer" in found else {}


def _sample(item: Any, keys: tuple[str, ...]) -> list[str]:
    """The cells of a sample, as text: a score with two digits, a text shortened."""
    found = item if isinstance(item, dict) else {}
    said = []
    for key in keys:
        value = found.get(key, "")
        text = f"{value:.2f}" if isinstance(value, int | float) else value if isinstance(value, str) else json.dumps(value)
        said.append(text[:LENGTH] + ("…" if len(text) > LENGTH else ""))
    return said


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1e6:,.1f} MB" if key == "bytes" else f"{value:.0%}" if key == "accuracy" else f"{value:.3f}"


def _part(found: Any, name: str) -> dict[str, Any]:
    part = found.get(name) if isinstance(found, dict) else None
    return part if isinstance(part, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _has(key: str, *parts: dict[str, Any]) -> bool:
    return all(_number(part.get(key)) is not None for part in parts)
