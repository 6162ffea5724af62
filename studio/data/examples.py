"""Rows of a table become examples by the roles of their columns, and examples become token ids."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any
from weakref import WeakKeyDictionary

from studio.data import targets
from studio.data.readers.read import Table
from studio.data.text import chat_format
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import GROUP_ROLE, OPTIONAL_ROLES, Task, active_roles, target_role

# With fewer, no part can be set aside for validation; far more are wanted for a good result.
MIN_EXAMPLES = 8
# The label of a token that is read but not learned, the default `ignore_index` of torch's cross-entropy.
IGNORE_INDEX = -100
# A turn whose end shows what a chat template writes after an answer.
PROBE_QUESTION, PROBE_ANSWER = "question", "answer"
# The fields of `Encoded` as earlier versions wrote them to a run's folder.
_EARLIER_FIELDS = {"cut": "truncated", "number": "row_index"}
# For each tokenizer the end of a turn, with the template and the end of a text that it was found for.
_END_OF_TURN_IDS: WeakKeyDictionary[Any, tuple[tuple[Any, int], int]] = WeakKeyDictionary()
MISSING_COLUMN = Message("“{name}” has no column {missing}; it has {columns}.")
COLUMN_CHOSEN_TWICE = Message("The column “{column}” was chosen twice.")
TOO_FEW_EXAMPLES = Message("“{name}” has {count} complete {count:example|examples}.")
NO_SPACE_FOR_ANSWER = Message("No example leaves room for its answer within {length} tokens.")
NO_SPACE_AFTER_QUESTION = Message(
    "No question leaves room for an answer within {length} tokens; the shortest has {least}."
)
ONLY_ONE_LABEL = Message("Every row has the same label, “{label}”.")
ONE_RATING_ONLY = Message("Every row has the same number, {rating}.")
TOO_MANY_LABELS = Message("There are {labels} different labels for {rows} rows.")

Example = dict[str, str]


@dataclass(frozen=True)
class Encoded:
    """An example as a model reads it.

    Attributes:
        input_ids: The token ids.
        labels: For each token the id to learn there or IGNORE_INDEX. Of a text to classify, its class alone;
            of one with several labels, 1 or 0 for each label; of one with a number, that number.
        truncated: Whether the example was too long.
        row_index: The index of the example among all of a run, where something is stored for each of them;
            else -1.
    """

    input_ids: list[int]
    labels: list[int] | list[float] = field(default_factory=list)
    truncated: bool = False
    row_index: int = -1

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Encoded":
        """An encoded example from its fields in a run's folder, which an earlier version may have written."""
        return cls(**{_EARLIER_FIELDS.get(name, name): value for name, value in fields.items()})


def build_examples(table: Table, task: Task, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """Build the examples of a table.

    Whatever form the cells have, an example has the usual roles of its task, or `messages` (JSON) in the
    place of a prompt and its answer; the `messages` of a pair end in the question.

    Args:
        table: The rows.
        task: What a model is to learn from them.
        columns: Role -> column.

    Returns:
        The examples, and the number of rows left out because a needed cell is empty or cannot be read.

    Raises:
        BadData: A column does not exist, too few examples remain, or the labels make no sense.
    """
    roles = active_roles(task, columns)
    _check_columns(table, columns, roles)
    if "verdict" in roles:
        pairs, n_unused = _pair_rated_answers(table, columns)
        _require_enough(len(pairs), table)
        return pairs, n_unused
    row_examples = _build_row_examples(table, task, columns, roles)
    complete = [example for example in row_examples if example]
    _require_enough(len(complete), table)
    if "rating" in roles:
        _check_ratings(complete)
    elif task == "classify":
        _check_labels(complete)
    return complete, len(row_examples) - len(complete)


def build_row_examples(table: Table, task: Task, columns: Mapping[str, str]) -> list[Example]:
    """Build the example of every row, empty where a row makes none.

    Of rated answers, the first pair of each question is at the first row of the question. Arguments and
    errors are those of `build_examples`, but a table may have few examples.
    """
    roles = active_roles(task, columns)
    _check_columns(table, columns, roles)
    if "verdict" not in roles:
        return _build_row_examples(table, task, columns, roles)
    pairs, _ = _pair_rated_answers(table, columns)
    first_pairs = {_prompt_cell(pair): pair for pair in reversed(pairs)}
    questions = [chat_format.parse_prompt(row[columns["prompt"]]) for row in table.rows]
    prompts = [_prompt_cell(_prompt_fields(messages)) if messages else "" for messages in questions]
    return [first_pairs.pop(prompt, {}) for prompt in prompts]


def _build_row_examples(
    table: Table, task: Task, columns: Mapping[str, str], roles: Sequence[str]
) -> list[Example]:
    rows = [{role: row[columns[role]].strip() for role in roles} for row in table.rows]
    if "labels" in roles:
        separator = targets.find_separator([cells["labels"] for cells in rows])
        rows = [{**cells, "labels": targets.dump_labels(cells["labels"], separator)} for cells in rows]
    if "rating" in roles:
        rows = [{**cells, "rating": targets.dump_rating(cells["rating"])} for cells in rows]
    return [_build_example(cells, task) for cells in rows]


def _check_columns(table: Table, columns: Mapping[str, str], roles: Sequence[str]) -> None:
    missing = [columns.get(role, role) for role in roles if columns.get(role, "") not in table.columns]
    if missing:
        raise BadData(
            MISSING_COLUMN,
            Message("Choose the columns again; one that is not there must be added to the file."),
            name=table.name,
            missing=[f"“{column}”" for column in missing],
            columns=table.columns,
        )
    role_columns = [columns[role] for role in roles]
    repeated = [column for column in role_columns if role_columns.count(column) > 1]
    if repeated:
        raise BadData(
            COLUMN_CHOSEN_TWICE,
            Message("Choose a different column for each part."),
            column=repeated[0],
        )


def _require_enough(n_examples: int, table: Table) -> None:
    if n_examples < MIN_EXAMPLES:
        raise BadData(
            TOO_FEW_EXAMPLES,
            Message(
                "At least {least} are needed to train on some and check on others; 100 or more are better."
            ),
            name=table.name,
            count=n_examples,
            least=MIN_EXAMPLES,
        )


def _build_example(cells: Mapping[str, str], task: Task) -> Example:
    """An example from the cells of one row by role; empty where something is missing."""
    content = {role: cell for role, cell in cells.items() if role != GROUP_ROLE}
    if "messages" in content:
        example = _build_conversation(content)
    elif task == "prefer":
        example = _build_pair(content)
    else:
        example = _build_text_example(content, task)
    if example and GROUP_ROLE in cells:
        example[GROUP_ROLE] = cells[GROUP_ROLE]
    return example


def _build_conversation(cells: Mapping[str, str]) -> Example:
    messages = chat_format.trim_to_answer(chat_format.parse_messages(cells["messages"]))
    if not messages or not messages[-1]["content"].strip():
        return {}
    return {"messages": chat_format.dump_messages(messages)}


def _build_text_example(cells: Mapping[str, str], task: Task) -> Example:
    """An example whose cells are texts; a context is put after the prompt, a system prompt before it."""
    example = {role: cell for role, cell in cells.items() if role not in ("context", "system")}
    required_cells = [cell for role, cell in example.items() if role not in OPTIONAL_ROLES.get(task, ())]
    if not all(required_cells):
        return {}
    if cells.get("context"):
        example["prompt"] += f"\n\n{cells['context']}"
    if cells.get("system"):
        system_message = {"role": "system", "content": cells["system"]}
        return {"messages": chat_format.dump_messages([system_message, *to_messages(example)])}
    return example


def _build_pair(cells: Mapping[str, str]) -> Example:
    """A pair of answers to one question, which has its own column or is at the beginning of both answers."""
    chosen_history, chosen = chat_format.split_answer(cells["chosen"])
    rejected_history, rejected = chat_format.split_answer(cells["rejected"])
    if "prompt" in cells:
        prompt_messages = chat_format.parse_prompt(cells["prompt"])
    elif chosen_history == rejected_history:
        prompt_messages = chosen_history
    else:
        prompt_messages = []
    if not prompt_messages or not chosen or not rejected:
        return {}
    if cells.get("context"):
        *history, last = prompt_messages
        prompt_messages = [*history, {**last, "content": f"{last['content']}\n\n{cells['context']}"}]
    return {**_prompt_fields(prompt_messages), "chosen": chosen, "rejected": rejected}


def _prompt_fields(messages: list[dict[str, str]]) -> Example:
    """The prompt of a pair: a single question as a text, anything else as messages."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return {"prompt": messages[0]["content"]}
    return {"messages": chat_format.dump_messages(messages)}


def _prompt_cell(pair: Example) -> str:
    """The prompt of a pair as one text, by which its rows are known."""
    return pair.get("prompt") or pair["messages"]


def _pair_rated_answers(table: Table, columns: Mapping[str, str]) -> tuple[list[Example], int]:
    """Pair the good answers to each question with its bad ones, in turn; what is left over stays single.

    Returns:
        The pairs, then the single answers, whose other answer is empty; and the number of rows that cannot
        be read.
    """
    answers_by_prompt: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    uses_stars = chat_format.is_star_rating([row[columns["verdict"]] for row in table.rows])
    n_readable = 0
    for row in table.rows:
        messages = chat_format.parse_prompt(row[columns["prompt"]])
        prompt = _prompt_cell(_prompt_fields(messages)) if messages else ""
        _, completion = chat_format.split_answer(row[columns["completion"]])
        is_good = chat_format.parse_label(row[columns["verdict"]], uses_stars)
        if prompt and completion and is_good is not None:
            good_answers, bad_answers = answers_by_prompt[prompt]
            (good_answers if is_good else bad_answers).append(completion)
            n_readable += 1
    judged = [
        {**_prompt_fields(chat_format.parse_prompt(prompt)), "chosen": chosen, "rejected": rejected}
        for prompt, (good_answers, bad_answers) in answers_by_prompt.items()
        for chosen, rejected in zip_longest(good_answers, bad_answers, fillvalue="")
    ]
    return sorted(judged, key=is_whole_pair, reverse=True), len(table.rows) - n_readable


def is_whole_pair(example: Example) -> bool:
    """Whether an example has both a better and a worse answer; of rated answers some have but one."""
    return bool(example["chosen"] and example["rejected"])


def collect_labels(examples: Iterable[Example]) -> list[str]:
    """The labels in alphabetical order; the id of a label is its index here. Numbers have one output."""
    return sorted({name for example in examples for name in targets.labels_of(example)})


def encode_chat(
    messages: Sequence[Mapping[str, str]], tokenizer: Any, max_length: int, mask_history: bool = False
) -> Encoded | None:
    """Encode a conversation with the model's own chat template.

    Only the answers and their end tokens are learned, without those whose weight is 0. An earlier answer is
    read but not learned where the template would write it differently if it were the last one.

    Args:
        messages: The conversation, up to its last answer.
        tokenizer: The model's tokenizer with its chat template.
        max_length: The number of tokens to keep.
        mask_history: Whether the last answer alone is learned.

    Returns:
        The encoded example; None where no token of an answer is within `max_length`.
    """
    prompt_ids = apply_chat_template(tokenizer, messages[:-1], add_generation_prompt=True)
    answer_ids = encode_last_answer(messages, prompt_ids, tokenizer)
    input_ids = prompt_ids + answer_ids
    labels = [IGNORE_INDEX] * len(prompt_ids) + answer_ids
    spans = () if mask_history else _earlier_answer_spans(messages, prompt_ids, tokenizer)
    for start, end in spans:
        labels[start:end] = input_ids[start:end]
    if all(label == IGNORE_INDEX for label in labels[:max_length]):
        return None
    return Encoded(input_ids[:max_length], labels[:max_length], truncated=len(input_ids) > max_length)


def encode_last_answer(
    messages: Sequence[Mapping[str, str]], prompt_ids: list[int], tokenizer: Any
) -> list[int]:
    """The token ids of the last answer up to its end token, which is added where the template writes none."""
    full_ids = apply_chat_template(tokenizer, messages, add_generation_prompt=False)
    answer_ids = full_ids[len(prompt_ids) :]
    if (
        full_ids[: len(prompt_ids)] != prompt_ids
    ):  # the template writes an answer differently once it is complete
        answer_ids = list(tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"])
    end_id = end_of_turn_id(tokenizer)
    if end_id not in answer_ids:
        return [*answer_ids, end_id]
    n_after_end = answer_ids[::-1].index(end_id)
    return answer_ids[: len(answer_ids) - n_after_end]


def _earlier_answer_spans(
    messages: Sequence[Mapping[str, str]], prompt_ids: list[int], tokenizer: Any
) -> Iterable[tuple[int, int]]:
    """The start and the end of each earlier answer in the prompt, its end token included where it has one.

    Some templates write an end token behind the last answer alone.
    """
    end_id = end_of_turn_id(tokenizer)
    for index, message in enumerate(messages[:-1]):
        if message["role"] != "assistant" or "weight" in message:
            continue
        history_ids = apply_chat_template(tokenizer, messages[:index], add_generation_prompt=True)
        start = len(history_ids)
        if not history_ids or prompt_ids[:start] != history_ids:
            continue
        if end_id in prompt_ids[start:]:
            yield start, prompt_ids.index(end_id, start) + 1
            continue
        answered_ids = apply_chat_template(tokenizer, messages[: index + 1], add_generation_prompt=False)
        yield start, start + _common_length(prompt_ids[start:], answered_ids[start:])


def _common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((index for index, pair in pairs if pair[0] != pair[1]), min(len(first), len(second)))


def end_of_turn_id(tokenizer: Any) -> int:
    """The token that ends an answer: the first special one the chat template writes after it.

    Gemma ends a turn with another token than a text. Where a template writes none, it is the end of a text.
    """
    written_by = (tokenizer.chat_template, tokenizer.eos_token_id)
    known_for, end_id = _END_OF_TURN_IDS.get(tokenizer, (None, 0))
    if known_for != written_by:  # finding it takes as long as encoding a short example
        end_id = _find_end_of_turn_id(tokenizer)
        _END_OF_TURN_IDS[tokenizer] = (written_by, end_id)
    return end_id


def _find_end_of_turn_id(tokenizer: Any) -> int:
    turns = [{"role": "user", "content": PROBE_QUESTION}, {"role": "assistant", "content": PROBE_ANSWER}]
    _, _, ending = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(PROBE_ANSWER)
    ending_ids = tokenizer(ending, add_special_tokens=False)["input_ids"]
    added_tokens = tokenizer.added_tokens_decoder
    special_ids = [
        token_id for token_id in ending_ids if getattr(added_tokens.get(token_id), "special", False)
    ]
    return int((*special_ids, tokenizer.eos_token_id)[0])


def apply_chat_template(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool
) -> list[int]:
    """The token ids of a conversation in the tokenizer's chat template, or of a prompt for an answer."""
    encoded = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=add_generation_prompt, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


def encode_text(text: str, labels: list[int] | list[float], tokenizer: Any, max_length: int) -> Encoded:
    """Encode a text to classify with its model's special tokens, truncated to `max_length` tokens."""
    ids = list(tokenizer(text)["input_ids"])
    if len(ids) <= max_length:
        return Encoded(ids, labels)
    truncated_ids = list(tokenizer(text, truncation=True, max_length=max_length)["input_ids"])
    return Encoded(truncated_ids, labels, truncated=True)


def _encode_target(example: Example, labels: Sequence[str]) -> list[int] | list[float]:
    """What is learned of a text to classify, see `Encoded.labels`."""
    role = target_role(example)
    if role == "rating":
        return [float(example["rating"])]
    own_labels = targets.labels_of(example)
    if role == "labels":
        return [float(label in own_labels) for label in labels]
    return [labels.index(example["label"])]


def encode_chunks(text: str, tokenizer: Any, max_length: int) -> list[Encoded]:
    """Encode a plain text, every token of which is learned, up to an end token.

    A long text becomes several chunks of `max_length` tokens, so that nothing of it is lost.
    """
    ids = list(tokenizer(text)["input_ids"])
    if ids[-1:] != [tokenizer.eos_token_id]:
        ids.append(tokenizer.eos_token_id)
    chunks = [ids[start : start + max_length] for start in range(0, len(ids), max_length)]
    return [Encoded(chunk, list(chunk)) for chunk in chunks if len(chunk) > 1]


def encode_examples(
    examples: Sequence[Example],
    task: Task,
    tokenizer: Any,
    max_length: int,
    labels: Sequence[str],
    mask_history: bool = False,
) -> list[Encoded]:
    """Encode examples as a method trains on them, see `encode_each`.

    Raises:
        BadData: No example remains.
    """
    encoded = list(chain(*encode_each(examples, task, tokenizer, max_length, labels, mask_history)))
    if encoded or task in ("classify", "complete"):
        return encoded
    if task == "prompts":
        raise BadData(
            NO_SPACE_AFTER_QUESTION,
            Message("Allow longer texts (max_length), or shorten the questions."),
            length=max_length,
            least=min(len(_encode_prompt(example, tokenizer)) for example in examples),
        )
    raise BadData(
        NO_SPACE_FOR_ANSWER,
        Message("Allow longer texts (max_length), or shorten the prompts."),
        length=max_length,
    )


def encode_each(
    examples: Sequence[Example],
    task: Task,
    tokenizer: Any,
    max_length: int,
    labels: Sequence[str],
    mask_history: bool = False,
) -> list[list[Encoded]]:
    """Encode each example: into several where a plain text is long, into none where a prompt is too long.

    Of `prefer` the chosen answer is learned; of `prompts` nothing is, until a method has sampled answers.

    Args:
        examples: The examples.
        task: What a model learns from them.
        tokenizer: The model's tokenizer.
        max_length: The most tokens of an example.
        labels: The classes, see `collect_labels`; of other tasks none.
        mask_history: Whether of a conversation the last answer alone is learned.
    """
    if task == "classify":
        return [
            [encode_text(example["text"], _encode_target(example, labels), tokenizer, max_length)]
            for example in examples
        ]
    if task == "complete":
        return [encode_chunks(example["text"], tokenizer, max_length) for example in examples]
    if task == "prompts":
        prompts = [_encode_prompt(example, tokenizer) for example in examples]
        return [[Encoded(ids, [IGNORE_INDEX] * len(ids))] if len(ids) < max_length else [] for ids in prompts]
    answered = [
        encode_chat(to_messages(example), tokenizer, max_length, mask_history)
        if answer_text(example)
        else None
        for example in examples
    ]
    return [[encoded] if encoded else [] for encoded in answered]


def _encode_prompt(example: Example, tokenizer: Any) -> list[int]:
    return apply_chat_template(tokenizer, to_prompt_messages(example), add_generation_prompt=True)


def to_messages(example: Example) -> list[dict[str, str]]:
    """An example as messages up to its last answer, of a pair the better one; empty without an answer."""
    if "messages" not in example:
        answer = example.get("response") or example.get("chosen", "")
        return [*to_prompt_messages(example), {"role": "assistant", "content": answer}]
    messages = chat_format.parse_messages(example["messages"])
    if "chosen" in example:
        return [*messages, {"role": "assistant", "content": example["chosen"]}]
    return chat_format.trim_to_answer(messages)


def answer_text(example: Example) -> str:
    """The last answer of an example, of a pair the better one; empty where there is none to learn."""
    messages = to_messages(example)
    return messages[-1]["content"] if messages else ""


def to_prompt_messages(example: Example) -> list[dict[str, str]]:
    """The prompt of an example as messages, that is, without the last answer."""
    if "messages" in example:
        return to_messages(example)[:-1]
    return [{"role": "user", "content": example["prompt"]}]


def _check_ratings(examples: Sequence[Example]) -> None:
    if len({example["rating"] for example in examples}) < 2:
        raise BadData(
            ONE_RATING_ONLY,
            Message("Bring examples with different numbers, or choose another column."),
            rating=examples[0]["rating"],
        )


def _check_labels(examples: Sequence[Example]) -> None:
    labels = collect_labels(examples)
    if len(labels) < 2:
        raise BadData(
            ONLY_ONE_LABEL,
            Message("Bring examples of at least two classes, or choose another label column."),
            label="".join(labels),
        )
    if len(labels) * 2 > len(examples):
        raise BadData(
            TOO_MANY_LABELS,
            Message(
                "A class needs at least two examples: choose another label column, or learn answers "
                "instead of classes."
            ),
            labels=len(labels),
            rows=len(examples),
        )
