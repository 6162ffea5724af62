"""The stages of RLHF as the estimator sees them: learning from answers, from pairs, and practice that writes before it learns.

Only the first has dropout: a policy must say the same twice (studio.methods._stage.adapter). The others are TRL's trainers.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from studio.methods import _rewards, work
from studio.methods.base import Settings
from studio.methods.touch import Touch, low_rank
from studio.methods.work import Load, Phase
from studio.models.shape import ModelShape

# Held-out questions that are answered before and after practice; so many are written or judged at once.
ASKED, AT_ONCE = 32, 16
# The longest answer where nobody says: this much of the usual example, within these bounds (tokens).
ROOMY, LEAST, MOST, MOST_BY_LENGTH = 1.25, 16, 64, 256


def longest_answer(settings: Settings, what: str, answers: Sequence[int]) -> int:
    """How long an answer may be in practice (tokens): as set, else what the usual example or the length aimed at needs, within bounds.

    `answers` are the lengths of the example answers, `what` names the reward.
    """
    aim = int(settings["reward_length"]) if what == "length" else 0
    found = min(max(math.ceil(ROOMY * median(answers)), 2 * aim, LEAST), MOST_BY_LENGTH if what == "length" else MOST)
    return int(settings["answer_tokens"]) or max(found, aim)


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """That of a LoRA on every matrix."""
    return low_rank(shape.linears, int(settings["rank"]), dropout=True)


def phases(settings: Settings, load: Load) -> tuple[Phase, ...]:
    """The supervised stage where it is wanted, then pairs alone (DPO), or a reward model where pairs are the reward, and practice."""
    first = work.supervised(replace(load, task="chat"), "rlhf", "sft") if settings["sft"] and not settings["start_from"] else ()
    if settings["way"] == "dpo":
        return (*first, *_pairs(settings, load))
    what = _rewards.chosen(settings, load.task)
    judge = _judge(settings, load) if what == "model" and load.task == "prefer" else ()
    return (*first, *judge, *_practice(settings, load, what))


def _both(load: Load) -> list[tuple[int, int]]:
    """Both answers of each pair that is read whole."""
    most = load.training.max_length
    fit = [row for row in load.rows if row.asked + max(row.answer, row.other) <= most] or list(load.rows)
    return [(row.asked + answer, answer) for row in fit for answer in (row.answer, row.other)]


def _judge(settings: Settings, load: Load) -> tuple[Phase, ...]:
    rounds, size = float(settings["reward_epochs"]), load.training.batch_size or 8
    steps = math.ceil(load.learned * rounds / size)
    rows = [(tokens, 0) for tokens, _ in _both(load)]
    learn = work.portions(rows, max(2, load.portion), 2 * load.learned)
    look = work.portions(rows, AT_ONCE, 2 * load.checked)
    return (
        Phase("head", work.portions(rows, AT_ONCE, 2 * load.learned), head="classes", held=1.0),
        Phase("reward", learn, "rlhf", learn=True, rounds=rounds, updates=steps, head="classes", held=1.0, trl=True),
        Phase("check", look, "rlhf", rounds=2 + min(steps, load.training.evaluations), head="classes", held=1.0),
    )


def _practice(settings: Settings, load: Load, what: str) -> tuple[Phase, ...]:
    longest = longest_answer(settings, what, [max(1, row.answer) for row in load.rows])
    answers, steps = int(settings["answers"]), int(settings["steps"])
    asked = [(row.asked, 0) for row in load.rows if row.asked + longest <= load.training.max_length] or [(load.rows[0].asked, 0)]
    questions = min(int(settings["questions"]), len(asked))
    whole = [(tokens + longest, longest) for tokens, _ in asked]
    rows = work.portions(whole, answers, answers * questions * steps)
    held = 1.0 if what == "model" else 0.0
    judged = (Phase("judge", work.portions(whole, AT_ONCE, answers * questions * steps), head="classes", held=held),) if held else ()
    return (
        Phase("ask", work.portions(asked, AT_ONCE, ASKED), rounds=2, new=longest, held=held),
        Phase("write", work.portions(asked, answers * questions, answers * questions * steps), "rlhf", new=longest, held=held),
        *judged,
        Phase("reference", rows, "rlhf", rounds=2, held=held, trl=True),
        Phase("rl", rows, "rlhf", learn=True, updates=steps, held=held, trl=True),
    )


def _pairs(settings: Settings, load: Load) -> tuple[Phase, ...]:
    steps, size = int(settings["steps"]), min(load.training.batch_size or 8, load.learned)
    rows = work.portions(_both(load), max(2, load.portion), 2 * size * steps)
    look = work.portions(_both(load), AT_ONCE, 2 * load.checked)
    return (
        Phase("reference", rows, "rlhf", trl=True),
        Phase("dpo", rows, "rlhf", learn=True, updates=steps, trl=True),
        Phase("check", look, "rlhf", rounds=2 + min(steps, load.training.evaluations)),
    )
