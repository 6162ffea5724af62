"""Examples become three parts: to learn from, to check on while learning, and for the final test; what is alike stays on one side."""

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from studio.data import examples
from studio.data.examples import Example
from studio.data.quality import near_duplicates
from studio.plan import Data

# From so many examples on a part of them is left for the final test alone; below, that part would be too small to say anything.
MIN_EXAMPLES_FOR_TEST, DEFAULT_TEST_SHARE = 200, 0.1
# A group of texts alike that is larger than this share of all follows a pattern; kept together it would leave nothing to check on.
MAX_GROUP_SHARE = 0.1


@dataclass(frozen=True)
class Splits:
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
    return DEFAULT_TEST_SHARE if count >= MIN_EXAMPLES_FOR_TEST else 0.0


def input_text(example: Example) -> str:
    """What an example is told apart by: what the model reads of it."""
    if "text" in example:
        return example["text"]
    return "\n".join(
        message["content"] for message in examples.to_prompt_messages(example) if message["role"] == "user"
    )


def duplicate_groups(all_examples: Sequence[Example]) -> list[int]:
    """A number for each example; those whose texts are the same or nearly so, and those of one conversation, share one.

    What is alike to more than MOST_ALIKE of all is written after one pattern, and only told apart where it is not the very same.
    """
    texts = [input_text(example) for example in all_examples]
    group_ids = near_duplicates.group_texts(texts)
    sizes = Counter(group_ids)
    keys: list[Hashable] = [
        text if sizes[group_id] > MAX_GROUP_SHARE * len(all_examples) else group_id
        for group_id, text in zip(group_ids, texts, strict=True)
    ]
    parents = list(range(len(all_examples)))  # each points to an earlier one of its group

    def find_root(index: int) -> int:
        while parents[index] != index:
            index = parents[index]
        return index

    first_index: dict[Hashable, int] = {}
    for index, (key, example) in enumerate(zip(keys, all_examples, strict=True)):
        for group_key in (("alike", key), *([("group", example["group"])] if example.get("group") else [])):
            root, other_root = sorted((find_root(first_index.setdefault(group_key, index)), find_root(index)))
            parents[other_root] = root
    return [find_root(index) for index in range(len(all_examples))]


def split_examples(
    all_examples: Sequence[Example], data: Data, seed: int, group_ids: Sequence[int]
) -> Splits:
    """The three parts, in the shares the plan's data names.

    Examples with the same number in `together` stay on one side, each class gives its share, and a class's last group stays to be
    learned. The same seed gives the same split.
    """
    group_labels: dict[int, str] = {}
    group_texts: dict[int, str] = {}
    for group_id, example in zip(group_ids, all_examples, strict=True):
        group_labels.setdefault(
            group_id, example.get("label", "")
        )  # a text under two labels goes with its first
        group_texts[group_id] = min(group_texts.get(group_id, input_text(example)), input_text(example))
    groups_by_class: dict[str, dict[int, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for group_id, example in zip(group_ids, all_examples, strict=True):
        groups_by_class[group_labels[group_id]][group_id].append(example)
    rng = random.Random(seed)  # noqa: S311 - a repeatable shuffle, no secret
    splits = Splits([], [], [])
    shares = ((splits.test, test_share(data, len(all_examples))), (splits.validation, data.validation_share))
    for groups in (groups_by_class[name] for name in sorted(groups_by_class)):
        shuffled_ids = sorted(
            groups, key=lambda group_id: group_texts[group_id]
        )  # the order of the rows does not choose
        rng.shuffle(shuffled_ids)
        class_size = sum(len(group) for group in groups.values())
        for subset, share in shares:
            n_taken = 0
            while (
                n_taken < round(share * class_size) and len(shuffled_ids) > 1
            ):  # a class that is only checked on is never learned
                group = groups[shuffled_ids.pop(0)]
                subset.extend(group)
                n_taken += len(group)
        for group_id in shuffled_ids:
            splits.train.extend(groups[group_id])
    if not splits.validation:  # every class too small for its share: still check on something
        splits.validation.append(splits.train.pop())
    rng.shuffle(splits.train)
    return splits
