"""What a check says of a data set: one finding of each kind, in plain words, with why it matters and what can be done at a click."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from studio.data import personal
from studio.words import Words, label

Grade = Literal["stop", "warn", "hint", "open"]
GRADES: tuple[Grade, ...] = ("stop", "warn", "hint", "open")
MOST_ROWS, MOST_EXAMPLES, LONGEST_EXCERPT = 200, 3, 160
# From this share of the rows on (0–1) a fault is more than a hint.
MANY = 0.05


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    `kind` names it, `grade` how grave it is: stop (training makes no sense yet), warn (the result suffers), hint (worth a look), open
    (could not be looked for).
    `said` is what was found, `why` what that means and what to do; `count` the rows concerned, `rows` the first MOST_ROWS of them
    (0-based), `examples` up to MOST_EXAMPLES excerpts with personal data masked; `fix` the label of the one-click fix, if there is one.
    `cost` is what it takes from the score, None where that is what any of its grade takes.
    """

    kind: str
    grade: Grade
    said: Words
    why: Words
    count: int
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    fix: Words | None = None
    cost: int | None = None


SAID: dict[str, Words] = {
    "empty": Words(
        "In {count:,} of {total:,} rows a cell that is needed is empty or cannot be read.",
        "{total:,} 行中有 {count:,} 行缺少必需的内容，或内容无法识别。",
    ),
    "few": Words(
        "There are {full:,} complete rows; {method} wants at least {least:,}.", "完整的数据共 {full:,} 行，{method}建议至少 {least:,} 行。"
    ),
    "too_few": Words("Only {full:,} of {total:,} rows make an example.", "{total:,} 行中只有 {full:,} 行是完整的样本。"),
    "duplicates": Words(
        "In {count:,} of {total:,} rows an earlier row is repeated word for word.", "{total:,} 行中有 {count:,} 行与前面的某一行完全相同。"
    ),
    "near_duplicates": Words(
        "In {count:,} of {total:,} rows nearly the same is said as in another row.", "{total:,} 行中有 {count:,} 行与另一行几乎相同。"
    ),
    "contradictions": Words(
        "In {count:,} of {total:,} rows the question is that of another row, but the answer differs.",
        "{total:,} 行中有 {count:,} 行与另一行问题相同，回答却不同。",
    ),
    "two_labels": Words(
        "In {count:,} of {total:,} rows the text also stands under another label.",
        "{total:,} 行中有 {count:,} 行的文本同时出现在另一个标签下。",
    ),
    "both_ways": Words(
        "In {count:,} of {total:,} rows the preference is the opposite of another row's.",
        "{total:,} 行中有 {count:,} 行的偏好与另一行正好相反。",
    ),
    "same_pairs": Words(
        "In {count:,} of {total:,} rows the better and the worse answer are the same.",
        "{total:,} 行中有 {count:,} 行，较好的回答与较差的回答相同。",
    ),
    "cut": Words(
        "In {count:,} of {total:,} rows ({share:.0%}) the text is longer than {limit:,} tokens and will be cut off.",
        "{total:,} 行中有 {count:,} 行（{share:.0%}）超过 {limit:,} 个 token，超出部分会被截断。",
    ),
    "uncounted": Words(
        "Whether texts are too long could not be checked: the chosen model, which counts their tokens, is not on this machine yet.",
        "还无法检查文本是否过长：要用所选模型来统计 token，而它尚未下载到本机。",
    ),
    "long_prompt": Words(
        "In {count:,} of {total:,} rows ({share:.0%}) the question leaves no room for an answer within {limit:,} tokens.",
        "{total:,} 个问题中有 {count:,} 个（{share:.0%}）太长，{limit:,} 个 token 里放不下回答。",
    ),
    "leak": Words(
        "In {count:,} of {total:,} rows the example stands in the test set too, as it is or nearly so, which gives away {given:,} of its {tested:,} examples.",
        "{total:,} 行中有 {count:,} 行也出现在测试集里（相同或几乎相同），测试集的 {tested:,} 个样本中有 {given:,} 个因此泄露。",
    ),
    "one_label": Words("Every row has the same label, “{most}”.", "所有行的标签都是“{most}”。"),
    "many_labels": Words("There are {labels:,} different labels for {total:,} rows.", "{total:,} 行里有 {labels:,} 个不同的标签。"),
    "unbalanced": Words(
        "“{most}” has {count:,} of {total:,} rows, “{least}” only {fewest:,}.",
        "{total:,} 行中“{most}”占 {count:,} 行，“{least}”只有 {fewest:,} 行。",
    ),
    "rare_labels": Words("These labels have fewer than {limit} examples: {names}.", "以下标签的样本不足 {limit} 个：{names}。"),
    "alike_labels": Words("Some labels are probably the same, spelled differently: {names}.", "有些标签可能只是写法不同：{names}。"),
    "languages": Words(
        "Of {total:,} texts looked at, {share:.0%} are in one language ({main}); there are also: {others}.",
        "抽查的 {total:,} 条文本中，{share:.0%} 是同一种语言（{main}），另外还有：{others}。",
    ),
    "personal": Words(
        "In {count:,} of {total:,} rows there is personal data: {kinds}.", "{total:,} 行中有 {count:,} 行含有个人信息：{kinds}。"
    ),
    "html": Words(
        "In {count:,} of {total:,} rows there are pieces of web pages (HTML).", "{total:,} 行中有 {count:,} 行夹杂网页代码（HTML）。"
    ),
    "mojibake": Words(
        "In {count:,} of {total:,} rows characters are garbled in a way that can be put right (mojibake).",
        "{total:,} 行中有 {count:,} 行是可以还原的乱码（mojibake）。",
    ),
    "lost": Words("In {count:,} of {total:,} rows characters were lost (�).", "{total:,} 行中有 {count:,} 行含有已丢失的字符（�）。"),
    "short_answers": Words(
        "In {count:,} of {total:,} rows the answer has fewer than {limit} words.",
        "{total:,} 个回答中有 {count:,} 个少于 {limit} 个词（中文为字）。",
    ),
    "same_answer": Words(
        "In {count:,} of {total:,} rows ({share:.0%}) the answer is one and the same.",
        "{total:,} 行中有 {count:,} 行（{share:.0%}）的回答一模一样。",
    ),
    "echoes": Words(
        "In {count:,} of {total:,} rows the answer is the question itself.", "{total:,} 行中有 {count:,} 行的回答就是问题本身。"
    ),
}
WHY: dict[str, Words] = {
    "empty": Words("They are left out of the training; fill them in, or drop them.", "这些行不会参与训练；请补全，或直接删除。"),
    "too_few": Words(
        "At least {least} are needed to train on some and check on others: bring more.",
        "至少要有 {least} 行，才能一部分用来训练、一部分留作验证集：请补充数据。",
    ),
    "duplicates": Words(
        "What stands there twice counts twice, and a copy in the part kept aside makes the result look better than it is: keep one of each.",
        "重复的内容会被多学几遍；如果有一份落进验证集，结果还会虚高。建议每条只留一份。",
    ),
    "near_duplicates": Words(
        "The model learns them by heart instead of the pattern; look at the examples, and keep one of each unless the difference matters.",
        "模型容易死记硬背，而学不到规律。请先看看例子，如果差别不重要，每组只留一条。",
    ),
    "contradictions": Words(
        "The model learns a mixture of the answers; that is fine for texts with many good answers, but of facts only one should stay.",
        "模型会学到几种回答的混合；答案本来就多样时没有问题，如果是事实，则只应保留一种。",
    ),
    "two_labels": Words(
        "One of them is wrong, and the model cannot know which: correct them, or drop what is undecided.",
        "其中必有一个是错的，而模型无从分辨：请更正，或删除无法确定的行。",
    ),
    "both_ways": Words(
        "One of them is the wrong way round, and together they teach nothing: correct them, or drop what is undecided.",
        "其中必有一个标反了，放在一起等于没有学：请更正，或删除无法确定的行。",
    ),
    "same_pairs": Words("There is nothing to prefer in them: drop them.", "这样的数据看不出偏好，建议删除。"),
    "cut": Words(
        "The end of the answer is not learned, and the model may learn to stop in mid-sentence: allow longer texts (max_length), or shorten them.",
        "回答的结尾学不到，模型可能学会说到一半就停：请提高长度上限（max_length），或缩短文本。",
    ),
    "cut_text": Words(
        "What decides the label may stand in the part that is cut off: allow longer texts (max_length), or shorten them.",
        "决定标签的内容可能正好被截掉：请提高长度上限（max_length），或缩短文本。",
    ),
    "uncounted": Words(
        "More than {limit:,} tokens are cut off, about {some} English words. To have it checked, ask the base model something on the Playground tab, which fetches it, and reload this page.",
        "超过 {limit:,} 个 token（约 {some} 个汉字）的部分会被截断。想检查的话，请先到“对比”页向基础模型提一个问题，模型会随之下载，然后刷新本页。",
    ),
    "long_prompt": Words(
        "They are left out of the training: allow longer texts (max_length), or shorten them.",
        "这些问题不会参与训练：请提高长度上限（max_length），或缩短问题。",
    ),
    "leak": Words(
        "A test on what the model has learned by heart says nothing: take these rows out of your examples; the test set stays as it is.",
        "拿模型学过的内容来测试，说明不了什么：请从样本中去掉这些行，测试集保持不变。",
    ),
    "one_label": Words("At least two are needed to tell apart: choose another label column.", "至少要有两个类别才能区分：请换一个标签列。"),
    "many_labels": Words(
        "A class needs several examples: choose another label column, or learn answers instead of classes.",
        "每个类别都要有多个样本：请换一个标签列，或改选“照我的样本那样回答”。",
    ),
    "unbalanced": Words(
        "A model that always says “{most}” would look good: bring more of the others, and read the F1 score rather than the accuracy.",
        "总是回答“{most}”的模型也会显得不错：请补充其他类别的样本，评估时看 F1 而不是准确率。",
    ),
    "rare_labels": Words(
        "So few can hardly be learned, let alone checked: bring more, join them with another label, or drop them.",
        "样本太少，很难学会，更没法验证：请补充样本、并入其他标签，或删除。",
    ),
    "alike_labels": Words("To the model they are different classes: join them.", "对模型来说它们是不同的类别，建议合并。"),
    "languages": Words(
        "A small part in another language is hardly learned and can make the model switch languages: keep it if you want both, or take it out.",
        "少量其他语言的内容很难学好，还可能让模型混用语言：如果两种语言都需要就保留，否则请去掉。",
    ),
    "personal": Words(
        "A model can repeat what it was trained on to anyone who asks it: mask it, unless everyone concerned has agreed. Names are not looked for.",
        "模型可能把训练数据原样说给任何人：除非当事人同意，请先打码。姓名不在检查范围内。",
    ),
    "html": Words(
        "The model would learn to write tags: take them out, unless that is what you want.",
        "模型会学着输出标签：除非这正是目的，否则请去掉。",
    ),
    "mojibake": Words(
        "They come from a file that was once opened in the wrong encoding: have them put right.",
        "这是文件曾用错误的编码打开造成的，可以一键还原。",
    ),
    "lost": Words(
        "An earlier program could not read them, and nothing here can bring them back: export the file again as UTF-8, or correct the rows.",
        "之前的某个程序没能读出这些字符，这里无法找回：请重新以 UTF-8 导出，或手动更正。",
    ),
    "short_answers": Words(
        "The model learns to answer as briefly; if that is not what you want, write them out.",
        "模型会学得同样简短；如果不希望这样，请把回答写完整。",
    ),
    "same_answer": Words(
        "The model will learn to say that to everything: bring more rows with other answers.",
        "模型会变得不管问什么都这样答：请补充不一样的回答。",
    ),
    "echoes": Words("The model learns to repeat what it is asked: correct them, or drop them.", "模型会学着复述问题：请更正，或删除。"),
}
FIXES: dict[str, Words] = {
    "empty": label("Drop these rows", "删除这些行"),
    "duplicates": label("Keep the first of each", "每组保留第一条"),
    "near_duplicates": label("Keep the longest of each", "每组保留最长的一条"),
    "contradictions": label("Settle the contradictions", "处理互相矛盾的行"),
    "same_pairs": label("Drop these pairs", "删除这些数据"),
    "alike_labels": label("Join them under the commonest spelling", "合并为最常用的写法"),
    "rare_labels": label("Drop the rare labels", "删除这些标签的数据"),
    "personal": label("Mask it, such as [email]", "打码，如 [email]"),
    "html": label("Take the HTML out", "去除 HTML"),
    "mojibake": label("Put the characters right", "还原乱码"),
    "leak": label("Take these rows out of my examples", "从我的样本中去掉这些行"),
    "echoes": label("Drop repeated questions", "删除复述问题的行"),
}

# How contradictions are settled (see faults.settled), in the place of the fix's name.
SETTLED: dict[str, Words] = {
    "most": Words("Keep what most rows say ({drops:,} {drops:row|rows} {drops:goes|go})", "保留多数行的说法（删除 {drops:,} 行）"),
    "first": Words(
        "No answer prevails: keep the first of each ({drops:,} {drops:row|rows} {drops:goes|go})",
        "没有多数：每组保留第一个回答（删除 {drops:,} 行）",
    ),
    "all": Words(
        "No answer prevails: leave them all out ({drops:,} {drops:row|rows} {drops:goes|go})", "没有多数：全部去掉（删除 {drops:,} 行）"
    ),
}
UNDECIDED = Words(
    "In {rest:,} of them no answer prevails: these stay, since a person has to decide.",
    "其中 {rest:,} 行没有多数，会先保留，需要由人来判断。",
)


def finding(
    kind: str,
    grade: Grade,
    rows: Iterable[int],
    examples: Iterable[str],
    *,
    said: str = "",
    why: Words | None = None,
    cost: int | None = None,
    fix: Words | None = None,
    **values: Any,
) -> Finding:
    """A finding of this kind in its words, with these values filled in; `said` names other words than the kind's own, `fix` are those of the fix."""
    every = list(rows)
    told: dict[str, Any] = {"count": len(every), **values}
    means = why or WHY[said or kind].filled(**told)
    shown = tuple(excerpt(text) for text in itertools.islice(examples, MOST_EXAMPLES))
    words = SAID[said or kind].filled(**told)
    return Finding(kind, grade, words, means, told["count"], tuple(every[:MOST_ROWS]), shown, fix or FIXES.get(kind), cost)


def by_share(rows: Sequence[int], total: int) -> Grade:
    """A warning from MANY of the rows on, a hint below."""
    return "warn" if len(rows) >= MANY * total else "hint"


def excerpt(text: str) -> str:
    """The beginning of a text on one line, at most LONGEST_EXCERPT characters, personal data masked."""
    found = " ".join(personal.mask(text[: 20 * LONGEST_EXCERPT]).split())
    return found if len(found) <= LONGEST_EXCERPT else found[: LONGEST_EXCERPT - 1] + "…"
