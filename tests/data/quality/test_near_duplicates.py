"""Texts that say nearly the same are found, whatever their order, and nothing else is."""

import itertools
import random

import pytest

from studio.data.quality import near_duplicates

TWENTY = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)


def group_sets(texts, threshold=0.8):
    """The groups as sets of texts."""
    groups = {}
    for group_id, text in zip(near_duplicates.group_texts(texts, threshold), texts, strict=True):
        groups.setdefault(group_id, set()).add(text)
    return sorted(map(sorted, groups.values()))


@pytest.mark.parametrize(
    ("first", "second", "similarity"),
    [
        ("a b c d", "a b c d", 1),
        ("a b c d", "a b c e", 2 / 4),  # ab bc of ab bc cd ce
        ("Hello, there!", "hello there", 1),
        ("parcel", "Parcel.", 1),
        ("我的包裹", "我的订单", 1 / 5),  # 我的 of 我的 的包 包裹 的订 订单
        ("ＡＢＣ１", "abc1", 1),
        ("!!", "??", 0),
    ],
)
def test_similarity_is_what_two_texts_share_of_their_word_pairs(first, second, similarity):
    assert (
        near_duplicates.jaccard(near_duplicates.shingles(first), near_duplicates.shingles(second))
        == similarity
    )


def test_one_changed_word_in_twenty_is_nearly_the_same_up_to_17_of_21():
    changed = TWENTY.replace("seven ", "7 ")  # 19 pairs each, two of them differ
    assert group_sets([TWENTY, changed], 17 / 21) == [sorted([TWENTY, changed])]
    assert group_sets([TWENTY, changed], 17 / 21 + 0.001) == sorted([[TWENTY], [changed]])


SIMILAR_PAIRS = [
    (
        "My parcel has not arrived yet. Can you look where it is, please?",
        "my parcel has not arrived yet - can you look where it is please",
    ),
    (
        "I ordered the green garden hose last Monday and it leaks at both ends, so I would like my money "
        "back as soon as you can.",
        "I ordered the green garden hose last Tuesday and it leaks at both ends, so I would like my "
        "money back as soon as you can.",
    ),
    (
        "您好，我上周一在你们店里买的绿色花园水管两头都漏水，我想申请退货退款，请问需要怎么操作？",
        "您好，我上周二在你们店里买的绿色花园水管两头都漏水，我想申请退货退款，请问需要怎么操作？",
    ),
    ("Café déjà vu: le colis n'est pas arrivé.", "CAFÉ DÉJÀ VU — le colis n'est pas arrivé !"),
    (TWENTY, TWENTY + " " + "twenty-one"),
]
DIFFERENT_PAIRS = [
    ("What is the capital of France?", "What is the capital of Italy?"),
    ("The dog bites the man in the garden.", "The man bites the dog in the garden."),
    ("法国的首都是哪里？", "德国的首都是哪里？"),
    ("Where is my order?", "Where is my refund?"),
    ("A train goes 30 miles in an hour. How far in 2?", "A train goes 45 miles in an hour. How far in 6?"),
    ("yes", "no"),
    ("", "!"),
]


def test_of_a_list_made_by_hand_every_pair_is_found_and_no_other():
    texts = [text for pair in (*SIMILAR_PAIRS, *DIFFERENT_PAIRS) for text in pair]
    expected = sorted(
        [*(sorted(pair) for pair in SIMILAR_PAIRS), *([text] for pair in DIFFERENT_PAIRS for text in pair)]
    )
    assert group_sets(texts) == expected


def random_texts(seed, n_texts=240):
    """Texts of few words, many of them altered copies of others."""
    rng = random.Random(seed)
    texts = []
    for _ in range(n_texts):
        if texts and rng.random() < 0.6:
            words = rng.choice(texts).split()
            for _ in range(rng.randint(0, 2)):
                words[rng.randrange(len(words))] = rng.choice("abcdefghijklmnop")
            texts.append(" ".join(words))
        else:
            texts.append(
                " ".join(
                    rng.choice("abcdefghijklmnop") + rng.choice("xyz") for _ in range(rng.randint(1, 60))
                )
            )
    return texts


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_texts_changes_nothing(seed):
    texts = random_texts(seed)
    shuffled = random.Random(seed + 100).sample(texts, len(texts))
    assert group_sets(texts) == group_sets(shuffled)


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.8, 0.9])
def test_it_finds_what_comparing_each_with_each_finds(threshold):
    texts = sorted(set(random_texts(7)))
    sets = [near_duplicates.shingles(text) for text in texts]
    similar = [
        pair
        for pair in itertools.combinations(range(len(texts)), 2)
        if near_duplicates.jaccard(*(sets[index] for index in pair)) >= threshold
    ]
    roots = list(range(len(texts)))  # joined pair by pair, the plain way
    for first, second in similar:
        roots = [roots[first] if root == roots[second] else root for root in roots]
    group_ids = near_duplicates.group_texts(texts, threshold)
    joined = {
        pair
        for pair in itertools.combinations(range(len(texts)), 2)
        if group_ids[pair[0]] == group_ids[pair[1]]
    }
    expected = {
        pair for pair in itertools.combinations(range(len(texts)), 2) if roots[pair[0]] == roots[pair[1]]
    }
    assert joined <= expected
    assert len(similar) > 20
    assert sum(pair in joined for pair in similar) >= 0.99 * len(similar)


def test_a_thousand_texts_in_one_frame_are_told_apart_from_their_copies():
    frame = " ".join(f"frame{index}" for index in range(20))
    texts = [
        f"{frame} {' '.join(f'own{text_index}x{index}' for index in range(8))}" for text_index in range(1000)
    ]
    group_ids = near_duplicates.group_texts([*texts, *(text.upper() + "!" for text in texts)])
    assert group_ids[:1000] == group_ids[1000:]
    assert len(set(group_ids)) == 1000


def test_nothing_gives_nothing_and_one_text_stands_alone():
    assert near_duplicates.group_texts([]) == []
    assert len(near_duplicates.group_texts(["a b c"])) == 1
    assert len(set(near_duplicates.group_texts(["", "", "  "]))) == 1


def test_progress_grows_to_its_end_and_may_be_ended():
    reports = []
    near_duplicates.group_texts(
        random_texts(1), on_progress=lambda done, total: reports.append((done, total))
    )
    assert reports[-1][0] == reports[-1][1]
    assert reports == sorted(reports)

    class Stopped(Exception):
        pass

    def stop(done, _total):
        raise Stopped(done)

    with pytest.raises(Stopped):
        near_duplicates.group_texts(["a b"], on_progress=stop)
