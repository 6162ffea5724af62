"""Rows become examples: taken by role, whatever form their cells have, and encoded as a model reads them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.data import talk
from studio.data.read import Table
from studio.errors import BadData
from studio.plan import BESIDE, GROUP, Task, roles
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
    """The examples of a table and the number of rows left out because a needed cell is empty or cannot be read.

    Whatever form the cells have, an example has the usual roles of its task, or `messages` (JSON) in the place of a prompt and its answer;
    `messages` of a pair end in the question. Raises BadData where a column does not exist, too few examples remain, or a label set makes
    no sense.
    """
    used = roles(task, columns)
    _check_columns(table, columns, used)
    if "verdict" in used:
        return _enough(_pairs(table, columns), table)
    made = [_example({role: row[columns[role]].strip() for role in used}, task) for row in table.rows]
    found, incomplete = _enough(([example for example in made if example], sum(not example for example in made)), table)
    if task == "classify":
        _check_labels(found)
    return found, incomplete


def rows(table: Table, task: Task, columns: Mapping[str, str]) -> list[Example]:
    """The example of every row, empty where its row makes none; of judged answers each question's pair stands at its first row."""
    used = roles(task, columns)
    _check_columns(table, columns, used)
    if "verdict" not in used:
        return [_example({role: row[columns[role]].strip() for role in used}, task) for row in table.rows]
    pairs = {pair["prompt"]: pair for pair in reversed(_pairs(table, columns)[0])}
    return [pairs.pop(row[columns["prompt"]].strip(), {}) for row in table.rows]


def _check_columns(table: Table, columns: Mapping[str, str], used: Sequence[str]) -> None:
    missing = [columns.get(role, role) for role in used if columns.get(role, "") not in table.columns]
    if missing:
        raise BadData(
            Words("“{name}” has no column {missing}; it has {columns}.", "“{name}”里没有{missing}这一列，现有的列是：{columns}。"),
            Words("Choose the columns again; one that is not there must be added to the file.", "请重新选择列；文件里没有的列需要先加上。"),
            name=table.name,
            missing=[f"“{column}”" for column in missing],
            columns=table.columns,
        )
    if len({columns[role] for role in used}) < len(used):
        raise BadData(
            Words("The column “{column}” was chosen twice.", "列“{column}”被选了两次。"),
            Words("Choose a different column for each part.", "每种用途请选不同的列。"),
            column=next(columns[role] for role in used if [columns[one] for one in used].count(columns[role]) > 1),
        )


def _enough(found: tuple[list[Example], int], table: Table) -> tuple[list[Example], int]:
    if len(found[0]) < LEAST_EXAMPLES:
        raise BadData(
            Words("“{name}” has {count} complete {count:example|examples}.", "“{name}”只有 {count} 个完整的样本。"),
            Words(
                "At least {least} are needed to train on some and check on others; 100 or more are better.",
                "至少要有 {least} 个，才能一部分用来训练、一部分留作验证集；最好有 100 个以上。",
            ),
            name=table.name,
            count=len(found[0]),
            least=LEAST_EXAMPLES,
        )
    return found


def _example(cells: Example, task: Task) -> Example:
    """An example from the cells of one row by role; empty where something is missing."""
    group = {GROUP: cells.pop(GROUP)} if GROUP in cells else {}
    found = _spoken(cells) if "messages" in cells else _pair(cells) if task == "prefer" else _plain(cells, task)
    return {**found, **group} if found else {}


def _spoken(cells: Example) -> Example:
    whole = talk.up_to_answer(talk.turns(cells["messages"]))
    return {"messages": talk.packed(whole)} if whole and whole[-1]["content"].strip() else {}


def _plain(cells: Example, task: Task) -> Example:
    """An example whose cells are texts; what belongs to the question is put after it, what the model is told first before it."""
    beside = {role: cells.pop(role) for role in ("context", "system") if role in cells}
    if not all(text for role, text in cells.items() if role not in BESIDE.get(task, ())):
        return {}
    if beside.get("context"):
        cells["prompt"] += f"\n\n{beside['context']}"
    if beside.get("system"):
        system = {"role": "system", "content": beside["system"]}
        return {"messages": talk.packed([system, *conversation(cells)])}
    return cells


def _pair(cells: Example) -> Example:
    """A pair of answers to one question, which may stand in a column of its own or at the beginning of both conversations."""
    (before, chosen), (also, rejected) = talk.answer(cells["chosen"]), talk.answer(cells["rejected"])
    asked = talk.asked(cells["prompt"]) if "prompt" in cells else before if before == also else []
    if not (asked and chosen and rejected):
        return {}
    if cells.get("context"):
        asked[-1] = {**asked[-1], "content": f"{asked[-1]['content']}\n\n{cells['context']}"}
    alone = len(asked) == 1 and asked[0]["role"] == "user"
    question = {"prompt": asked[0]["content"]} if alone else {"messages": talk.packed(asked)}
    return {**question, "chosen": chosen, "rejected": rejected}


def _pairs(table: Table, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """Pairs out of single answers that were found good or bad: to each question its good answers beside its bad ones, as far as both reach.

    Raises BadData where no question has both.
    """
    asked: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    unread, stars = 0, talk.counts_stars([row[columns["verdict"]] for row in table.rows])
    for row in table.rows:
        question, said, good = (
            row[columns["prompt"]].strip(),
            talk.answer(row[columns["completion"]])[1],
            talk.verdict(row[columns["verdict"]], stars),
        )
        if question and said and good is not None:
            asked[question][0 if good else 1].append(said)
        else:
            unread += 1
    found = [
        {"prompt": question, "chosen": chosen, "rejected": rejected}
        for question, (good, bad) in asked.items()
        for chosen, rejected in zip(good, bad, strict=False)
    ]
    if not found:
        raise BadData(
            Words(
                "“{name}” judges single answers ({good} good, {bad} bad), but no question has a good answer and a bad one.",
                "“{name}”里是对单个回答的评价（{good} 个好评，{bad} 个差评），但没有一个问题同时有好坏两种回答。",
            ),
            Words(
                "Pairs are needed: bring a good and a bad answer to the same question, or learn the good answers alone (chat).",
                "需要成对的回答：请为同一个问题提供一好一坏两个回答，或改选“照我的样本那样回答”，只学好评的回答。",
            ),
            name=table.name,
            good=sum(len(good) for good, _ in asked.values()),
            bad=sum(len(bad) for _, bad in asked.values()),
        )
    return found, unread + sum(len(good) + len(bad) for good, bad in asked.values()) - 2 * len(found)


def labels_of(found: Iterable[Example]) -> list[str]:
    """The classes, in alphabetical order: a class's number is its place here."""
    return sorted({example["label"] for example in found})


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
            Words("Allow longer texts (max_length), or shorten the prompts.", "请提高长度上限（max_length），或缩短问题。"),
            length=max_length,
        )
    return fitting


def conversation(example: Example) -> list[dict[str, str]]:
    """An example as messages up to its last answer, of a pair the better one; empty where a list of messages holds no answer."""
    if "messages" not in example:
        return [*question(example), {"role": "assistant", "content": example.get("response") or example.get("chosen", "")}]
    found = talk.turns(example["messages"])
    if "chosen" in example:
        return [*found, {"role": "assistant", "content": example["chosen"]}]
    return talk.up_to_answer(found)


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
                "每个类别至少要有两个样本：请换一个标签列，或改选“照我的样本那样回答”。",
            ),
            labels=len(labels),
            rows=len(found),
        )
