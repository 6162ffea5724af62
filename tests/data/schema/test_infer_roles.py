"""What each column is for is guessed by its name first, and by what stands in it."""

import json

import pytest

from studio import presets
from studio.data import examples
from studio.data.readers.read import Table, read_pasted_text, read_table
from studio.data.schema import infer_roles
from studio.errors import BadData
from studio.plan import REQUIRED_ROLES, all_roles


def table(**cells):
    """A table of 12 rows; a list of fewer values is repeated."""
    rows = [{name: values[index % len(values)] for name, values in cells.items()} for index in range(12)]
    return Table("t.csv", tuple(cells), tuple(rows))


LONG = [f"This is the long text number {index} that somebody wrote, about a parcel." for index in range(12)]
LABELS = ["billing", "delivery", "returns"]


@pytest.mark.parametrize(
    ("names", "task"),
    [
        (("prompt", "response"), "chat"),
        (("question", "reply"), "chat"),
        (("Instruction", "Output"), "chat"),
        (("customer_message", "agent reply"), "chat"),
        (("问题", "回答"), "chat"),
        (("text", "label"), "classify"),
        (("Review", "Sentiment"), "classify"),
        (("文本", "标签"), "classify"),
    ],
    ids="-".join,
)
def test_columns_are_taken_by_their_names_in_any_order(names, task):
    first, second = names
    guess = infer_roles.guess_roles(
        table(
            **{
                "id": LONG,
                second: LABELS if task == "classify" else ["It is late.", "It was lost.", "Ask again."],
                first: LONG,
            }
        )
    )
    assert (guess.task, list(guess.columns.values()), guess.is_confident) == (task, [first, second], True)


@pytest.mark.parametrize("name", list(presets.samples()))
def test_the_samples_are_guessed_as_their_cards_say(name):
    card = presets.samples()[name]
    guess = infer_roles.guess_roles(read_table(card.path))
    assert (guess.task, guess.columns) == (card.task, card.columns)


def test_unknown_names_are_guessed_by_content_and_marked_unsure():
    guess = infer_roles.guess_roles(table(x=LONG, y=LABELS))
    assert (guess.task, guess.columns, guess.is_confident) == ("classify", {"text": "x", "label": "y"}, False)


def test_two_long_columns_are_a_question_and_its_answer():
    guess = infer_roles.guess_roles(table(x=LONG, y=LONG[::-1]))
    assert (guess.task, guess.columns, guess.is_confident) == (
        "chat",
        {"prompt": "x", "response": "y"},
        False,
    )


def test_a_column_that_is_mostly_empty_is_not_taken():
    guess = infer_roles.guess_roles(table(prompt=LONG, response=["", "", "", "only here"], answer=LONG))
    assert guess.columns == {"prompt": "prompt", "response": "answer"}


@pytest.mark.parametrize(
    "cells", [{"a": [""], "b": ["", "", "", "only here"]}, {"a": [" "]}], ids=["two", "one"]
)
def test_no_usable_column_is_told_with_those_there_are(cells):
    with pytest.raises(BadData) as caught:
        infer_roles.guess_roles(table(**cells))
    assert caught.value.message == infer_roles.NO_USABLE_COLUMN.format(name="t.csv", columns=tuple(cells))


QUESTIONS = [f"If a train goes {index} miles in an hour, how far does it go in a day?" for index in range(12)]
ORDERS = [f"Write a poem on the number {index}." for index in range(12)]
CHINESE_QUESTIONS = [f"如果一列火车每小时行驶 {index} 公里，一天行驶多远？" for index in range(12)]


@pytest.mark.parametrize("name", ["text", "x", "问题"])
@pytest.mark.parametrize(
    "cells", [QUESTIONS, ORDERS, CHINESE_QUESTIONS], ids=["questions", "orders", "chinese"]
)
def test_a_column_of_questions_alone_is_for_questions_without_answers(name, cells):
    guess = infer_roles.guess_roles(table(**{name: cells}))
    assert (guess.task, guess.columns, guess.is_confident) == ("prompts", {"prompt": name}, name == "问题")


@pytest.mark.parametrize(("name", "is_confident"), [("text", True), ("文章", True), ("x", False)])
def test_a_column_of_texts_alone_is_to_be_continued(name, is_confident):
    guess = infer_roles.guess_roles(table(**{name: LONG}))
    assert (guess.task, guess.columns, guess.is_confident) == ("complete", {"text": name}, is_confident)


def test_an_id_and_an_empty_column_do_not_hide_that_there_is_one_text():
    cells = {"id": [str(index) for index in range(12)], "body": LONG, "note": [""]}
    assert infer_roles.guess_roles(table(**cells)) == infer_roles.RoleGuess(
        "complete", {"text": "body"}, True
    )


def test_numbers_may_be_classes():
    cells = {"x": LONG, "stars": ["1", "2", "5"]}
    assert infer_roles.guess_roles(table(**cells)) == infer_roles.RoleGuess(
        "classify", {"text": "x", "label": "stars"}, False
    )
    assert infer_roles.guess_roles(table(text=LONG, note=LONG[::-1], label=["0", "1"])).columns == {
        "text": "text",
        "label": "label",
    }
    assert (
        infer_roles.guess_roles(table(**cells, note=LONG[::-1], label=["0", "1"]), "classify").columns[
            "label"
        ]
        == "label"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("prompt", "chosen", "rejected"),
        ("question", "accepted", "rejected"),
        ("instruction", "better_answer", "worse_answer"),
        ("问题", "更好", "更差"),
        ("提问", "选中", "拒绝"),
    ],
    ids="-".join,
)
def test_pairs_of_answers_are_taken_by_their_names_in_any_order(names):
    guess = infer_roles.guess_roles(
        table(**{"id": LONG, names[2]: LONG, names[0]: LONG[::-1], names[1]: LONG})
    )
    assert (guess.task, guess.columns, guess.is_confident) == (
        "prefer",
        dict(zip(REQUIRED_ROLES["prefer"], names, strict=True)),
        True,
    )


def test_pairs_whose_question_has_a_name_of_its_own_are_marked_unsure():
    guess = infer_roles.guess_roles(table(case=LONG, chosen=LONG, rejected=LONG))
    assert guess == infer_roles.RoleGuess(
        "prefer", {"prompt": "case", "chosen": "chosen", "rejected": "rejected"}, False
    )


def test_a_task_that_wants_more_columns_than_there_are_gets_those_there_are():
    assert infer_roles.guess_roles(table(prompt=LONG, reply=LONG), "prefer").columns == {
        "prompt": "prompt",
        "chosen": "reply",
    }
    assert infer_roles.guess_roles(table(x=LONG), "chat").columns == {"prompt": "x"}
    assert infer_roles.guess_roles(table(x=LONG, y=LONG, z=LONG), "prefer").columns == {
        "prompt": "x",
        "chosen": "y",
        "rejected": "z",
    }


@pytest.mark.parametrize(
    "answers",
    [["72", "1,024", "5 %"], ["Paris", "Rome"], [f"She has 3 left. {LONG[0]}\n#### {n}" for n in range(12)]],
)
def test_questions_with_known_answers_are_checked_against_them(answers):
    guess = infer_roles.guess_roles(table(question=QUESTIONS, answer=answers))
    assert guess == infer_roles.RoleGuess("prompts", {"prompt": "question", "answer": "answer"}, True)
    assert infer_roles.guess_roles(table(question=QUESTIONS, answer=answers), "chat").columns == {
        "prompt": "question",
        "response": "answer",
    }


def test_questions_with_long_answers_stay_answers_to_learn():
    assert infer_roles.guess_roles(table(question=QUESTIONS, answer=LONG)) == infer_roles.RoleGuess(
        "chat", {"prompt": "question", "response": "answer"}, True
    )
    assert infer_roles.guess_roles(table(question=QUESTIONS, answer=LONG), "prompts").columns == {
        "prompt": "question"
    }
    assert infer_roles.guess_roles(table(question=QUESTIONS, response=LONG, answer=["72"])).task == "chat"


@pytest.mark.parametrize("name", ["messages", "conversations", "x"])
def test_a_column_of_conversations_is_found(tmp_path, name):
    messages = [
        {"role": "user", "content": "hello, are you there?"},
        {"role": "assistant", "content": "Hello. I am."},
    ]
    path = tmp_path / "talks.jsonl"
    path.write_text(
        "".join(json.dumps({"id": n, "prompt": "hello", name: messages}) + "\n" for n in range(12)),
        encoding="utf-8",
    )
    parsed = read_table(path)
    assert infer_roles.guess_roles(parsed) == infer_roles.RoleGuess("chat", {"messages": name}, True)
    chat_examples, incomplete = examples.build_examples(parsed, "chat", {"messages": name})
    assert (len(chat_examples), incomplete) == (12, 0)
    assert examples.to_messages(chat_examples[0]) == messages


def test_a_list_that_is_no_conversation_is_none():
    assert infer_roles.guess_roles(table(question=LONG, tags=['["a", "b"]'], answer=LONG)).columns == {
        "prompt": "question",
        "response": "answer",
    }


def test_every_role_has_a_name_in_both_languages():
    for task in REQUIRED_ROLES:
        for role in all_roles(task):
            role_name = infer_roles.role_label(task, role)
            assert role_name.render()
            assert role_name.render("zh")


def test_an_id_or_a_time_is_not_taken_for_a_text():
    guess = infer_roles.guess_roles(
        table(**{"customer_id": LONG, "message": LONG, "response_time": LONG, "reply": LONG})
    )
    assert "customer_id" not in guess.columns.values()
    assert "response_time" not in guess.columns.values()


PEOPLE = ["Anna Müller", "Ben O'Hara", "Chen Wei", "Dr. Ada King"]
ORDER_IDS, DATES = [f"T-{n}" for n in range(12)], [f"2024-05-{n + 10} 10:0{n % 10}" for n in range(12)]
ANSWERED = [f"Parcel number {index} is on its way to you." for index in range(12)]


@pytest.mark.parametrize(
    ("cells", "roles", "is_confident"),
    [
        (
            {"Customer Name": PEOPLE, "Message": LONG, "Agent Response": ANSWERED},
            ["Message", "Agent Response"],
            True,
        ),
        (
            {"Customer Name": PEOPLE, "What happened": LONG, "Answer": ANSWERED},
            ["What happened", "Answer"],
            False,
        ),
        (
            {"customerName": PEOPLE, "customerMessage": LONG, "agentReply": ANSWERED},
            ["customerMessage", "agentReply"],
            True,
        ),
        ({"Customer": PEOPLE, "Case": LONG, "Reply": ANSWERED}, ["Case", "Reply"], False),
        ({"user": LONG, "assistant": ANSWERED}, ["user", "assistant"], True),
        ({"user": ["anna_k", "ben", "chen"], "assistant": ANSWERED}, ["user", "assistant"], False),
        ({"Question": LONG, "Response Time": DATES, "Reply": ANSWERED}, ["Question", "Reply"], True),
        (
            {"Question": LONG, "ResponseTime": ["2 days", "3 hours"], "Reply": ANSWERED},
            ["Question", "Reply"],
            True,
        ),
        ({"Question": LONG, "Answer ID": ORDER_IDS, "Answer": ANSWERED}, ["Question", "Answer"], True),
        (
            {"Question": LONG, "AnswerID": ORDER_IDS, "Solution text": ANSWERED},
            ["Question", "Solution text"],
            False,
        ),
        (
            {"Question Type": ["how", "why"], "Question": LONG, "Answer": ANSWERED},
            ["Question", "Answer"],
            True,
        ),
        (
            {"prompt": LONG, "Response Status": ["open", "closed"], "response": ANSWERED},
            ["prompt", "response"],
            True,
        ),
        ({"prompt": LONG, "response": ["ok", "no"]}, ["prompt", "response"], False),
        ({"prompt": LONG, "response": ["We will get back to you soon."]}, ["prompt", "response"], False),
        (
            {"prompt": ["hi", *(f"word{chr(97 + n)}" for n in range(11))], "response": ANSWERED},
            ["prompt", "response"],
            True,
        ),
        (
            {"created": DATES, "x": ["late again", "so slow", "all fine"] * 4, "y": ANSWERED},
            ["x", "y"],
            False,
        ),
        (
            {
                "客户名称": ["张三", "李四", "王五"],
                "客户留言": CHINESE_QUESTIONS,
                "客服回复": ["已经发出，请耐心等待。"],
                "回复时间": DATES,
            },
            ["客户留言", "客服回复"],
            False,
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_name_alone_makes_no_text_of_names_times_ids_and_classes(cells, roles, is_confident):
    guess = infer_roles.guess_roles(table(**cells), "chat")
    assert ([guess.columns.get(role) for role in REQUIRED_ROLES["chat"]], guess.is_confident) == (
        roles,
        is_confident,
    )


def test_a_short_word_within_another_names_nothing():
    assert infer_roles.guess_roles(table(goods=LONG, badge=ANSWERED)) == infer_roles.RoleGuess(
        "chat", {"prompt": "goods", "response": "badge"}, False
    )


@pytest.mark.parametrize(
    ("cells", "roles", "is_confident"),
    [
        (
            {
                "Review ID": ORDER_IDS,
                "Reviewer": PEOPLE,
                "Review": LONG,
                "Stage": ["one", "two"],
                "Topic": LABELS,
            },
            ["Review", "Topic"],
            True,
        ),
        ({"Ticket Type": LABELS, "Ticket": LONG}, ["Ticket", "Ticket Type"], False),
        ({"text": LONG, "label": LONG[::-1]}, ["text", "label"], False),
        ({"percentage": LABELS, "text": LONG, "tag": ["a", "b"]}, ["text", "tag"], True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_class_is_short_and_a_text_is_none(cells, roles, is_confident):
    guess = infer_roles.guess_roles(table(**cells), "classify")
    assert (list(guess.columns.values()), guess.is_confident) == (roles, is_confident)


def test_numbers_and_channels_beside_two_long_texts_are_left_aside():
    rows = {
        "Ticketnr": [f"T-{n}" for n in range(40)],
        "Kundenfrage": [f"where is my order and when will it come {n}" for n in range(40)],
    }
    rows |= {
        "Unsere Rückmeldung": [f"where is my order and when will it come {n}!" for n in range(40)],
        "Kanal": ["Chat", "Mail"] * 20,
    }
    names = tuple(rows)
    parsed = Table(
        "tickets.csv",
        names,
        tuple(dict(zip(names, values, strict=True)) for values in zip(*rows.values(), strict=True)),
    )
    assert infer_roles.guess_roles(parsed) == infer_roles.RoleGuess(
        "chat", {"prompt": "Kundenfrage", "response": "Unsere Rückmeldung"}, False
    )
    assert infer_roles.guess_roles(parsed, "classify") == infer_roles.RoleGuess(
        "classify", {"text": "Unsere Rückmeldung", "label": "Kanal"}, False
    )


ASKED_ZH = [f"我的第{index}个订单什么时候能发货呢" for index in "一二三四五六七八九十百千"]
ANSWERED_ZH = [f"第{index}单二十四小时内发出，请您放心" for index in "一二三四五六七八九十百千"]


@pytest.mark.parametrize(
    ("names", "is_confident"),
    [
        (("问题", "答复"), True),
        (("问题描述", "解决方案"), True),
        (("问题描述", "处理结果"), True),
        (("问题", "处理办法"), True),
        (("情况", "我们的说明"), False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_short_chinese_texts_beside_an_agents_name_are_questions_and_answers(names, is_confident):
    cells = {"编号": ORDER_IDS, names[0]: ASKED_ZH, names[1]: ANSWERED_ZH, "处理人": ["小王", "小李", "小张"]}
    assert infer_roles.guess_roles(table(**cells)) == infer_roles.RoleGuess(
        "chat", dict(zip(REQUIRED_ROLES["chat"], names, strict=True)), is_confident
    )


@pytest.mark.parametrize(
    "names",
    [
        ("question", "preferred answer", "other answer"),
        ("问题", "优质回答", "劣质回答"),
        ("问题", "满意回答", "不满意回答"),
        ("问题", "好的回答", "差的回答"),
        ("问题", "好的回答", "不好的回答"),
        ("input", "preferred_output", "non_preferred_output"),
    ],
    ids="-".join,
)
@pytest.mark.parametrize("worse_first", [False, True], ids=["better-first", "worse-first"])
def test_answers_that_are_called_good_and_bad_are_pairs(names, worse_first):
    cells = {
        names[0]: QUESTIONS,
        **{
            name: [f"{name}: {text}" for text in LONG]
            for name in (names[:0:-1] if worse_first else names[1:])
        },
    }
    assert infer_roles.guess_roles(table(**cells)) == infer_roles.RoleGuess(
        "prefer", dict(zip(REQUIRED_ROLES["prefer"], names, strict=True)), True
    )


def test_preference_data_as_openai_writes_it_makes_pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"What is {index} and one?"}]},
            "preferred_output": [{"role": "assistant", "content": f"It is {index + 1}."}],
            "non_preferred_output": [{"role": "assistant", "content": "No idea at all."}],
        }
        for index in range(12)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    parsed = read_table(path)
    guess = infer_roles.guess_roles(parsed)
    assert (guess.task, list(guess.columns.values())) == (
        "prefer",
        ["input", "preferred_output", "non_preferred_output"],
    )
    example = examples.build_examples(parsed, "prefer", guess.columns)[0][0]
    assert example == {"prompt": "What is 0 and one?", "chosen": "It is 1.", "rejected": "No idea at all."}


PENS = [f"A shop sells {index} pens at 5 euros each. How much do they cost?" for index in range(150)]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(PENS),
        "# Questions\n\n" + "\n\n".join(PENS),
        "\n".join(f"{index}. {question}" for index, question in enumerate(PENS, 1)),
        "\n".join(f"- {question}" for question in PENS),
    ],
    ids=["lines", "headed", "numbered", "listed"],
)
def test_a_list_of_questions_has_a_row_for_each(tmp_path, text):
    for name in ("a.txt", "a.md"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        parsed = read_table(path)
        assert [row["text"] for row in parsed.rows] == PENS
        assert infer_roles.guess_roles(parsed).task == "prompts"


@pytest.mark.parametrize(
    "questions", [PENS[:12], CHINESE_QUESTIONS, [f"How are you, number {n}, today?" for n in range(12)]]
)
def test_pasted_questions_have_a_row_for_each(questions):
    parsed = read_pasted_text("\n".join(questions))
    assert [row["text"] for row in parsed.rows] == questions
    assert infer_roles.guess_roles(parsed).task == "prompts"


def test_questions_within_a_text_leave_it_whole():
    text = "\n\n".join(
        f"Where was the lamp {index}?\n\nNobody knew where it was, and so they looked for it."
        for index in range(30)
    )
    assert len(read_pasted_text(text).rows) < 30


def test_labels_that_were_only_begun_are_labels():
    """Most cells of the label column are still empty."""
    guess = infer_roles.guess_roles(
        table(text=LONG, category=["north", "south", "north", "south", *[""] * 8])
    )
    assert (guess.task, guess.columns) == ("classify", {"text": "text", "label": "category"})
    assert guess.is_confident
    # A few remarks, each its own, are none.
    remarks = ["call him back", "done by Ann", "moved away", "is a friend", *[""] * 8]
    guess = infer_roles.guess_roles(table(text=LONG, category=remarks))
    assert guess.task != "classify"
