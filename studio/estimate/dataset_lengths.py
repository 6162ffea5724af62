"""The lengths of a plan's examples: counted with the model's own tokenizer, or estimated from characters."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from studio import presets
from studio.data import examples, replay, split, store
from studio.data.examples import Example
from studio.data.schema import infer_roles as roles
from studio.data.text import json_answers
from studio.data.text.text_length import WIDE_CHARS
from studio.estimate.tracing.client import tracing_client
from studio.i18n import Message
from studio.methods import defaults
from studio.methods.spec import Method, Settings
from studio.methods.training import first_step
from studio.methods.workload import MAX_ANSWER_TOKENS, RowTokens, Workload
from studio.models.shape import ModelShape
from studio.plan import Plan, Task

# So many examples are counted and represent all: the mean of a thousand is known to a few hundredths. Of the
# longest, this many are each counted.
MAX_COUNTED_EXAMPLES, N_LONGEST = 1_000, 64
# So many of the counted ones, from the shortest to the longest, are computed with.
MAX_ROWS = 128
# English words have about 4 letters a token under today's tokenizers, and each digit is one. A Chinese
# character is less than one where the vocabulary is large, and its bytes are where it is small; BERT's
# tokenizer takes each for a word
# (docs/estimator.md#characters_per_token-tokens_per_wide_character-large_vocabulary).
CHARACTERS_PER_TOKEN = 4.0
DIGIT = re.compile(r"\d")
LARGE_VOCABULARY = 100_000
TOKENS_PER_WIDE_CHARACTER = {"large": 0.7, "small": 1.75, "bert": 1.0}
# What a chat template writes around a prompt (tokens, about): marks, roles, a default system prompt.
TEMPLATE_TOKENS = 20


@dataclass(frozen=True)
class DatasetLengths:
    """The lengths of a data set's examples.

    Attributes:
        rows: At most MAX_ROWS examples in tokens, the shortest first.
        count: Number of usable examples in all.
        n_asked: How many of them are put to the models as questions: those with a known answer (task
            "prompts"), or all (task "chat").
        n_labels: Number of labels (task "classify").
        is_exact: Whether the model's tokenizer counted the tokens.
        n_test: Number of examples in a test set of its own.
        first_step_tokens: Tokens of UPFT's request for a first step; 0 for tasks that it does not train.
        failure_reason: Why the tokenizer lately could not count; None where it could or did not try.
        has_json_answers: Whether answers are JSON with the same fields (task "chat").
        in_order: Every example in tokens, in the order of the data; empty where not all were counted.
    """

    rows: tuple[RowTokens, ...]
    count: int
    n_asked: int
    n_labels: int
    is_exact: bool
    n_test: int = 0
    first_step_tokens: int = 0
    failure_reason: Message | None = None
    has_json_answers: bool = False
    in_order: tuple[RowTokens, ...] = ()


def measure_lengths(plan: Plan, folder: Path | None, wait: bool = False) -> DatasetLengths:
    """Return the lengths of a plan's examples.

    Args:
        plan: The plan.
        folder: Where the base model lies, whose tokenizer counts; None to estimate from characters.
        wait: Whether to count now, which takes seconds; else tokens are exact only where they were counted
            before.

    Raises:
        StudioError: If the data cannot be read.
    """
    dataset = store.find(plan.data.source)
    version = dataset.version  # 0 where it is missing: reading it below says what is wrong
    columns = plan.data.columns or roles.guess_roles(dataset.table(), plan.task).columns
    column_items = tuple(sorted(columns.items()))
    tokens_per_wide = _tokens_per_wide_character(plan.model)
    estimated = _estimate_lengths(plan.data.source, version, plan.task, column_items, tokens_per_wide)
    if plan.data.test:
        test_version = store.find(plan.data.test).version
        test_lengths = _estimate_lengths(
            plan.data.test, test_version, plan.task, column_items, tokens_per_wide
        )
        estimated = replace(estimated, n_test=test_lengths.count)
    if not folder:
        return _mask_history(estimated, plan)
    request = {
        "what": "lengths",
        "source": plan.data.source,
        "stamp": version,
        "task": plan.task,
        "columns": columns,
        "folder": str(folder),
        "evenly": MAX_COUNTED_EXAMPLES,
        "first_step": plan.task in first_step.TASKS,
        "history": True,  # what an earlier studio has counted lacks it
    }
    response = tracing_client.send_request(request) if wait else tracing_client.cached_response(request)
    if not response or "rows" not in response:
        estimated = replace(estimated, failure_reason=tracing_client.failure_reason(request))
        return _mask_history(estimated, plan)
    counted = [RowTokens(*row) for row in response["rows"]]
    exact = replace(
        estimated,
        rows=_representative_rows(counted),
        in_order=_all_in_order(counted, estimated.count),
        first_step_tokens=response["first_step_tokens"],
        is_exact=True,
    )
    return _mask_history(exact, plan)


def _mask_history(lengths: DatasetLengths, plan: Plan) -> DatasetLengths:
    """Return lengths of which the last answer alone is learned, where the plan wants that."""
    if not plan.training.mask_history:
        return lengths
    rows, in_order = (
        tuple(replace(row, history_tokens=0, earlier_answer_tokens=0) for row in part)
        for part in (lengths.rows, lengths.in_order)
    )
    return replace(lengths, rows=rows, in_order=in_order)


@lru_cache(maxsize=32)
def _estimate_lengths(
    source: str, version: int, task: Task, columns: tuple[tuple[str, str], ...], tokens_per_wide: float
) -> DatasetLengths:
    """Return the lengths estimated from characters; remembered for as long as the file stays as it is."""
    parsed_examples, _ = examples.build_examples(store.find(source).table(), task, dict(columns))
    rows = sample_rows(parsed_examples, lambda example: _estimate_row(example, task, tokens_per_wide))
    request = first_step.choose_request(parsed_examples) if task in first_step.TASKS else ""
    return DatasetLengths(
        rows=_representative_rows(rows),
        in_order=_all_in_order(rows, len(parsed_examples)),
        count=len(parsed_examples),
        n_asked=_count_questions(parsed_examples, task),
        has_json_answers=_has_json_answers(parsed_examples, task),
        n_labels=len(examples.collect_labels(parsed_examples)) if task == "classify" else 0,
        is_exact=False,
        first_step_tokens=estimate_tokens(request, tokens_per_wide) if request else 0,
    )


def _count_questions(parsed_examples: Sequence[Example], task: Task) -> int:
    """Return how many examples are put to the models as questions (studio.evaluate.answers)."""
    if task == "prompts":
        return sum(bool(example.get("answer")) for example in parsed_examples)
    return len(parsed_examples) if task == "chat" else 0


def _has_json_answers(parsed_examples: Sequence[Example], task: Task) -> bool:
    """Return whether the answers of a chat are JSON with the same fields."""
    answers = [examples.answer_text(example) for example in parsed_examples] if task == "chat" else []
    return bool(json_answers.find_fields(answers))


def sample_rows(
    all_examples: Sequence[Example],
    count_tokens: Callable[[Example], RowTokens],
    max_rows: int = MAX_COUNTED_EXAMPLES,
) -> list[RowTokens]:
    """Return at most `max_rows` examples in tokens, evenly from the shortest to the longest.

    The longest of all is always among them, since it decides how much memory is needed. Bytes tell which
    examples are long, about four to a token in any language; among the N_LONGEST with the most bytes the
    tokens decide.

    Args:
        all_examples: The examples.
        count_tokens: Counts one example.
        max_rows: How many to return at most.
    """
    if len(all_examples) <= max_rows:
        return [count_tokens(example) for example in all_examples]
    by_length = sorted(all_examples, key=lambda example: sum(len(text.encode()) for text in example.values()))
    n_even = max_rows - 1
    sampled = [
        count_tokens(by_length[round(index * (len(by_length) - 1) / n_even)]) for index in range(n_even)
    ]
    longest = max(
        (count_tokens(example) for example in by_length[-N_LONGEST:]),
        key=lambda row: row.prompt_tokens + max(row.completion_tokens, row.rejected_tokens),
    )
    return [*sampled, longest]


def _all_in_order(counted: Sequence[RowTokens], n_examples: int) -> tuple[RowTokens, ...]:
    """The counted rows where they are all examples: then `sample_rows` has kept their order."""
    return tuple(counted) if len(counted) == n_examples <= MAX_COUNTED_EXAMPLES else ()


def _representative_rows(rows: list[RowTokens]) -> tuple[RowTokens, ...]:
    """Return at most MAX_ROWS rows that represent all by their length, the shortest first."""
    by_length = sorted(rows, key=lambda row: (row.tokens, row.prompt_tokens, row.rejected_tokens))
    if len(by_length) <= MAX_ROWS:
        return tuple(by_length)
    last = len(by_length) - 1
    return tuple(by_length[round(index * last / (MAX_ROWS - 1))] for index in range(MAX_ROWS))


def _tokens_per_wide_character(model: str) -> float:
    """Return the tokens of a Chinese, Japanese or Korean character for a model of the catalogue."""
    config = presets.models()[model].config if model in presets.models() else {}
    if config.get("model_type") == "bert":
        return TOKENS_PER_WIDE_CHARACTER["bert"]
    is_small = int(config.get("vocab_size", LARGE_VOCABULARY)) < LARGE_VOCABULARY
    return TOKENS_PER_WIDE_CHARACTER["small" if is_small else "large"]


def estimate_tokens(text: str, tokens_per_wide: float = TOKENS_PER_WIDE_CHARACTER["large"]) -> int:
    """Return about how many tokens a text has, from its characters alone; at least 1."""
    n_wide, n_digits = len(WIDE_CHARS.findall(text)), len(DIGIT.findall(text))
    n_letters = len(text) - n_wide - n_digits
    return max(1, round(tokens_per_wide * n_wide + n_digits + n_letters / CHARACTERS_PER_TOKEN))


def _estimate_row(example: Example, task: Task, tokens_per_wide: float) -> RowTokens:
    def estimate(text: str) -> int:
        return estimate_tokens(text, tokens_per_wide)

    if task == "classify":
        # Two special tokens, around the text.
        return RowTokens(estimate(example["text"]) + 2)
    if task == "complete":
        return RowTokens(1, estimate(example["text"]))
    prompt_messages = examples.to_prompt_messages(example)
    prompt_tokens = TEMPLATE_TOKENS + sum(estimate(message["content"]) for message in prompt_messages)
    if task == "prompts":
        return RowTokens(prompt_tokens)
    completion = examples.to_messages(example)[-1]["content"]
    rejected = example.get("rejected")
    n_rejected = estimate(rejected) if rejected else 0
    row = RowTokens(prompt_tokens, estimate(completion), n_rejected)
    answers = [index for index, message in enumerate(prompt_messages) if is_learned(message)]
    if task != "chat" or not answers:
        return row
    n_history, n_answers = (
        sum(estimate(message["content"]) for message in messages)
        for messages in (prompt_messages[answers[0] :], [prompt_messages[index] for index in answers])
    )
    return replace(row, history_tokens=n_history, earlier_answer_tokens=n_answers)


def count_row(example: Example, task: Task, tokenizer: Any) -> RowTokens:
    """Return the tokens of an example, counted with a model's own tokenizer and chat template."""
    if task == "classify":
        return RowTokens(len(tokenizer(example["text"])["input_ids"]))
    if task == "complete":
        return RowTokens(1, len(tokenizer(example["text"])["input_ids"]))
    prompt = examples.to_prompt_messages(example)
    n_prompt = len(examples.apply_chat_template(tokenizer, prompt, add_generation_prompt=True))
    if task == "prompts":
        return RowTokens(n_prompt)

    def count_completion(completion: str) -> int:
        """Return the tokens that a completion adds to the prompt."""
        if not completion:
            return 0
        messages = [*prompt, {"role": "assistant", "content": completion}]
        n_tokens = len(examples.apply_chat_template(tokenizer, messages, add_generation_prompt=False))
        return max(0, n_tokens - n_prompt)

    messages = examples.to_messages(example)
    n_completion = count_completion(messages[-1]["content"])
    row = RowTokens(n_prompt, n_completion, count_completion(example.get("rejected", "")))
    if task != "chat" or not any(is_learned(message) for message in prompt):
        return row
    encoded = examples.encode_chat(messages, tokenizer, n_prompt)  # the prompt, of which answers are learned
    if not encoded:
        return row
    learned = [position for position, label in enumerate(encoded.labels) if label != examples.IGNORE_INDEX]
    return replace(row, history_tokens=n_prompt - learned[0], earlier_answer_tokens=len(learned))


def is_learned(message: Mapping[str, Any]) -> bool:
    """Return whether a message of a prompt is an earlier answer that is learned (examples.encode_chat)."""
    return message["role"] == "assistant" and "weight" not in message


def build_workload(
    plan: Plan, method: Method, settings: Settings, shape: ModelShape, lengths: DatasetLengths
) -> Workload:
    """Return what a method has to do under all of its settings.

    Training settings that the plan leaves out are filled in, and texts are no longer than what the model
    reads beside what the method puts before them.
    """
    validation_share, test_share = plan.data.validation_share, split.test_share(plan.data, lengths.count)
    n_held_out = round(validation_share * lengths.count) + round(test_share * lengths.count)
    n_own = max(1, round(plan.data.train_share * (lengths.count - n_held_out)))
    n_replay = replay.count_examples(n_own, plan.training.replay_share)
    filled_plan = defaults.fill_training(plan, method, shape, n_own + n_replay, lengths.rows)
    max_length = method.max_text_tokens(shape, settings, filled_plan.training.token_limit)
    return Workload(
        task=plan.task,
        rows=lengths.rows,
        count=lengths.count,
        validation_share=validation_share,
        training=filled_plan.training.model_copy(update={"max_length": max_length}),
        shape=shape,
        num_labels=lengths.n_labels,
        n_asked=lengths.n_asked,
        max_answer_tokens=_max_answer_tokens(plan.task, lengths),
        test_share=test_share,
        n_custom_test=lengths.n_test,
        train_share=plan.data.train_share,
        replay_rows=_estimate_replay_rows() if n_replay else (),
        first_step_tokens=lengths.first_step_tokens,
    )


def _max_answer_tokens(task: Task, lengths: DatasetLengths) -> int:
    """Return the most tokens that a held-out question is answered with."""
    if task != "chat":
        return MAX_ANSWER_TOKENS
    longest = max((row.completion_tokens for row in lengths.rows), default=0)
    limit = json_answers.max_new_tokens(longest)
    return limit if lengths.has_json_answers else min(MAX_ANSWER_TOKENS, limit)


@lru_cache
def _estimate_replay_rows() -> tuple[RowTokens, ...]:
    tokens_per_wide = TOKENS_PER_WIDE_CHARACTER["large"]
    return tuple(_estimate_row(dict(example), "chat", tokens_per_wide) for example in replay.load_examples())
