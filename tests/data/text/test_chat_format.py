"""Exports of raters and libraries are understood: pairs, questions, tool calls, ratings and stars."""

import csv
import io
import json

import pytest

from studio.data import examples as data_examples
from studio.data.readers import read as readers
from studio.data.schema import infer_roles
from studio.data.text import chat_format

QUESTIONS = [f"How do I reset number {index} of my lamp?" for index in range(12)]
GOOD_ANSWERS = [
    f"Open the settings of lamp {index} and press the reset button for long." for index in range(12)
]
BAD_ANSWERS = [f"No idea about lamp {index}, please ask somebody else in the shop." for index in range(12)]
QUESTIONS_ZH = [f"我的第{index}号订单什么时候发货呀？" for index in range(12)]
ANSWERS_ZH = [f"您好，第{index}号订单明天就会发货，请留意。" for index in range(12)]


def import_csv(header_line, rows):
    """The table of a pasted CSV, what it is taken for, and its examples."""
    file = io.StringIO()
    csv.writer(file).writerows([header_line.split(","), *rows])
    table = readers.read_pasted_text(file.getvalue())
    guess = infer_roles.guess_roles(table)
    return table, guess, data_examples.build_examples(table, guess.task, guess.columns)[0]


@pytest.mark.parametrize(
    "header_line",
    [
        "question,preferred answer,other answer",
        "问题,优质回答,劣质回答",
        "问题,满意回答,不满意回答",
        "问题,好的回答,差的回答",
    ],
)
def test_a_better_and_a_worse_answer_are_known_by_their_names(header_line):
    _, guess, examples = import_csv(header_line, zip(QUESTIONS, GOOD_ANSWERS, BAD_ANSWERS, strict=True))
    assert guess.task == "prefer"
    assert (examples[0]["chosen"], examples[0]["rejected"]) == (GOOD_ANSWERS[0], BAD_ANSWERS[0])


def test_openai_s_preferences_are_pairs():
    def as_answer(text):
        return [{"role": "assistant", "content": text}]

    rows = [
        {
            "input": {"messages": [{"role": "user", "content": question}]},
            "preferred_output": as_answer(good),
            "non_preferred_output": as_answer(bad),
        }
        for question, good, bad in zip(QUESTIONS, GOOD_ANSWERS, BAD_ANSWERS, strict=True)
    ]
    table = readers.read_pasted_text("\n".join(map(json.dumps, rows)))
    guess = infer_roles.guess_roles(table)
    examples, _ = data_examples.build_examples(table, guess.task, guess.columns)
    assert (examples[0]["prompt"], examples[0]["chosen"], examples[0]["rejected"]) == (
        QUESTIONS[0],
        GOOD_ANSWERS[0],
        BAD_ANSWERS[0],
    )


@pytest.mark.parametrize(
    "line",
    ["A shop sells {} pens at 5 euros each. How much do they cost?", "小店卖{}支笔，每支五元，一共多少钱？"],
)
@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_a_question_on_each_line_is_a_row_each(line, separator):
    table = readers.read_pasted_text(separator.join(line.format(index) for index in range(12)))
    assert (len(table.rows), infer_roles.guess_roles(table).task) == (12, "prompts")


@pytest.mark.parametrize(
    "header_line",
    ["编号,问题,答复,客服", "工单编号,问题描述,解决方案,处理人", "编号,问题描述,处理结果,处理人"],
)
def test_short_chinese_questions_and_answers_are_no_classes(header_line):
    _, guess, examples = import_csv(
        header_line, zip(range(12), QUESTIONS_ZH, ANSWERS_ZH, ["小王", "小李", "小张"] * 4, strict=True)
    )
    assert guess.task == "chat"
    assert (examples[0]["prompt"], examples[0]["response"]) == (QUESTIONS_ZH[0], ANSWERS_ZH[0])


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
    guess = infer_roles.guess_roles(table)
    examples, n_incomplete = data_examples.build_examples(table, guess.task, guess.columns)
    assert (guess.task, list(guess.columns), len(examples), n_incomplete) == ("chat", ["messages"], 10, 20)


@pytest.mark.parametrize(
    ("header_line", "good", "bad"),
    [
        ("用户问题,机器人回答,评价", "满意", "不满意"),
        ("用户问题,机器人回答,评价", "好评", "差评"),
        ("question,answer,rating", "5", "1"),
        ("question,answer,rating", "4", "2"),
    ],
)
def test_single_answers_with_a_verdict_are_paired_or_stay_single_and_are_never_all_learned(
    header_line, good, bad
):
    rated_answers = [
        *zip(QUESTIONS, GOOD_ANSWERS, [good] * 12, strict=True),
        *zip(QUESTIONS, BAD_ANSWERS, [bad] * 12, strict=True),
    ]
    _, guess, examples = import_csv(header_line, rated_answers)
    assert guess.task == "prefer"
    assert {(pair["chosen"], pair["rejected"]) for pair in examples} == set(
        zip(GOOD_ANSWERS, BAD_ANSWERS, strict=True)
    )
    _, _, singles = import_csv(header_line, zip(QUESTIONS, GOOD_ANSWERS, [good, bad] * 6, strict=True))
    assert [bool(single["chosen"]) for single in singles] == [True, False] * 6
    assert [single["chosen"] or single["rejected"] for single in singles] == list(GOOD_ANSWERS)


def test_three_stars_are_neither_good_nor_bad():
    assert [
        chat_format.parse_label(cell, uses_stars=True) for cell in ("5", "4.0", "3", "2 ★", "1星", "")
    ] == [True, True, None, False, False, None]
    assert not chat_format.is_star_rating(["0", "1", "1"]), "yes and no in numbers"
    assert chat_format.is_star_rating([*"54321" * 4, "n/a"]), "one odd cell is no matter"
