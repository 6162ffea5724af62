"""Rows become examples: taken by role, whatever form their cells have, and encoded as a model reads them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import GROUP_ROLE, OPTIONAL_ROLES, Task, active_roles

# Below this no part can be kept aside to check on; far more are wanted for a good result.
MIN_EXAMPLES = 8
IGNORE_INDEX = -100  # the label of a token that is read but not learned, as torch's cross-entropy has it

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


def build_examples(table: Table, task: Task, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """The examples of a table and the number of rows left out because a needed cell is empty or cannot be read.

    Whatever form the cells have, an example has the usual roles of its task, or `messages` (JSON) in the place of a prompt and its answer;
    `messages` of a pair end in the question. Raises BadData where a column does not exist, too few examples remain, or a label set makes
    no sense.
    """
    used = active_roles(task, columns)
    _check_columns(table, columns, used)
    if "verdict" in used:
        return _require_enough(_pair_rated_answers(table, columns), table)
    row_examples = [
        _build_example({role: row[columns[role]].strip() for role in used}, task) for row in table.rows
    ]
    usable, incomplete = _require_enough(
        ([example for example in row_examples if example], sum(not example for example in row_examples)),
        table,
    )
    if task == "classify":
        _check_labels(usable)
    return usable, incomplete


def build_row_examples(table: Table, task: Task, columns: Mapping[str, str]) -> list[Example]:
    """The example of every row, empty where its row makes none; of judged answers each question's pair stands at its first row."""
    used = active_roles(task, columns)
    _check_columns(table, columns, used)
    if "verdict" not in used:
        return [
            _build_example({role: row[columns[role]].strip() for role in used}, task) for row in table.rows
        ]
    pairs = {pair["prompt"]: pair for pair in reversed(_pair_rated_answers(table, columns)[0])}
    return [pairs.pop(row[columns["prompt"]].strip(), {}) for row in table.rows]


def _check_columns(table: Table, columns: Mapping[str, str], used: Sequence[str]) -> None:
    missing = [columns.get(role, role) for role in used if columns.get(role, "") not in table.columns]
    if missing:
        raise BadData(
            Message("“{name}” has no column {missing}; it has {columns}."),
            Message("Choose the columns again; one that is not there must be added to the file."),
            name=table.name,
            missing=[f"“{column}”" for column in missing],
            columns=table.columns,
        )
    if len({columns[role] for role in used}) < len(used):
        raise BadData(
            Message("The column “{column}” was chosen twice."),
            Message("Choose a different column for each part."),
            column=next(
                columns[role]
                for role in used
                if [columns[other_role] for other_role in used].count(columns[role]) > 1
            ),
        )


def _require_enough(built: tuple[list[Example], int], table: Table) -> tuple[list[Example], int]:
    if len(built[0]) < MIN_EXAMPLES:
        raise BadData(
            Message("“{name}” has {count} complete {count:example|examples}."),
            Message(
                "At least {least} are needed to train on some and check on others; 100 or more are better."
            ),
            name=table.name,
            count=len(built[0]),
            least=MIN_EXAMPLES,
        )
    return built


def _build_example(cells: Example, task: Task) -> Example:
    """An example from the cells of one row by role; empty where something is missing."""
    group = {GROUP_ROLE: cells.pop(GROUP_ROLE)} if GROUP_ROLE in cells else {}
    example = (
        _build_conversation(cells)
        if "messages" in cells
        else _build_pair(cells)
        if task == "prefer"
        else _build_text_example(cells, task)
    )
    return {**example, **group} if example else {}


def _build_conversation(cells: Example) -> Example:
    messages = chat_format.trim_to_answer(chat_format.parse_messages(cells["messages"]))
    return (
        {"messages": chat_format.dump_messages(messages)}
        if messages and messages[-1]["content"].strip()
        else {}
    )


def _build_text_example(cells: Example, task: Task) -> Example:
    """An example whose cells are texts; what belongs to the question is put after it, what the model is told first before it."""
    optional_cells = {role: cells.pop(role) for role in ("context", "system") if role in cells}
    if not all(text for role, text in cells.items() if role not in OPTIONAL_ROLES.get(task, ())):
        return {}
    if optional_cells.get("context"):
        cells["prompt"] += f"\n\n{optional_cells['context']}"
    if optional_cells.get("system"):
        system = {"role": "system", "content": optional_cells["system"]}
        return {"messages": chat_format.dump_messages([system, *to_messages(cells)])}
    return cells


def _build_pair(cells: Example) -> Example:
    """A pair of answers to one question, which may stand in a column of its own or at the beginning of both conversations."""
    (chosen_history, chosen), (rejected_history, rejected) = (
        chat_format.split_answer(cells["chosen"]),
        chat_format.split_answer(cells["rejected"]),
    )
    prompt_turns = (
        chat_format.parse_prompt(cells["prompt"])
        if "prompt" in cells
        else chosen_history
        if chosen_history == rejected_history
        else []
    )
    if not (prompt_turns and chosen and rejected):
        return {}
    if cells.get("context"):
        prompt_turns[-1] = {
            **prompt_turns[-1],
            "content": f"{prompt_turns[-1]['content']}\n\n{cells['context']}",
        }
    is_single_prompt = len(prompt_turns) == 1 and prompt_turns[0]["role"] == "user"
    prompt_fields = (
        {"prompt": prompt_turns[0]["content"]}
        if is_single_prompt
        else {"messages": chat_format.dump_messages(prompt_turns)}
    )
    return {**prompt_fields, "chosen": chosen, "rejected": rejected}


def _pair_rated_answers(table: Table, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """Pairs out of single answers that were found good or bad: to each question its good answers beside its bad ones, as far as both reach.

    Raises BadData where no question has both.
    """
    answers_by_prompt: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    n_unread, uses_stars = 0, chat_format.is_star_rating([row[columns["verdict"]] for row in table.rows])
    for row in table.rows:
        prompt, completion, good = (
            row[columns["prompt"]].strip(),
            chat_format.split_answer(row[columns["completion"]])[1],
            chat_format.parse_label(row[columns["verdict"]], uses_stars),
        )
        if prompt and completion and good is not None:
            answers_by_prompt[prompt][0 if good else 1].append(completion)
        else:
            n_unread += 1
    pairs = [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        for prompt, (good, bad) in answers_by_prompt.items()
        for chosen, rejected in zip(good, bad, strict=False)
    ]
    if not pairs:
        raise BadData(
            Message(
                "“{name}” judges single answers ({good} good, {bad} bad), but no question has a good answer and a bad one."
            ),
            Message(
                "Pairs are needed: bring a good and a bad answer to the same question, or learn the good answers alone (chat)."
            ),
            name=table.name,
            good=sum(len(good) for good, _ in answers_by_prompt.values()),
            bad=sum(len(bad) for _, bad in answers_by_prompt.values()),
        )
    return pairs, n_unread + sum(len(good) + len(bad) for good, bad in answers_by_prompt.values()) - 2 * len(
        pairs
    )


def collect_labels(examples: Iterable[Example]) -> list[str]:
    """The classes, in alphabetical order: a class's number is its place here."""
    return sorted({example["label"] for example in examples})


def encode_chat(messages: Sequence[Mapping[str, str]], tokenizer: Any, max_length: int) -> Encoded | None:
    """A conversation as the model's own chat template writes it; only the answers and their ends are learned.

    An earlier answer is only read where the template would write it differently as the last one. Returns None where nothing
    of an answer is left to learn within `max_length` tokens.
    """
    prompt_ids = apply_chat_template(tokenizer, messages[:-1], add_generation_prompt=True)
    full_ids = apply_chat_template(tokenizer, messages, add_generation_prompt=False)
    if (
        full_ids[: len(prompt_ids)] != prompt_ids
    ):  # a template that writes an answer differently once it is complete
        full_ids = prompt_ids + list(
            tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"]
        )
    eos_id = tokenizer.eos_token_id
    answer_ids = full_ids[len(prompt_ids) :]
    answer_ids = (
        answer_ids[: len(answer_ids) - answer_ids[::-1].index(eos_id)]
        if eos_id in answer_ids
        else [*answer_ids, eos_id]
    )
    input_ids, labels = prompt_ids + answer_ids, [IGNORE_INDEX] * len(prompt_ids) + answer_ids
    for index, message in enumerate(messages[:-1]):
        history_ids = (
            apply_chat_template(tokenizer, messages[:index], add_generation_prompt=True)
            if message["role"] == "assistant"
            else []
        )
        if (
            history_ids
            and prompt_ids[: len(history_ids)] == history_ids
            and eos_id in prompt_ids[len(history_ids) :]
        ):
            answer_span = slice(len(history_ids), prompt_ids.index(eos_id, len(history_ids)) + 1)
            labels[answer_span] = input_ids[answer_span]
    if all(label == IGNORE_INDEX for label in labels[:max_length]):
        return None
    return Encoded(input_ids[:max_length], labels[:max_length], cut=len(input_ids) > max_length)


def apply_chat_template(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool
) -> list[int]:
    """Token ids of a conversation under the tokenizer's own chat template, ready for an answer where one follows."""
    encoded = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


def encode_text(text: str, label: int, tokenizer: Any, max_length: int) -> Encoded:
    """A text to sort and the number of its class, with the special tokens its model expects, cut at `max_length` tokens."""
    ids = list(tokenizer(text)["input_ids"])
    if len(ids) <= max_length:
        return Encoded(ids, [label])
    return Encoded(
        list(tokenizer(text, truncation=True, max_length=max_length)["input_ids"]), [label], cut=True
    )


def encode_chunks(text: str, tokenizer: Any, max_length: int) -> list[Encoded]:
    """A plain text, learned word by word up to its end; a longer one becomes several pieces of `max_length` tokens, so that all of it counts."""
    ids = list(tokenizer(text)["input_ids"])
    ids += [tokenizer.eos_token_id] if ids[-1:] != [tokenizer.eos_token_id] else []
    chunks = [ids[start : start + max_length] for start in range(0, len(ids), max_length)]
    return [Encoded(chunk, list(chunk)) for chunk in chunks if len(chunk) > 1]


def encode_examples(
    examples: Sequence[Example], task: Task, tokenizer: Any, max_length: int, labels: Sequence[str]
) -> list[Encoded]:
    """Examples as a method trains on them; one whose prompt leaves no room for its answer is left out.

    Of `prefer` the chosen answer is learned; of `prompts` nothing is, until a method has sampled answers. Raises BadData where no
    example is left.
    """
    if task == "classify":
        return [
            encode_text(example["text"], labels.index(example["label"]), tokenizer, max_length)
            for example in examples
        ]
    if task == "complete":
        return [
            chunk for example in examples for chunk in encode_chunks(example["text"], tokenizer, max_length)
        ]
    if task == "prompts":
        prompts = [
            apply_chat_template(tokenizer, to_prompt_messages(example), add_generation_prompt=True)
            for example in examples
        ]
        encoded_prompts = [
            Encoded(ids, [IGNORE_INDEX] * len(ids)) for ids in prompts if len(ids) < max_length
        ]
        if not encoded_prompts:
            raise BadData(
                Message(
                    "No question leaves room for an answer within {length} tokens; the shortest has {least}."
                ),
                Message("Allow longer texts (max_length), or shorten the questions."),
                length=max_length,
                least=min(map(len, prompts)),
            )
        return encoded_prompts
    encoded = [encode_chat(to_messages(example), tokenizer, max_length) for example in examples]
    fitting = [item for item in encoded if item]
    if not fitting:
        raise BadData(
            Message("No example leaves room for its answer within {length} tokens."),
            Message("Allow longer texts (max_length), or shorten the prompts."),
            length=max_length,
        )
    return fitting


def to_messages(example: Example) -> list[dict[str, str]]:
    """An example as messages up to its last answer, of a pair the better one; empty where a list of messages holds no answer."""
    if "messages" not in example:
        return [
            *to_prompt_messages(example),
            {"role": "assistant", "content": example.get("response") or example.get("chosen", "")},
        ]
    messages = chat_format.parse_messages(example["messages"])
    if "chosen" in example:
        return [*messages, {"role": "assistant", "content": example["chosen"]}]
    return chat_format.trim_to_answer(messages)


def to_prompt_messages(example: Example) -> list[dict[str, str]]:
    """What the model is asked, as messages: the prompt, or a conversation without its last answer."""
    return (
        to_messages(example)[:-1]
        if "messages" in example
        else [{"role": "user", "content": example["prompt"]}]
    )


def _check_labels(examples: Sequence[Example]) -> None:
    labels = collect_labels(examples)
    if len(labels) < 2:
        raise BadData(
            Message("Every row has the same label, “{label}”."),
            Message("Bring examples of at least two classes, or choose another label column."),
            label=labels[0],
        )
    if len(labels) * 2 > len(examples):
        raise BadData(
            Message("There are {labels} different labels for {rows} rows."),
            Message(
                "A class needs at least two examples: choose another label column, or learn answers instead of classes."
            ),
            labels=len(labels),
            rows=len(examples),
        )
