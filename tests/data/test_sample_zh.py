"""The Chinese support sample keeps the rules that its card promises, reply by reply."""

import csv
import re
import unicodedata
from collections import Counter

from studio import presets
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles

CARD = presets.samples()["support-zh"]
OPENS, CLOSES = "您好，这里是青禾。", "——青禾 小满"
CLOCK = re.compile(r"(上午|中午|下午|晚上)?(\d+)点")
HOURS = {"": [], "上午": range(6, 12), "中午": range(12, 13), "下午": range(1, 7), "晚上": range(7, 12)}
NEVER_SAID = ["不好意思", "抱歉", "遗憾", "亲", "你", *"哦呢哈啦呀嘛"]
BLAME = ["您没", "您忘", "您填错", "您弄", "您应该", "您自己", "是您", "自行"]


def rows():
    with CARD.path.open(encoding="utf-8", newline="") as file:
        return [(row["顾客"], row["回复"]) for row in csv.DictReader(file)]


def body(reply):
    """What stands between the greeting and the signature."""
    return reply.removeprefix(OPENS).removesuffix(CLOSES)


def bare(text):
    """A text without its spaces and punctuation marks."""
    return "".join(sign for sign in text.lower() if unicodedata.category(sign)[0] in "LN")


REPLIES = [reply for _, reply in rows()]


def test_there_are_at_least_130_pairs_and_as_many_as_the_card_says():
    assert len(rows()) == CARD.rows >= 130
    assert all(f"{CARD.rows} " in text for text in (CARD.about.render(), CARD.about.render("zh")))


def test_the_card_tells_both_languages_how_a_reply_opens_and_closes():
    for text in (CARD.rules.render(), CARD.rules.render("zh")):
        assert OPENS in text
        assert CLOSES in text


def replies_breaking(follows_rule):
    """The replies for which a rule does not hold."""
    return [reply for reply in REPLIES if not follows_rule(reply)]


def test_every_reply_opens_and_closes_as_the_house_does():
    assert replies_breaking(lambda reply: reply.startswith(OPENS) and reply.endswith(f"。{CLOSES}")) == []


def test_every_reply_has_40_to_110_characters():
    assert replies_breaking(lambda reply: 40 <= len(reply) <= 110) == []


def test_every_reply_names_exactly_one_time_of_the_day():
    def names_one_time(reply):
        times = CLOCK.findall(reply)
        return len(times) == 1 and int(times[0][1]) in HOURS[times[0][0]]

    assert replies_breaking(names_one_time) == []


def test_every_reply_is_calm_and_formal_and_blames_nobody():
    assert replies_breaking(lambda reply: not any(word in reply for word in (*NEVER_SAID, *BLAME))) == []
    assert replies_breaking(lambda reply: not set(reply) & set("!！~～")) == []
    assert replies_breaking(lambda reply: all(unicodedata.category(sign) != "So" for sign in reply)) == []


def test_every_reply_is_punctuated_in_chinese():
    assert (
        replies_breaking(
            lambda reply: not set(reply) & set(",?:;()\"'") and not re.search(r"\.(?!\d)", reply)
        )
        == []
    )


def test_all_replies_differ_and_none_repeats_a_sentence_of_another():
    assert len(set(REPLIES)) == len(REPLIES)
    sentences = Counter(
        sentence for reply in REPLIES for sentence in re.split("[。？]", body(reply)) if sentence
    )
    assert [sentence for sentence, times in sentences.items() if times > 1] == []


def test_no_message_is_sent_twice_even_with_other_marks_and_spaces():
    messages = Counter(bare(message) for message, _ in rows())
    assert [message for message, times in messages.items() if times > 1] == []


def test_the_messages_are_short_and_long_with_and_without_marks():
    messages = [message for message, _ in rows()]
    assert min(map(len, messages)) <= 6
    assert max(map(len, messages)) >= 60
    unmarked = [
        message for message in messages if not any(unicodedata.category(sign)[0] == "P" for sign in message)
    ]
    ended = [message for message in messages if message.endswith(("。", "？", "！", "…"))]
    assert min(len(unmarked), len(ended)) > len(messages) / 5


def test_the_columns_are_recognised_without_the_card():
    guess = infer_roles.guess_roles(read_table(CARD.path))
    assert (guess.task, guess.columns) == (CARD.task, CARD.columns)
