"""Split examples for training, validation and the final test; similar examples stay in the same split."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from studio.data import examples, targets
from studio.data.examples import Example
from studio.data.quality import near_duplicates
from studio.plan import PROBLEM_TYPES, Data

# From so many examples on a part of them is set aside for the final test: a tenth, or more where a tenth is
# less than the rows from which a verdict says anything (studio/evaluate/verdict_wording.py).
MIN_EXAMPLES_FOR_TEST, DEFAULT_TEST_SHARE, MIN_TEST_EXAMPLES = 100, 0.1, 20
# The steps in which the share grows, as the field on the page has them.
TEST_SHARE_STEP = 0.05
# A group of similar texts that is larger than this share of all follows a pattern; kept together it would
# leave nothing for validation.
MAX_GROUP_SHARE = 0.1


@dataclass(frozen=True)
class Splits:
    """The examples of a run.

    Attributes:
        train: What the model learns from.
        validation: Chooses the best checkpoint.
        test: For the final test alone; may be empty.
    """

    train: list[Example]
    validation: list[Example]
    test: list[Example]


def test_share(data: Data, count: int) -> float:
    """The share of `count` examples that is set aside for the test (0–1); 0 if the plan names a test set."""
    if data.test:
        return 0.0
    if data.test_share is not None:
        return data.test_share
    if count < MIN_EXAMPLES_FOR_TEST:
        return 0.0
    steps = math.ceil(MIN_TEST_EXAMPLES / count / TEST_SHARE_STEP)
    return max(DEFAULT_TEST_SHARE, round(steps * TEST_SHARE_STEP, 2))


def input_text(example: Example) -> str:
    """The text by which examples are compared: what the person says or asks, or the text to learn."""
    if "text" in example:
        return example["text"]
    messages = examples.to_prompt_messages(example)
    return "\n".join(message["content"] for message in messages if message["role"] == "user")


def duplicate_groups(all_examples: Sequence[Example]) -> list[int]:
    """Group examples whose texts are the same or nearly so, and those of one conversation.

    A group of similar texts larger than MAX_GROUP_SHARE of all is written after one pattern: of it, only
    examples with exactly the same text are grouped.

    Returns:
        The id of each example's group.
    """
    parents = list(range(len(all_examples)))  # each points to an earlier one of its group

    def find_root(index: int) -> int:
        while parents[index] != index:
            index = parents[index]
        return index

    first_index: dict[Hashable, int] = {}
    similarity_keys = _similarity_keys([input_text(example) for example in all_examples])
    for index, (similarity_key, example) in enumerate(zip(similarity_keys, all_examples, strict=True)):
        group_keys: list[Hashable] = [("alike", similarity_key)]
        if example.get("group"):
            group_keys.append(("group", example["group"]))
        for group_key in group_keys:
            earlier_index = first_index.setdefault(group_key, index)
            root, other_root = sorted((find_root(earlier_index), find_root(index)))
            parents[other_root] = root
    return [find_root(index) for index in range(len(all_examples))]


def _similarity_keys(texts: Sequence[str]) -> list[Hashable]:
    """A key for each text, shared by similar ones: the id of its group, or the text if that is too large."""
    group_ids = near_duplicates.group_texts(texts)
    sizes = Counter(group_ids)
    max_size = MAX_GROUP_SHARE * len(texts)
    return [
        text if sizes[group_id] > max_size else group_id
        for group_id, text in zip(group_ids, texts, strict=True)
    ]


def split_examples(
    all_examples: Sequence[Example], data: Data, seed: int, group_ids: Sequence[int]
) -> Splits:
    """Split examples in the shares that a plan names; the same seed makes the same split.

    Each class contributes its share, and the last group of a class is always for training. A text with
    several labels counts for its rarest one; numbers are split as they come.

    Args:
        all_examples: The examples.
        data: The part of the plan with the shares.
        seed: The seed of the shuffle.
        group_ids: The group of each example, see `duplicate_groups`; a group stays in one split.
    """
    rng = random.Random(seed)  # noqa: S311 - a repeatable shuffle, no secret
    splits = Splits([], [], [])
    shares = ((splits.test, test_share(data, len(all_examples))), (splits.validation, data.validation_share))
    group_texts = _group_texts(all_examples, group_ids)
    for groups in _groups_by_class(all_examples, group_ids):
        # By their texts, so that the order of the rows changes nothing.
        shuffled_ids = sorted(groups, key=lambda group_id: group_texts[group_id])
        rng.shuffle(shuffled_ids)
        class_size = sum(len(group) for group in groups.values())
        for subset, share in shares:
            n_wanted = round(share * class_size)
            n_taken = 0
            # A class that is only in the test or the validation is never learned.
            while n_taken < n_wanted and len(shuffled_ids) > 1:
                group = groups[shuffled_ids.pop(0)]
                subset.extend(group)
                n_taken += len(group)
        for group_id in shuffled_ids:
            splits.train.extend(groups[group_id])
    if not splits.validation:  # all classes are too small for their share: still validate on something
        splits.validation.append(splits.train.pop())
    rng.shuffle(splits.train)
    return splits


def keep_train_share(splits: Splits, share: float) -> Splits:
    """The splits with a share of the training examples, in their order; validation and test stay as they are.

    A smaller share is part of a larger one. The first example of each class is always kept, so that every
    share knows all of them.
    """
    seen: set[str] = set()
    first_indices: list[int] = []
    other_indices: list[int] = []
    for index, example in enumerate(splits.train):
        names = set(_class_names(example))
        (other_indices if names <= seen else first_indices).append(index)
        seen |= names
    n_kept = max(1, len(first_indices), round(share * len(splits.train)))
    kept_indices = sorted([*first_indices, *other_indices][:n_kept])
    return replace(splits, train=[splits.train[index] for index in kept_indices])


def _group_texts(all_examples: Sequence[Example], group_ids: Sequence[int]) -> dict[int, str]:
    """Group -> the alphabetically first of its texts."""
    group_texts: dict[int, str] = {}
    for group_id, example in zip(group_ids, all_examples, strict=True):
        text = input_text(example)
        group_texts[group_id] = min(group_texts.get(group_id, text), text)
    return group_texts


def _groups_by_class(
    all_examples: Sequence[Example], group_ids: Sequence[int]
) -> list[dict[int, list[Example]]]:
    """For each class, in order of names: group -> examples. A group has the class of its first example."""
    group_labels: dict[int, str] = {}
    groups_by_label: dict[str, dict[int, list[Example]]] = defaultdict(lambda: defaultdict(list))
    counts = Counter(name for example in all_examples for name in _class_names(example))
    for group_id, example in zip(group_ids, all_examples, strict=True):
        rarest = min(_class_names(example), key=lambda name: (counts[name], name), default="")
        label = group_labels.setdefault(group_id, rarest)
        groups_by_label[label][group_id].append(example)
    return [groups_by_label[label] for label in sorted(groups_by_label)]


def _class_names(example: Example) -> list[str]:
    """The labels of a text to classify; none of other examples, and of numbers the same for all."""
    return targets.labels_of(example) if any(role in example for role in PROBLEM_TYPES) else []
