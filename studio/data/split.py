"""Examples become three parts: to learn from, to check on while learning, and for the final test; what is alike stays on one side."""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from studio.data import near, prepare
from studio.data.prepare import Example
from studio.plan import Data

# From so many examples on a part of them is left for the final test alone; below, that part would be too small to say anything.
TESTED_FROM, TESTED = 200, 0.1
# A group of texts alike that is larger than this share of all follows a pattern; kept together it would leave nothing to check on.
MOST_ALIKE = 0.1


@dataclass(frozen=True)
class Parts:
    """The examples of a run: `train` is learned from, `validation` chooses the best state, `test` is for the final test alone and may be empty."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def test_share(data: Data, count: int) -> float:
    """The share of `count` examples that is left for the final test, 0 where a test set of its own is given."""
    if data.test:
        return 0.0
    if data.test_share is not None:
        return data.test_share
    return TESTED if count >= TESTED_FROM else 0.0


def text_of(example: Example) -> str:
    """What an example is told apart by: what the model reads of it."""
    if "text" in example:
        return example["text"]
    return "\n".join(turn["content"] for turn in prepare.question(example) if turn["role"] == "user")


def alike(found: Sequence[Example]) -> list[int]:
    """A number for each example; those whose texts are the same or nearly so, and those of one conversation, share one.

    What is alike to more than MOST_ALIKE of all is written after one pattern, and only told apart where it is not the very same.
    """
    texts = [text_of(example) for example in found]
    numbers = near.groups(texts)
    sizes = Counter(numbers)
    keys: list[Hashable] = [
        text if sizes[number] > MOST_ALIKE * len(found) else number for number, text in zip(numbers, texts, strict=True)
    ]
    joined = list(range(len(found)))  # each points to an earlier one of its group

    def first_of(place: int) -> int:
        while joined[place] != place:
            place = joined[place]
        return place

    seen: dict[Hashable, int] = {}
    for place, (key, example) in enumerate(zip(keys, found, strict=True)):
        for name in (("alike", key), *([("group", example["group"])] if example.get("group") else [])):
            one, other = sorted((first_of(seen.setdefault(name, place)), first_of(place)))
            joined[other] = one
    return [first_of(place) for place in range(len(found))]


def split(found: Sequence[Example], data: Data, seed: int, together: Sequence[int]) -> Parts:
    """The three parts, in the shares the plan's data names.

    Examples with the same number in `together` stay on one side, each class gives its share, and a class's last group stays to be
    learned. The same seed gives the same split.
    """
    first: dict[int, str] = {}
    texts: dict[int, str] = {}
    for number, example in zip(together, found, strict=True):
        first.setdefault(number, example.get("label", ""))  # a text under two labels goes with its first
        texts[number] = min(texts.get(number, text_of(example)), text_of(example))
    classes: dict[str, dict[int, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for number, example in zip(together, found, strict=True):
        classes[first[number]][number].append(example)
    chance = random.Random(seed)  # noqa: S311 - a repeatable shuffle, no secret
    parts = Parts([], [], [])
    shares = ((parts.test, test_share(data, len(found))), (parts.validation, data.validation_share))
    for groups in (classes[name] for name in sorted(classes)):
        order = sorted(groups, key=lambda number: texts[number])  # the order of the rows does not choose
        chance.shuffle(order)
        size = sum(len(group) for group in groups.values())
        for part, share in shares:
            taken = 0
            while taken < round(share * size) and len(order) > 1:  # a class that is only checked on is never learned
                group = groups[order.pop(0)]
                part.extend(group)
                taken += len(group)
        for number in order:
            parts.train.extend(groups[number])
    if not parts.validation:  # every class too small for its share: still check on something
        parts.validation.append(parts.train.pop())
    chance.shuffle(parts.train)
    return parts
