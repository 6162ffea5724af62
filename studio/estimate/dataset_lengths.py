"""What a plan gives a method to do: its examples in tokens, counted with the model's own tokenizer or guessed from their characters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from studio.data import examples, split, store
from studio.data.schema import infer_roles as roles
from studio.data.text.text_length import WIDE_CHARS
from studio.estimate.tracing import client as tracing_client
from studio.i18n import Message
from studio.methods import defaults
from studio.methods.spec import Method, Settings
from studio.methods.workload import RowTokens, Workload
from studio.models.shape import ModelShape
from studio.plan import Plan, Task

# Examples whose lengths stand for all: the mean of a thousand is known to a few hundredths. Of so many of the longest each is counted.
MAX_COUNTED_EXAMPLES, N_LONGEST = 1_000, 64
# So many of them, from the shortest to the longest, are computed with.
MAX_ROWS = 128
# Letters of a token: English words under today's tokenizers have about 4 a token, a Chinese character about 0.7 tokens.
CHARACTERS_PER_TOKEN = 4.0
# What a chat template writes around a question (tokens, about): marks, roles, a default system prompt.
TEMPLATE_TOKENS = 20


@dataclass(frozen=True)
class DatasetLengths:
    """Up to KEPT examples in tokens, the shortest first; `count` usable ones in all, `known` of them with a known answer.

    `counted` where a tokenizer said so, `why` it lately could not; `own` examples lie in a test set of their own.
    """

    rows: tuple[RowTokens, ...]
    count: int
    n_with_answer: int
    n_labels: int
    is_exact: bool
    n_test: int = 0
    failure_reason: Message | None = None


def measure_lengths(plan: Plan, folder: Path | None, wait: bool = False) -> DatasetLengths:
    """The examples of a plan in tokens: counted where the model is here (`folder`), at once where that was done before or with `wait`.

    Raises BadData or the like where the data cannot be read.
    """
    dataset = store.find(plan.data.source)
    version = dataset.version  # 0 where it is missing: reading it below says what is wrong
    column_roles = plan.data.columns or roles.guess_roles(dataset.table(), plan.task).columns
    column_items = tuple(sorted(column_roles.items()))
    estimated = _estimate_lengths(plan.data.source, version, plan.task, column_items)
    if plan.data.test:
        n_test = _estimate_lengths(
            plan.data.test, store.find(plan.data.test).version, plan.task, column_items
        ).count
        estimated = replace(estimated, n_test=n_test)
    if not folder:
        return estimated
    request = {
        "what": "lengths",
        "source": plan.data.source,
        "stamp": version,
        "task": plan.task,
        "columns": column_roles,
        "folder": str(folder),
        "evenly": MAX_COUNTED_EXAMPLES,
    }
    response = (tracing_client.send_request if wait else tracing_client.cached_response)(request)
    if not response or "rows" not in response:
        return replace(estimated, failure_reason=tracing_client.failure_reason(request))
    return replace(
        estimated, rows=_representative_rows([RowTokens(*row) for row in response["rows"]]), is_exact=True
    )


@lru_cache(maxsize=32)
def _estimate_lengths(
    source: str, version: int, task: Task, columns: tuple[tuple[str, str], ...]
) -> DatasetLengths:
    """The examples with their tokens guessed from their characters; remembered while the file stays as it is."""
    parsed_examples, _ = examples.build_examples(store.find(source).table(), task, dict(columns))
    n_labels = len(examples.collect_labels(parsed_examples)) if task == "classify" else 0
    n_with_answer = (
        sum(bool(example.get("answer")) for example in parsed_examples) if task == "prompts" else 0
    )
    rows = sample_rows(parsed_examples, lambda example: _estimate_row(example, task))
    return DatasetLengths(
        _representative_rows(rows), len(parsed_examples), n_with_answer, n_labels, is_exact=False
    )


def sample_rows(
    all_examples: Sequence[examples.Example],
    count_tokens: Callable[[examples.Example], RowTokens],
    max_rows: int = MAX_COUNTED_EXAMPLES,
) -> list[RowTokens]:
    """At most `most` examples in tokens, evenly from the shortest to the longest of all: that one decides how much memory is needed.

    Bytes say which are long, about four to a token in any language; `count` has the last word on which of the longest is the longest.
    """
    if len(all_examples) <= max_rows:
        return [count_tokens(example) for example in all_examples]
    by_length = sorted(all_examples, key=lambda example: sum(len(text.encode()) for text in example.values()))
    sampled = [
        count_tokens(by_length[round(index * (len(by_length) - 1) / (max_rows - 1))])
        for index in range(max_rows - 1)
    ]
    return [
        *sampled,
        max(
            (count_tokens(example) for example in by_length[-N_LONGEST:]),
            key=lambda row: row.prompt_tokens + max(row.completion_tokens, row.rejected_tokens),
        ),
    ]


def _representative_rows(rows: list[RowTokens]) -> tuple[RowTokens, ...]:
    """At most KEPT rows that stand for all, by their length."""
    by_length = sorted(rows, key=lambda row: (row.tokens, row.prompt_tokens, row.rejected_tokens))
    if len(by_length) <= MAX_ROWS:
        return tuple(by_length)
    return tuple(by_length[round(index * (len(by_length) - 1) / (MAX_ROWS - 1))] for index in range(MAX_ROWS))


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, from its characters alone."""
    n_wide = len(WIDE_CHARS.findall(text))
    return max(1, round(0.7 * n_wide + (len(text) - n_wide) / CHARACTERS_PER_TOKEN))


def _estimate_row(example: dict[str, str], task: str) -> RowTokens:
    if task == "classify":
        return RowTokens(estimate_tokens(example["text"]) + 2)
    if task == "complete":
        return RowTokens(1, estimate_tokens(example["text"]))
    prompt_tokens = TEMPLATE_TOKENS + sum(
        estimate_tokens(message["content"]) for message in examples.to_prompt_messages(example)
    )
    if task == "prompts":
        return RowTokens(prompt_tokens)
    return RowTokens(
        prompt_tokens,
        estimate_tokens(examples.to_messages(example)[-1]["content"]),
        estimate_tokens(example["rejected"]) if example.get("rejected") else 0,
    )


def build_workload(
    plan: Plan, method: Method, settings: Settings, shape: ModelShape, lengths: DatasetLengths
) -> Workload:
    """What a method is given to do under settings, all of them given: with the training settings filled in that the plan leaves out, and
    texts no longer than what the model reads beside what the method puts before them.
    """
    validation_share, test_share = plan.data.validation_share, split.test_share(plan.data, lengths.count)
    filled = defaults.fill_training(
        plan,
        method,
        shape,
        max(1, lengths.count - round(validation_share * lengths.count) - round(test_share * lengths.count)),
    )
    training = filled.training.model_copy(
        update={"max_length": method.max_text_tokens(shape, settings, filled.training.max_length)}
    )
    return Workload(
        plan.task,
        lengths.rows,
        lengths.count,
        validation_share,
        training,
        shape,
        lengths.n_labels,
        lengths.n_with_answer,
        test_share,
        lengths.n_test,
    )
