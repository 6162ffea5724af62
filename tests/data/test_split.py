"""What belongs together stays in one of three splits, whose sizes can be counted by hand."""

import random
from collections import Counter

import pytest
from plain_words import WORDS

from studio.data import split
from studio.plan import Data


def chats(count):
    return [{"prompt": f"question {n}", "response": f"answer {n}"} for n in range(count)]


def tickets(**sizes):
    return [{"text": f"{label} {n}", "label": label} for label, size in sizes.items() for n in range(size)]


def keys(subset, role):
    return {example[role] for example in subset}


def split_parts(examples, share, seed, **data):
    """Training, validation and test part."""
    splits = split.split_examples(
        examples, Data(source="x", validation_share=share, **data), seed, split.duplicate_groups(examples)
    )
    return splits.train, splits.validation, splits.test


@pytest.mark.parametrize(
    ("count", "share", "n_validation"), [(40, 0.1, 4), (40, 0.25, 10), (9, 0.02, 1), (140, 0.15, 21)]
)
def test_the_share_is_kept_aside_and_nothing_is_lost(count, share, n_validation):
    train, validation = split_parts(chats(count), share, 42, test_share=0)[:2]
    assert (len(train), len(validation)) == (count - n_validation, n_validation)
    assert keys(train + validation, "prompt") == keys(chats(count), "prompt")


def test_the_same_seed_gives_the_same_split_and_another_one_another():
    assert split_parts(chats(40), 0.2, 1)[:2] == split_parts(chats(40), 0.2, 1)[:2]
    assert split_parts(chats(40), 0.2, 1)[:2] != split_parts(chats(40), 0.2, 2)[:2]


def test_the_order_of_the_rows_does_not_choose_who_is_kept_aside():
    shuffled = chats(40)
    random.Random(0).shuffle(shuffled)
    assert keys(split_parts(shuffled, 0.2, 1)[:2][1], "prompt") == keys(
        split_parts(chats(40), 0.2, 1)[:2][1], "prompt"
    )


@pytest.mark.parametrize("seed", range(5))
def test_each_class_gives_its_share(seed):
    _, validation = split_parts(tickets(billing=40, returns=20, account=10), 0.1, seed)[:2]
    assert Counter(example["label"] for example in validation) == {"billing": 4, "returns": 2, "account": 1}


@pytest.mark.parametrize("seed", range(5))
def test_the_same_prompt_never_stands_on_both_sides(seed):
    examples = [{"prompt": f"question {n // 3}", "response": f"answer {n}"} for n in range(60)]
    train, validation = split_parts(examples, 0.2, seed)[:2]
    assert not keys(train, "prompt") & keys(validation, "prompt")
    assert len(validation) == 12


@pytest.mark.parametrize("seed", range(5))
def test_the_same_text_under_two_labels_never_stands_on_both_sides(seed):
    examples = [{"text": f"text {n % 20}", "label": "ab"[n // 20]} for n in range(40)]
    train, validation = split_parts(examples, 0.2, seed)[:2]
    assert not keys(train, "text") & keys(validation, "text")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_there_is_always_something_to_train_on_and_something_to_check_on(share):
    for sizes in ([20], [1, 19], [19, 1], [10, 10], [1] * 8):
        examples = [
            {"prompt": f"question {n}", "response": f"answer {k}"}
            for n, size in enumerate(sizes)
            for k in range(size)
        ]
        for seed in range(3):
            train, validation = split_parts(examples, share, seed)[:2]
            assert train, sizes
            assert validation, sizes


def test_a_class_of_one_repeated_text_is_still_learned():
    examples = tickets(billing=20) + [{"text": "again", "label": "returns"}] * 10
    train, _ = split_parts(examples, 0.2, 0)[:2]
    assert keys(train, "label") == {"billing", "returns"}


def distinct(count):
    """Texts of which no two share a pair of words."""
    return [
        {"prompt": f"{WORDS[n % 20]} {n} {WORDS[n // 20]} {n + 1000}", "response": "x"} for n in range(count)
    ]


@pytest.mark.parametrize(
    ("count", "test_share", "n_test"),
    [
        (99, None, 0),
        (100, None, 20),
        (140, None, 21),
        (200, None, 20),
        (400, None, 40),
        (40, 0.25, 10),
        (400, 0.0, 0),
    ],
)
def test_the_verdict_has_a_part_of_its_own_where_there_are_enough(count, test_share, n_test):
    train, validation, test = split_parts(distinct(count), 0.1, 1, test_share=test_share)
    assert (len(test), len(validation)) == (n_test, round(0.1 * count))
    assert len(train) == count - n_test - len(validation)
    assert not keys(test, "prompt") & (keys(train, "prompt") | keys(validation, "prompt"))


def test_a_test_set_of_its_own_takes_nothing_from_the_examples():
    assert split_parts(distinct(300), 0.1, 1, test="other.csv")[2] == []


@pytest.mark.parametrize("seed", range(5))
def test_what_is_nearly_the_same_stays_on_one_side(seed):
    text = "please tell me where the parcel with my new garden fork is right now because it was due on monday"
    examples = [
        *distinct(60),
        {"prompt": text, "response": "x"},
        {"prompt": text + " thanks", "response": "y"},
    ]
    subsets = [
        {example["prompt"] for example in subset}
        for subset in split_parts(examples, 0.3, seed, test_share=0.3)
    ]
    assert sum(text in subset for subset in subsets) == 1
    assert next(subset for subset in subsets if text in subset) >= {text, text + " thanks"}


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_one_conversation_stay_on_one_side(seed):
    examples = [{**example, "group": f"talk {n // 3}"} for n, example in enumerate(distinct(60))]
    subsets = split_parts(examples, 0.2, seed, test_share=0.2)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert not keys(subsets[first], "group") & keys(subsets[second], "group")
    assert sum(map(len, subsets)) == 60


def test_texts_after_one_pattern_are_still_divided():
    examples = [
        {"prompt": f"what is the sum of {n} and seven apples in the basket of the farmer", "response": "x"}
        for n in range(60)
    ]
    train, validation, _ = split_parts(examples, 0.2, 0)
    assert (len(train), len(validation)) == (48, 12)


def test_a_share_of_the_training_rows_keeps_each_class_and_lies_within_a_larger_share():
    rows = [{"text": f"text {index}", "label": "rare" if index == 19 else "usual"} for index in range(20)]
    whole = split.Splits(rows, [{"text": "v", "label": "usual"}], [])
    quarter, half = (split.keep_train_share(whole, share) for share in (0.25, 0.5))
    assert quarter.train == [*rows[:4], rows[19]]
    assert half.train == [*rows[:9], rows[19]]
    assert quarter.validation == whole.validation
    assert split.keep_train_share(whole, 1.0) == whole
