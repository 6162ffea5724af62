"""What raters and libraries export is understood as what it is: pairs, questions, conversations with tools, verdicts and stars."""

import csv
import io
import json

import pytest

from studio.data import examples as data_examples
from studio.data.readers import read as readers
from studio.data.schema import infer_roles
from studio.data.text import chat_format
from studio.errors import BadData

ASKED = [f"How do I reset number {number} of my lamp?" for number in range(12)]
GOOD = [f"Open the settings of lamp {number} and press the reset button for long." for number in range(12)]
BAD = [f"No idea about lamp {number}, please ask somebody else in the shop." for number in range(12)]
FRAGT = [f"我的第{number}号订单什么时候发货呀？" for number in range(12)]
SAGT = [f"您好，第{number}号订单明天就会发货，请留意。" for number in range(12)]


def understood(head, rows):
    """The table of a pasted CSV, what it is taken for, and its examples."""
    file = io.StringIO()
    csv.writer(file).writerows([head.split(","), *rows])
    table = readers.read_pasted_text(file.getvalue())
    found = infer_roles.guess_roles(table)
    return table, found, data_examples.build_examples(table, found.task, found.columns)[0]


@pytest.mark.parametrize(
    "head",
    [
        "question,preferred answer,other answer",
        "问题,优质回答,劣质回答",
        "问题,满意回答,不满意回答",
        "问题,好的回答,差的回答",
    ],
)
def test_a_better_and_a_worse_answer_are_known_by_their_names(head):
    _, found, examples = understood(head, zip(ASKED, GOOD, BAD, strict=True))
    assert found.task == "prefer"
    assert (examples[0]["chosen"], examples[0]["rejected"]) == (GOOD[0], BAD[0])


def test_openai_s_preferences_are_pairs():
    def said(text):
        return [{"role": "assistant", "content": text}]

    rows = [
        {
            "input": {"messages": [{"role": "user", "content": ask}]},
            "preferred_output": said(good),
            "non_preferred_output": said(bad),
        }
        for ask, good, bad in zip(ASKED, GOOD, BAD, strict=True)
    ]
    table = readers.read_pasted_text("\n".join(map(json.dumps, rows)))
    found = infer_roles.guess_roles(table)
    examples, _ = data_examples.build_examples(table, found.task, found.columns)
    assert (examples[0]["prompt"], examples[0]["chosen"], examples[0]["rejected"]) == (
        ASKED[0],
        GOOD[0],
        BAD[0],
    )


@pytest.mark.parametrize(
    "line",
    ["A shop sells {} pens at 5 euros each. How much do they cost?", "小店卖{}支笔，每支五元，一共多少钱？"],
)
@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_a_question_on_each_line_is_a_row_each(line, between):
    table = readers.read_pasted_text(between.join(line.format(number) for number in range(12)))
    assert (len(table.rows), infer_roles.guess_roles(table).task) == (12, "prompts")


@pytest.mark.parametrize(
    "head", ["编号,问题,答复,客服", "工单编号,问题描述,解决方案,处理人", "编号,问题描述,处理结果,处理人"]
)
def test_short_chinese_questions_and_answers_are_no_classes(head):
    _, found, examples = understood(
        head, zip(range(12), FRAGT, SAGT, ["小王", "小李", "小张"] * 4, strict=True)
    )
    assert found.task == "chat"
    assert (examples[0]["prompt"], examples[0]["response"]) == (FRAGT[0], SAGT[0])


def test_a_conversation_in_python_s_own_writing_is_read_and_nothing_is_run(tmp_path):
    turns = [{"role": "user", "content": "it's on?"}, {"role": "assistant", "content": "Yes."}]
    assert chat_format.parse_messages(str(turns)) == turns
    for text in ("[{'a': __import__('os')}]", "[{'role': " + "[" * 5000, "{'a', 'b'}"):
        assert chat_format.parse_messages(text) == []


def test_conversations_that_call_tools_are_conversations_of_which_such_rows_are_left_out():
    tools = [
        {"role": "user", "content": "How warm is it?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
        {"role": "tool", "content": "9"},
        {"role": "assistant", "content": "Nine degrees."},
    ]
    plain = [{"role": "user", "content": "Are you open?"}, {"role": "assistant", "content": "From nine on."}]
    table = readers.read_pasted_text(
        "\n".join(json.dumps({"messages": tools if n % 3 else plain}) for n in range(30))
    )
    found = infer_roles.guess_roles(table)
    examples, left_out = data_examples.build_examples(table, found.task, found.columns)
    assert (found.task, list(found.columns), len(examples), left_out) == ("chat", ["messages"], 10, 20)


@pytest.mark.parametrize(
    ("head", "good", "bad"),
    [
        ("用户问题,机器人回答,评价", "满意", "不满意"),
        ("用户问题,机器人回答,评价", "好评", "差评"),
        ("question,answer,rating", "5", "1"),
        ("question,answer,rating", "4", "2"),
    ],
)
def test_single_answers_with_a_verdict_are_paired_or_refused_and_never_all_learned(head, good, bad):
    both = [*zip(ASKED, GOOD, [good] * 12, strict=True), *zip(ASKED, BAD, [bad] * 12, strict=True)]
    _, found, examples = understood(head, both)
    assert found.task == "prefer"
    assert {(one["chosen"], one["rejected"]) for one in examples} == set(zip(GOOD, BAD, strict=True))
    with pytest.raises(BadData, match="judges single answers"):
        understood(head, zip(ASKED, GOOD, [good, bad] * 6, strict=True))


def test_three_stars_are_neither_good_nor_bad():
    assert [
        chat_format.parse_label(cell, uses_stars=True) for cell in ("5", "4.0", "3", "2 ★", "1星", "")
    ] == [True, True, None, False, False, None]
    assert not chat_format.is_star_rating(["0", "1", "1"]), "yes and no in numbers"
