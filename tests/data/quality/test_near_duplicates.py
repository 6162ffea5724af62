"""Texts that say nearly the same are found, whatever their order, and nothing else is."""

import itertools
import random

import pytest

from studio.data.quality import near_duplicates

TWENTY = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"


def parts(texts, alike=0.8):
    """The groups as sets of texts."""
    found = {}
    for number, text in zip(near_duplicates.group_texts(texts, alike), texts, strict=True):
        found.setdefault(number, set()).add(text)
    return sorted(map(sorted, found.values()))


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
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
def test_similarity_is_what_two_texts_share_of_their_word_pairs(one, other, similarity):
    assert (
        near_duplicates.jaccard(near_duplicates.shingles(one), near_duplicates.shingles(other)) == similarity
    )


def test_one_changed_word_in_twenty_is_nearly_the_same_up_to_17_of_21():
    changed = TWENTY.replace("seven ", "7 ")  # 19 pairs each, two of them differ
    assert parts([TWENTY, changed], 17 / 21) == [sorted([TWENTY, changed])]
    assert parts([TWENTY, changed], 17 / 21 + 0.001) == sorted([[TWENTY], [changed]])


SAME = [
    (
        "My parcel has not arrived yet. Can you look where it is, please?",
        "my parcel has not arrived yet - can you look where it is please",
    ),
    (
        "I ordered the green garden hose last Monday and it leaks at both ends, so I would like my money back as soon as you can.",
        "I ordered the green garden hose last Tuesday and it leaks at both ends, so I would like my money back as soon as you can.",
    ),
    (
        "您好，我上周一在你们店里买的绿色花园水管两头都漏水，我想申请退货退款，请问需要怎么操作？",
        "您好，我上周二在你们店里买的绿色花园水管两头都漏水，我想申请退货退款，请问需要怎么操作？",
    ),
    ("Café déjà vu: le colis n'est pas arrivé.", "CAFÉ DÉJÀ VU — le colis n'est pas arrivé !"),
    (TWENTY, TWENTY + " " + "twenty-one"),
]
APART = [
    ("What is the capital of France?", "What is the capital of Italy?"),
    ("The dog bites the man in the garden.", "The man bites the dog in the garden."),
    ("法国的首都是哪里？", "德国的首都是哪里？"),
    ("Where is my order?", "Where is my refund?"),
    ("A train goes 30 miles in an hour. How far in 2?", "A train goes 45 miles in an hour. How far in 6?"),
    ("yes", "no"),
    ("", "!"),
]


def test_of_a_list_made_by_hand_every_pair_is_found_and_no_other():
    texts = [text for pair in (*SAME, *APART) for text in pair]
    wanted = sorted([*(sorted(pair) for pair in SAME), *([text] for pair in APART for text in pair)])
    assert parts(texts) == wanted


def made(seed, count=240):
    """Texts of few words, many of them altered copies of others."""
    chance = random.Random(seed)
    texts = []
    for _ in range(count):
        if texts and chance.random() < 0.6:
            said = chance.choice(texts).split()
            for _ in range(chance.randint(0, 2)):
                said[chance.randrange(len(said))] = chance.choice("abcdefghijklmnop")
            texts.append(" ".join(said))
        else:
            texts.append(
                " ".join(
                    chance.choice("abcdefghijklmnop") + chance.choice("xyz")
                    for _ in range(chance.randint(1, 60))
                )
            )
    return texts


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_texts_changes_nothing(seed):
    texts = made(seed)
    other = random.Random(seed + 100).sample(texts, len(texts))
    assert parts(texts) == parts(other)


@pytest.mark.parametrize("alike", [0.5, 0.65, 0.8, 0.9])
def test_it_finds_what_comparing_each_with_each_finds(alike):
    texts = sorted(set(made(7)))
    sets = [near_duplicates.shingles(text) for text in texts]
    close = [
        pair
        for pair in itertools.combinations(range(len(texts)), 2)
        if near_duplicates.jaccard(*(sets[place] for place in pair)) >= alike
    ]
    roots = list(range(len(texts)))  # joined pair by pair, the plain way
    for one, other in close:
        roots = [roots[one] if root == roots[other] else root for root in roots]
    found = near_duplicates.group_texts(texts, alike)
    joined = {
        pair for pair in itertools.combinations(range(len(texts)), 2) if found[pair[0]] == found[pair[1]]
    }
    wanted = {
        pair for pair in itertools.combinations(range(len(texts)), 2) if roots[pair[0]] == roots[pair[1]]
    }
    assert joined <= wanted
    assert len(close) > 20
    assert sum(pair in joined for pair in close) >= 0.99 * len(close)


def test_a_thousand_texts_in_one_frame_are_told_apart_from_their_copies():
    frame = " ".join(f"frame{number}" for number in range(20))
    texts = [f"{frame} {' '.join(f'own{number}x{place}' for place in range(8))}" for number in range(1000)]
    found = near_duplicates.group_texts([*texts, *(text.upper() + "!" for text in texts)])
    assert found[:1000] == found[1000:]
    assert len(set(found)) == 1000


def test_nothing_gives_nothing_and_one_text_stands_alone():
    assert near_duplicates.group_texts([]) == []
    assert len(near_duplicates.group_texts(["a b c"])) == 1
    assert len(set(near_duplicates.group_texts(["", "", "  "]))) == 1


def test_progress_grows_to_its_end_and_may_be_ended():
    told = []
    near_duplicates.group_texts(made(1), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)

    class Ended(Exception):
        pass

    def end(done, _total):
        raise Ended(done)

    with pytest.raises(Ended):
        near_duplicates.group_texts(["a b"], on_progress=end)
