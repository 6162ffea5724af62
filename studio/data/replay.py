"""General questions and answers mixed into what is trained on, so that a model forgets less of the rest.

They were written for this studio (presets/replay.jsonl) and stand for what an assistant is asked every day:
rehearsing a little of the old while learning the new is the oldest remedy against forgetting (Robins 1995),
and a few per cent of it already help (Scialom et al. 2022, arXiv 2205.12393; Ibrahim et al. 2024, arXiv
2403.08763).
"""

import json
import random
from dataclasses import replace
from functools import lru_cache
from itertools import cycle, islice

from studio import presets
from studio.data.examples import Example
from studio.data.split import Splits
from studio.plan import Training

REPLAY_FILE = presets.FOLDER / "replay.jsonl"


@lru_cache
def load_examples() -> tuple[Example, ...]:
    """The general examples, each a prompt and its response."""
    return tuple(json.loads(line) for line in REPLAY_FILE.read_text(encoding="utf-8").splitlines())


def count_examples(n_own: int, share: float) -> int:
    """How many general examples beside `n_own` training examples make `share` (below 1) of all of them."""
    return round(n_own * share / (1 - share))


def mix_in(splits: Splits, training: Training) -> Splits:
    """The splits with general examples after the training examples, in an order of the seed.

    Where more are wanted than there are, each is seen again. Validation and test stay as they are.
    """
    n_wanted = count_examples(len(splits.train), training.replay_share)
    shuffled = list(load_examples())
    random.Random(training.seed).shuffle(shuffled)  # noqa: S311 - a repeatable shuffle, no secret
    return replace(splits, train=[*splits.train, *islice(cycle(shuffled), n_wanted)])
