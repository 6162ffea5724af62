"""Rows become examples: taken by role, split into training and validation, encoded as a model reads them."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.data.read import Table
from studio.errors import BadData
from studio.plan import ROLES, Task
from studio.words import Words

# Below this no part can be kept aside to check on; far more are wanted for a good result.
LEAST_EXAMPLES = 8
IGNORED = -100  # the label of a token that is read but not learned, as torch's cross-entropy has it

Example = dict[str, str]


@dataclass(frozen=True)
class Encoded:
    """Token ids and, for each, the id to learn there or IGNORED; `cut` says that the example was too long."""

    input_ids: list[int]
    labels: list[int] = field(default_factory=list)
    cut: bool = False


def examples(table: Table, task: Task, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """The examples of a table and the number of rows left out because a needed cell is empty.

    Raises BadData where a column does not exist, too few examples remain, or a label set makes no sense.
    """
    roles = ROLES[task]
    missing = [columns.get(role, role) for role in roles if columns.get(role, "") not in table.columns]
    if missing:
        raise BadData(
            Words("“{name}” has no column “{missing}”; it has {columns}.", "“{name}”没有列“{missing}”，现有的列是 {columns}。"),
            Words("Choose the columns again.", "请重新选择列。"),
            name=table.name,
            missing="”, “".join(missing),
            columns=", ".join(table.columns),
        )
    if len({columns[role] for role in roles}) < len(roles):
        raise BadData(
            Words("The column “{column}” was chosen twice.", "列“{column}”被选了两次。"),
            Words("Choose a different column for each part.", "请为每个部分选择不同的列。"),
            column=columns[roles[0]],
        )
    found = [{role: row[columns[role]].strip() for role in roles} for row in table.rows]
    full = [example for example in found if all(example.values())]
    if len(full) < LEAST_EXAMPLES:
        raise BadData(
            Words("“{name}” has {count} complete example(s).", "“{name}”只有 {count} 个完整的样本。"),
            Words(
                "At least {least} are needed to train on some and check on others; 100 or more are better.",
                "至少需要 {least} 个才能一部分训练、一部分检验；最好有 100 个以上。",
            ),
            name=table.name,
            count=len(full),
            least=LEAST_EXAMPLES,
        )
    if task == "classify":
        _check_labels(full)
    return full, len(found) - len(full)


def labels_of(found: Iterable[Example]) -> list[str]:
    """The classes, in alphabetical order: a class's number is its place here."""
    return sorted({example["label"] for example in found})


def split(found: Sequence[Example], task: Task, share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation examples, `share` (0–1) of them for validation.

    Examples with the same input stay on one side, and each class gives its share. The same seed gives the same split.
    """
    key = ROLES[task][0]
    first = {example[key]: example.get("label", "") for example in reversed(found)}  # a text under two labels goes with its first
    classes: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for example in found:
        classes[first[example[key]]][example[key]].append(example)
    chance = random.Random(seed)  # noqa: S311 - a repeatable shuffle, no secret
    train: list[Example] = []
    validation: list[Example] = []
    for groups in (classes[name] for name in sorted(classes)):
        order = sorted(groups)
        chance.shuffle(order)
        wanted = round(share * sum(len(group) for group in groups.values()))
        taken = 0
        for number, text in enumerate(order, 1):  # the last group stays: a class that is only checked on is never learned
            side = validation if taken < wanted and number < len(order) else train
            taken += len(groups[text]) if side is validation else 0
            side.extend(groups[text])
    if not validation:  # every class too small for its share: still check on something
        validation.append(train.pop())
    chance.shuffle(train)
    return train, validation


def encode_chat(messages: Sequence[Mapping[str, str]], tokenizer: Any, max_length: int) -> Encoded | None:  # noqa: ANN401 - any tokenizer
    """A conversation as the model's own chat template writes it; only the last answer and its end are learned.

    Returns None where the prompt alone fills `max_length` tokens, so that nothing of the answer is left to learn.
    """
    prompt = template(tokenizer, messages[:-1], answer_follows=True)
    whole = template(tokenizer, messages, answer_follows=False)
    if whole[: len(prompt)] != prompt:  # a template that writes an answer differently once it is complete
        whole = prompt + list(tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"])
    end = tokenizer.eos_token_id
    answer = whole[len(prompt) :]
    answer = answer[: len(answer) - answer[::-1].index(end)] if end in answer else [*answer, end]
    ids = (prompt + answer)[:max_length]
    if len(ids) <= len(prompt):
        return None
    return Encoded(ids, [IGNORED] * len(prompt) + ids[len(prompt) :], cut=len(prompt) + len(answer) > max_length)


def template(tokenizer: Any, messages: Sequence[Mapping[str, str]], answer_follows: bool) -> list[int]:  # noqa: ANN401 - any tokenizer
    """Token ids of a conversation under the tokenizer's own chat template, ready for an answer where one follows."""
    found = tokenizer.apply_chat_template(list(messages), add_generation_prompt=answer_follows, tokenize=True, return_dict=True)
    return list(found["input_ids"])


def encode_text(text: str, label: int, tokenizer: Any, max_length: int) -> Encoded:  # noqa: ANN401 - any tokenizer
    """A text to sort and the number of its class, with the special tokens its model expects, cut at `max_length` tokens."""
    ids = list(tokenizer(text)["input_ids"])
    if len(ids) <= max_length:
        return Encoded(ids, [label])
    return Encoded(list(tokenizer(text, truncation=True, max_length=max_length)["input_ids"]), [label], cut=True)


def encode(found: Sequence[Example], task: Task, tokenizer: Any, max_length: int, labels: Sequence[str]) -> list[Encoded]:  # noqa: ANN401 - any tokenizer
    """Examples as a method trains on them; one whose prompt leaves no room for its answer is left out.

    Raises BadData where none is left.
    """
    if task == "classify":
        return [encode_text(example["text"], labels.index(example["label"]), tokenizer, max_length) for example in found]
    encoded = [encode_chat(conversation(example), tokenizer, max_length) for example in found]
    fitting = [item for item in encoded if item]
    if not fitting:
        raise BadData(
            Words("No example leaves room for its answer within {length} tokens.", "在 {length} 个 token 内，没有一个样本能放下回答。"),
            Words("Allow longer texts (max_length), or shorten the prompts.", "请提高长度上限（max_length），或缩短提问。"),
            length=max_length,
        )
    return fitting


def conversation(example: Example) -> list[dict[str, str]]:
    """A prompt and its response as messages."""
    return [{"role": "user", "content": example["prompt"]}, {"role": "assistant", "content": example["response"]}]


def _check_labels(found: Sequence[Example]) -> None:
    labels = labels_of(found)
    if len(labels) < 2:
        raise BadData(
            Words("Every row has the same label, “{label}”.", "所有行的标签都是“{label}”。"),
            Words("Bring examples of at least two classes, or choose another label column.", "请提供至少两个类别的样本，或换一个标签列。"),
            label=labels[0],
        )
    if len(labels) * 2 > len(found):
        raise BadData(
            Words("There are {labels} different labels for {rows} rows.", "{rows} 行里有 {labels} 个不同的标签。"),
            Words(
                "A class needs at least two examples: choose another label column, or learn answers instead of classes.",
                "每个类别至少要有两个样本：请换一个标签列，或改为学习回答。",
            ),
            labels=len(labels),
            rows=len(found),
        )
