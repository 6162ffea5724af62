"""Rows become examples: taken by role, split into training and validation, encoded as a model reads them."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.data.read import Table
from studio.errors import BadData
from studio.plan import BESIDE, Task, roles
from studio.words import Words

# Below this no part can be kept aside to check on; far more are wanted for a good result.
LEAST_EXAMPLES = 8
IGNORED = -100  # the label of a token that is read but not learned, as torch's cross-entropy has it

Example = dict[str, str]


@dataclass(frozen=True)
class Encoded:
    """Token ids and, for each, the id to learn there or IGNORED; `cut` says that the example was too long.

    `number` is the example's place among all, where something is kept for each of them; below 0 nothing is.
    """

    input_ids: list[int]
    labels: list[int] = field(default_factory=list)
    cut: bool = False
    number: int = -1


def examples(table: Table, task: Task, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """The examples of a table and the number of rows left out because a needed cell is empty.

    Raises BadData where a column does not exist, too few examples remain, or a label set makes no sense.
    """
    used = roles(task, columns)
    missing = [columns.get(role, role) for role in used if columns.get(role, "") not in table.columns]
    if missing:
        raise BadData(
            Words("“{name}” has no column “{missing}”; it has {columns}.", "“{name}”没有列“{missing}”，现有的列是 {columns}。"),
            Words("Choose the columns again; one that is not there must be added to the file.", "请重新选择列；文件里没有的列需要先加上。"),
            name=table.name,
            missing="”, “".join(missing),
            columns=", ".join(table.columns),
        )
    if len({columns[role] for role in used}) < len(used):
        raise BadData(
            Words("The column “{column}” was chosen twice.", "列“{column}”被选了两次。"),
            Words("Choose a different column for each part.", "请为每个部分选择不同的列。"),
            column=columns[used[0]],
        )
    found = [{role: row[columns[role]].strip() for role in used} for row in table.rows]
    full = [example for example in found if _complete(example, task)]
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


def _complete(example: Example, task: Task) -> bool:
    if "messages" in example:
        return bool(conversation(example))
    return all(text for role, text in example.items() if role not in BESIDE.get(task, ()))


def labels_of(found: Iterable[Example]) -> list[str]:
    """The classes, in alphabetical order: a class's number is its place here."""
    return sorted({example["label"] for example in found})


def split(found: Sequence[Example], task: Task, share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation examples, `share` (0–1) of them for validation.

    Examples with the same input stay on one side, and each class gives its share. The same seed gives the same split.
    """
    key = next(iter(found[0]))
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


def encode_chat(messages: Sequence[Mapping[str, str]], tokenizer: Any, max_length: int) -> Encoded | None:
    """A conversation as the model's own chat template writes it; only the answers and their ends are learned.

    An earlier answer is only read where the template would write it differently as the last one. Returns None where nothing
    of an answer is left to learn within `max_length` tokens.
    """
    prompt = template(tokenizer, messages[:-1], answer_follows=True)
    whole = template(tokenizer, messages, answer_follows=False)
    if whole[: len(prompt)] != prompt:  # a template that writes an answer differently once it is complete
        whole = prompt + list(tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"])
    end = tokenizer.eos_token_id
    answer = whole[len(prompt) :]
    answer = answer[: len(answer) - answer[::-1].index(end)] if end in answer else [*answer, end]
    ids, labels = prompt + answer, [IGNORED] * len(prompt) + answer
    for place, message in enumerate(messages[:-1]):
        before = template(tokenizer, messages[:place], answer_follows=True) if message["role"] == "assistant" else []
        if before and prompt[: len(before)] == before and end in prompt[len(before) :]:
            reach = slice(len(before), prompt.index(end, len(before)) + 1)
            labels[reach] = ids[reach]
    if all(label == IGNORED for label in labels[:max_length]):
        return None
    return Encoded(ids[:max_length], labels[:max_length], cut=len(ids) > max_length)


def template(tokenizer: Any, messages: Sequence[Mapping[str, str]], answer_follows: bool) -> list[int]:
    """Token ids of a conversation under the tokenizer's own chat template, ready for an answer where one follows."""
    found = tokenizer.apply_chat_template(list(messages), add_generation_prompt=answer_follows, tokenize=True, return_dict=True)
    return list(found["input_ids"])


def encode_text(text: str, label: int, tokenizer: Any, max_length: int) -> Encoded:
    """A text to sort and the number of its class, with the special tokens its model expects, cut at `max_length` tokens."""
    ids = list(tokenizer(text)["input_ids"])
    if len(ids) <= max_length:
        return Encoded(ids, [label])
    return Encoded(list(tokenizer(text, truncation=True, max_length=max_length)["input_ids"]), [label], cut=True)


def encode_pieces(text: str, tokenizer: Any, max_length: int) -> list[Encoded]:
    """A plain text, learned word by word up to its end; a longer one becomes several pieces of `max_length` tokens, so that all of it counts."""
    ids = list(tokenizer(text)["input_ids"])
    ids += [tokenizer.eos_token_id] if ids[-1:] != [tokenizer.eos_token_id] else []
    pieces = [ids[start : start + max_length] for start in range(0, len(ids), max_length)]
    return [Encoded(piece, list(piece)) for piece in pieces if len(piece) > 1]


def encode(found: Sequence[Example], task: Task, tokenizer: Any, max_length: int, labels: Sequence[str]) -> list[Encoded]:
    """Examples as a method trains on them; one whose prompt leaves no room for its answer is left out.

    Of `prefer` the chosen answer is learned; of `prompts` nothing is, until a method has sampled answers. Raises BadData where no
    example is left.
    """
    if task == "classify":
        return [encode_text(example["text"], labels.index(example["label"]), tokenizer, max_length) for example in found]
    if task == "complete":
        return [piece for example in found for piece in encode_pieces(example["text"], tokenizer, max_length)]
    if task == "prompts":
        asked = [template(tokenizer, question(example), answer_follows=True) for example in found]
        short = [Encoded(ids, [IGNORED] * len(ids)) for ids in asked if len(ids) < max_length]
        if not short:
            raise BadData(
                Words(
                    "No question leaves room for an answer within {length} tokens; the shortest has {least}.",
                    "在 {length} 个 token 内，没有一个问题能给回答留出空间；最短的有 {least} 个。",
                ),
                Words("Allow longer texts (max_length), or shorten the questions.", "请提高长度上限（max_length），或缩短问题。"),
                length=max_length,
                least=min(map(len, asked)),
            )
        return short
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
    """An example as messages up to its last answer; empty where a list of messages cannot be read or holds no answer."""
    if "messages" not in example:
        answer = example.get("response") or example.get("chosen", "")
        return [*question(example), {"role": "assistant", "content": answer}]
    try:
        raw = json.loads(example["messages"])
        found = [{"role": str(item["role"]), "content": str(item["content"] or "")} for item in raw]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    while found and found[-1]["role"] != "assistant":
        found.pop()
    asked = any(message["role"] == "user" for message in found)
    return found if asked and all(message["role"] in ("system", "user", "assistant") for message in found) else []


def question(example: Example) -> list[dict[str, str]]:
    """What the model is asked, as messages: the prompt, or a conversation without its last answer."""
    return conversation(example)[:-1] if "messages" in example else [{"role": "user", "content": example["prompt"]}]


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
