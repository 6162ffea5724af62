"""Rows become examples, two parts and token ids; the sums are small enough to do by hand."""

import json

import pytest

from studio.data import examples as data_examples
from studio.data.examples import IGNORE_INDEX
from studio.data.readers.read import Table
from studio.errors import BadData
from studio.models import load

CHAT = {"prompt": "q", "response": "a"}
SORT = {"text": "q", "label": "a"}


def table(pairs):
    return Table("t.csv", ("q", "a"), tuple({"q": q, "a": a} for q, a in pairs))


def test_examples_are_taken_by_role_and_trimmed():
    built, incomplete = data_examples.build_examples(table([(" a ", "b\n")] * 8), "chat", CHAT)
    assert built == [{"prompt": "a", "response": "b"}] * 8
    assert incomplete == 0


def test_a_row_with_an_empty_cell_is_left_out_and_counted():
    built, incomplete = data_examples.build_examples(
        table([("a", "b")] * 9 + [("a", " "), ("", "b")]), "chat", CHAT
    )
    assert (len(built), incomplete) == (9, 2)


@pytest.mark.parametrize("count", [1, 7])
def test_too_few_examples_are_refused_with_the_number_wanted(count):
    with pytest.raises(BadData) as caught:
        data_examples.build_examples(table([("a", "b")] * count), "chat", CHAT)
    assert caught.value.message.text == data_examples.TOO_FEW_EXAMPLES.text
    assert (caught.value.message.values["count"], caught.value.hint.values["least"]) == (count, 8)


def test_a_column_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(BadData) as caught:
        data_examples.build_examples(table([("a", "b")] * 9), "chat", {"prompt": "q", "response": "b"})
    assert caught.value.message == data_examples.MISSING_COLUMN.format(
        name="t.csv", missing=["“b”"], columns=("q", "a")
    )


def test_columns_that_are_not_there_are_each_named_in_quotes():
    with pytest.raises(BadData) as caught:
        data_examples.build_examples(table([("a", "b")] * 9), "chat", {"prompt": "c", "response": "b"})
    assert caught.value.message.values["missing"] == ["“c”", "“b”"]


def test_a_column_chosen_twice_is_refused():
    with pytest.raises(BadData) as caught:
        data_examples.build_examples(table([("a", "b")] * 9), "chat", {"prompt": "q", "response": "q"})
    assert caught.value.message == data_examples.COLUMN_CHOSEN_TWICE.format(column="q")


def test_one_label_is_no_choice():
    with pytest.raises(BadData) as caught:
        data_examples.build_examples(table([("a", "b")] * 9), "classify", SORT)
    assert caught.value.message == data_examples.ONLY_ONE_LABEL.format(label="b")


def test_a_label_for_almost_every_row_is_no_label():
    with pytest.raises(BadData) as caught:
        data_examples.build_examples(table([("a", str(n)) for n in range(9)]), "classify", SORT)
    assert caught.value.message == data_examples.TOO_MANY_LABELS.format(labels=9, rows=9)


def test_classes_are_numbered_in_alphabetical_order():
    assert data_examples.collect_labels([{"label": "b"}, {"label": "a"}, {"label": "b"}]) == ["a", "b"]


@pytest.fixture
def tokenizer(tiny_chat):
    return load.tokenizer(tiny_chat)


USER, ASSISTANT, END = 2, 3, 1  # the special tokens of the tiny tokenizer, in the order they were given


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_conversation_by_hand(tokenizer):
    assert tokenizer.convert_tokens_to_ids(["<|user|>", "<|assistant|>", "</s>"]) == [USER, ASSISTANT, END]
    encoded = data_examples.encode_chat(
        data_examples.to_messages({"prompt": "a", "response": "b c"}), tokenizer, 64
    )
    prompt_ids, answer_ids = ids(tokenizer, "a"), ids(tokenizer, "b c")
    assert encoded.input_ids == [USER, *prompt_ids, END, ASSISTANT, *answer_ids, END]
    assert encoded.labels == [IGNORE_INDEX] * (len(prompt_ids) + 3) + [*answer_ids, END]
    assert not encoded.truncated


CONVERSATION = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d"},
]
SYSTEM, X = 4, IGNORE_INDEX


def test_every_answer_of_a_conversation_is_learned_and_nothing_else(tokenizer):
    s, a, b, c, d = (ids(tokenizer, letter)[0] for letter in "sabcd")
    encoded = data_examples.encode_chat(CONVERSATION, tokenizer, 64)
    assert encoded.input_ids == [
        SYSTEM,
        s,
        END,
        USER,
        a,
        END,
        ASSISTANT,
        b,
        END,
        USER,
        c,
        END,
        ASSISTANT,
        d,
        END,
    ]
    assert encoded.labels == [
        X,
        X,
        X,
        X,
        X,
        X,
        X,
        b,
        END,
        X,
        X,
        X,
        X,
        d,
        END,
    ]


# Of each family: the special tokens of its template, the end of a text, and the template in short.
FAMILIES = {
    "gemma": (
        ("<bos>", "<start_of_turn>", "<end_of_turn>", "<eos>"),
        "{{ bos_token }}{% for message in messages %}"
        "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
        "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        "<end_of_turn>",
    ),
    "llama-3": (
        ("<bos>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<eos>"),
        "{{ bos_token }}{% for message in messages %}"
        "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
        "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        "<|eot_id|>",
    ),
    "chatml": (
        ("<|im_start|>", "<|im_end|>", "<eos>"),
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "<|im_end|>",
    ),
    "qwen3, which drops earlier thoughts": (
        ("<|im_start|>", "<|im_end|>", "<eos>"),
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% if loop.last and message['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
        "{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "<|im_end|>",
    ),
    "smollm, with a system prompt of its own": (
        ("<|im_start|>", "<|im_end|>"),
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe brief<|im_end|>\n{% endif %}"
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "<|im_end|>",
    ),
    "mistral, whose generation prompt is empty": (
        ("<s>", "[INST]", "[/INST]", "<eos>"),
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
        "[INST] {{ message['content'] }}[/INST]{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}"
        "{% endfor %}",
        "<eos>",
    ),
}
END_LAST_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
    "{% else %} {{ message['content'] }}{% endif %}{% endfor %}"
    "{% if messages[-1]['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
)
TWO_TURNS = [
    {"role": "user", "content": "where"},
    {"role": "assistant", "content": "FIRST"},
    {"role": "user", "content": "what"},
    {"role": "assistant", "content": "SECOND"},
]
by_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def family_tokenizer(tokenizer, family):
    """The tiny tokenizer with the special tokens and the chat template of a family of models."""
    special_tokens, template, _ = FAMILIES[family]
    named = {"bos_token": special_tokens[0], "eos_token": special_tokens[-1]}
    tokenizer.add_special_tokens({**named, "extra_special_tokens": list(special_tokens)})
    tokenizer.chat_template = template
    return tokenizer


def learned_text(tokenizer, encoded):
    return tokenizer.decode([label for label in encoded.labels if label != X])


@by_family
def test_every_answer_is_learned_up_to_the_token_its_family_ends_a_turn_with(family_tokenizer, family):
    end = FAMILIES[family][-1]
    encoded = data_examples.encode_chat(TWO_TURNS, family_tokenizer, 200)
    learned = learned_text(family_tokenizer, encoded).replace("<think>\n\n</think>\n\n", "")
    assert learned.replace(" ", "") == f"FIRST{end}SECOND{end}"
    assert data_examples.end_of_turn_id(family_tokenizer) == family_tokenizer.convert_tokens_to_ids(end)


def test_where_only_the_last_answer_has_an_end_token_the_others_are_learned_too(tokenizer):
    tokenizer.chat_template = END_LAST_TEMPLATE
    encoded = data_examples.encode_chat(TWO_TURNS, tokenizer, 200)
    assert learned_text(tokenizer, encoded).split() == ["FIRST", "SECOND</s>"]


@by_family
def test_with_its_history_masked_the_last_answer_alone_is_learned(family_tokenizer, family):
    end = FAMILIES[family][-1]
    (full,) = data_examples.encode_examples(
        [{"messages": json.dumps(TWO_TURNS)}], "chat", family_tokenizer, 200, ()
    )
    encoded = data_examples.encode_chat(TWO_TURNS, family_tokenizer, 200, mask_history=True)
    assert encoded.input_ids == full.input_ids
    learned = learned_text(family_tokenizer, encoded).replace("<think>\n\n</think>\n\n", "")
    assert learned.strip() == f"SECOND{end}"


def test_a_conversation_is_cut_behind_the_last_token_that_fits_and_the_answer_before_it_still_counts(
    tokenizer,
):
    b = ids(tokenizer, "b")[0]
    encoded = data_examples.encode_chat(CONVERSATION, tokenizer, 11)
    assert encoded.labels == [
        X,
        X,
        X,
        X,
        X,
        X,
        X,
        b,
        END,
        X,
        X,
    ]
    assert encoded.truncated
    assert data_examples.encode_chat(CONVERSATION, tokenizer, 7) is None  # no answer fits


def test_padding_never_counts(tokenizer, tiny_chat):
    from studio.data import collate

    short, long = data_examples.to_messages({"prompt": "a", "response": "b"}), CONVERSATION
    rows = [vars(data_examples.encode_chat(messages, tokenizer, 64)) for messages in (short, long)]
    batch = collate.build_collator("chat", tokenizer)(rows)
    assert batch["attention_mask"].sum(1).tolist() == [6, 15]
    assert batch["input_ids"][0, 6:].tolist() == [tokenizer.pad_token_id] * 9
    b, d = ids(tokenizer, "b")[0], ids(tokenizer, "d")[0]
    # Logits are kept before a learned token of any row: 3 and 4 (b and the end, short), 6 and 7 (b), 12 and
    # 13 (d).
    assert batch["logits_to_keep"].tolist() == [3, 4, 6, 7, 12, 13]
    assert batch["labels"].tolist() == [
        [X, b, END, X, X, X, X],
        [X, X, X, b, END, d, END],
    ]


def test_a_conversation_in_one_column_is_read_up_to_its_last_answer():
    extended = [*CONVERSATION, {"role": "user", "content": "thanks"}]
    assert data_examples.to_messages({"messages": json.dumps(extended)}) == CONVERSATION
    assert data_examples.to_prompt_messages({"messages": json.dumps(extended)}) == CONVERSATION[:-1]


@pytest.mark.parametrize(
    "cell",
    [
        *("", "hello", "[]", "{}", "[1]", '[{"role": "user"}]', "[" * 5000),
        *('[{"role": "user", "content": "a"}]', '[{"role": "assistant", "content": "b"}]'),
        '[{"role": "user", "content": "a"}, {"role": "tool", "content": "x"},'
        ' {"role": "assistant", "content": "b"}]',
    ],
)
def test_what_is_no_conversation_is_left_out_and_counted(cell):
    good = json.dumps(CONVERSATION)
    rows = tuple({"m": text} for text in [good] * 8 + [cell])
    built, incomplete = data_examples.build_examples(
        Table("t.jsonl", ("m",), rows), "chat", {"messages": "m"}
    )
    assert (len(built), incomplete) == (8, 1)


def test_a_plain_text_is_learned_word_by_word_with_its_end(tokenizer):
    text_ids = ids(tokenizer, "a b c")
    (encoded,) = data_examples.encode_examples([{"text": "a b c"}], "complete", tokenizer, 64, ())
    assert encoded.input_ids == encoded.labels == [*text_ids, END]


def test_a_long_plain_text_becomes_pieces_of_which_nothing_is_lost(tokenizer):
    text_ids = [*ids(tokenizer, "a b c d e"), END]
    chunks = data_examples.encode_examples([{"text": "a b c d e"}], "complete", tokenizer, 4, ())
    assert [chunk.input_ids for chunk in chunks] == [
        text_ids[start : start + 4] for start in range(0, len(text_ids), 4) if len(text_ids) - start > 1
    ]
    assert all(chunk.labels == chunk.input_ids for chunk in chunks)
    assert not any(chunk.truncated for chunk in chunks)


def test_of_a_pair_the_better_answer_is_learned(tokenizer):
    a, b = ids(tokenizer, "a")[0], ids(tokenizer, "b")[0]
    (encoded,) = data_examples.encode_examples(
        [{"prompt": "a", "chosen": "b", "rejected": "c"}], "prefer", tokenizer, 64, ()
    )
    assert encoded.input_ids == [USER, a, END, ASSISTANT, b, END]
    assert encoded.labels == [X, X, X, X, b, END]


def test_of_a_question_alone_nothing_is_learned_and_an_answer_follows(tokenizer):
    (encoded,) = data_examples.encode_examples([{"prompt": "a", "answer": "7"}], "prompts", tokenizer, 64, ())
    assert encoded.input_ids == [USER, ids(tokenizer, "a")[0], END, ASSISTANT]
    assert encoded.labels == [X] * 4


def test_a_known_answer_may_be_missing_and_a_question_may_not():
    rows = [("a", "7")] * 8 + [("b", ""), ("", "7")]
    built, incomplete = data_examples.build_examples(table(rows), "prompts", {"prompt": "q", "answer": "a"})
    assert (len(built), incomplete, built[8]) == (9, 1, {"prompt": "b", "answer": ""})
    without, _ = data_examples.build_examples(table(rows), "prompts", {"prompt": "q", "answer": ""})
    assert without[0] == {"prompt": "a"}


def test_a_pair_without_its_worse_answer_is_left_out():
    rows = tuple({"p": "a", "c": "b", "r": "" if index == 8 else "c"} for index in range(9))
    built, incomplete = data_examples.build_examples(
        Table("t.csv", ("p", "c", "r"), rows), "prefer", {"prompt": "p", "chosen": "c", "rejected": "r"}
    )
    assert (len(built), incomplete) == (8, 1)
    assert built[0] == {"prompt": "a", "chosen": "b", "rejected": "c"}


def test_the_end_is_learned_even_where_the_template_does_not_write_it(tokenizer):
    tokenizer.chat_template = (
        "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    encoded = data_examples.encode_chat(
        data_examples.to_messages({"prompt": "a", "response": "b"}), tokenizer, 64
    )
    assert encoded.labels[-2:] == [*ids(tokenizer, "b"), END]


def test_what_a_template_writes_behind_the_end_is_not_learned(tokenizer):
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ eos_token }}", "{{ eos_token }}{{ '\n' }}")
    encoded = data_examples.encode_chat(
        data_examples.to_messages({"prompt": "a", "response": "b"}), tokenizer, 64
    )
    assert encoded.labels[-1] == END


def test_a_template_that_opens_an_answer_in_its_own_way_still_teaches_the_answer(tokenizer):
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "{% if add_generation_prompt %}<|assistant|>think:{% endif %}",
    )
    encoded = data_examples.encode_chat(
        data_examples.to_messages({"prompt": "a", "response": "b"}), tokenizer, 64
    )
    prompt = data_examples.apply_chat_template(
        tokenizer, [{"role": "user", "content": "a"}], add_generation_prompt=True
    )
    assert encoded.input_ids == [*prompt, *ids(tokenizer, "b"), END]


def test_a_long_answer_is_cut_and_says_so(tokenizer):
    full = data_examples.encode_chat(
        data_examples.to_messages({"prompt": "a", "response": "b " * 50}), tokenizer, 200
    )
    encoded = data_examples.encode_chat(
        data_examples.to_messages({"prompt": "a", "response": "b " * 50}), tokenizer, 10
    )
    assert encoded.input_ids == full.input_ids[:10]
    assert encoded.labels == full.labels[:10]
    assert (encoded.truncated, full.truncated) == (True, False)


def test_a_prompt_that_fills_the_length_leaves_nothing_to_learn(tokenizer):
    messages = data_examples.to_messages({"prompt": "a", "response": "b"})
    prompt = len(ids(tokenizer, "a")) + 3
    assert data_examples.encode_chat(messages, tokenizer, prompt) is None
    assert data_examples.encode_chat(messages, tokenizer, prompt + 1).labels[-1] == ids(tokenizer, "b")[0]


def test_an_example_without_room_for_its_answer_is_left_out(tokenizer):
    examples = [{"prompt": "a", "response": "b"}, {"prompt": "a " * 100, "response": "b"}]
    assert len(data_examples.encode_examples(examples, "chat", tokenizer, 20, ())) == 1


def test_no_room_for_any_answer_is_told_with_the_length(tokenizer):
    with pytest.raises(BadData) as caught:
        data_examples.encode_examples([{"prompt": "a " * 100, "response": "b"}], "chat", tokenizer, 20, ())
    assert caught.value.message == data_examples.NO_SPACE_FOR_ANSWER.format(length=20)


def test_an_encoded_example_of_an_earlier_version_is_read():
    encoded = data_examples.Encoded([1, 2], [X, 2], truncated=True, row_index=7)
    assert data_examples.Encoded.from_json(vars(encoded)) == encoded
    earlier_fields = {"input_ids": [1, 2], "labels": [X, 2], "cut": True, "number": 7}
    assert data_examples.Encoded.from_json(earlier_fields) == encoded


def test_a_text_to_sort_has_its_special_tokens_and_its_class(tiny_bert):
    tokenizer = load.tokenizer(tiny_bert)
    (encoded,) = data_examples.encode_examples(
        [{"text": "the lamp", "label": "b"}], "classify", tokenizer, 64, ("a", "b")
    )
    assert tokenizer.convert_ids_to_tokens(encoded.input_ids) == ["[CLS]", "the", "lamp", "[SEP]"]
    assert (encoded.labels, encoded.truncated) == ([1], False)


def test_a_long_text_to_sort_is_cut_within_its_special_tokens(tiny_bert):
    tokenizer = load.tokenizer(tiny_bert)
    encoded = data_examples.encode_text("the lamp " * 50, 0, tokenizer, 10)
    assert tokenizer.convert_ids_to_tokens([encoded.input_ids[0], encoded.input_ids[-1]]) == [
        "[CLS]",
        "[SEP]",
    ]
    assert (len(encoded.input_ids), encoded.truncated) == (10, True)
