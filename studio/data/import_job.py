"""Import, check and fix data sets in a child process that reports its progress.

Closing an iterator ends its process, and so cancels the work.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from studio import processes
from studio.data import examples, split, store
from studio.data.quality import fixes, health
from studio.data.quality.fixes import Change
from studio.data.quality.health import CheckOptions, Health
from studio.data.readers import read as readers
from studio.errors import explain
from studio.i18n import Message
from studio.plan import Task
from studio.storage import ProgressCallback

UNEXPECTED_EXIT = Message("Reading the data stopped unexpectedly: {why}")
TRY_SMALLER_PART = Message("Try a smaller part of it, and tell us what the file was.")
# What the page shows while the child works, by the stage that it reports.
STAGE_LABELS = {
    "fetch": Message("Downloading from the hub"),
    "count": Message("Counting tokens"),
    **health.CHECK_STAGES,
}
# Tokens that a chat template writes around a question, about: marks, roles, a default system prompt.
CHAT_TEMPLATE_TOKENS = 20
COUNT_BATCH_SIZE = 1000  # rows whose tokens are counted between two reports of progress
MODULE = "studio.data.import_job"


def import_dataset(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Import a data set.

    Closing the iterator cancels the import. Nothing remains then: the process ends before it can clean up, so
    that is done here.

    Args:
        request: One of `path` (an upload, which is removed), `text` (pasted) or `hub` (an id), and optionally
            `name` and `sheet`.

    Yields:
        {"stage", "done", "of"} (megabytes) during the import, and {"source": SOURCE} at the end.

    Raises:
        StudioError: The data cannot be used.
    """
    with store.open_draft() as draft_folder:
        full_request = {"do": "take", **request, "draft": str(draft_folder)}
        child_options = processes.ChildOptions(online=bool(request.get("hub")))
        try:
            yield from processes.stream_replies(
                MODULE, full_request, UNEXPECTED_EXIT, TRY_SMALLER_PART, child_options
            )
        finally:
            if "path" in request:
                Path(str(request["path"])).unlink(missing_ok=True)


def check_dataset(
    source: str, task: Task, roles: Mapping[str, str], previous: Health | None = None, **options: Any
) -> Iterator[tuple[str, float, Health | None]]:
    """Check a data set.

    Args:
        source: The data set.
        task: What a model is to learn from it.
        roles: Role -> column.
        previous: The complete health of the same rows for another method or limit; then only what depends on
            these is checked.
        **options: `method`, `model`, `max_length`, `folder` (of the base model's tokenizer, "" if it is not
            here) and `test` (the source of a test set), all optional.

    Yields:
        The stage, the share of it that is done (0–1), and the health where there is one: first without
        near-duplicates, which are checked next.
    """
    request = {
        "do": "judge",
        "source": source,
        "task": task,
        "columns": dict(roles),
        "limits": previous is not None,
        **options,
    }
    with closing(_stream_replies(request, "health")) as replies:
        for stage, share, raw in replies:
            if raw is None:
                yield stage, share, None
                continue
            report = health.health_from_json(raw)
            if previous:
                report = health.replace_limits(previous, report)
            yield "near", 0.0, report


def compute_fix(
    kind: str, source: str, task: Task, roles: Mapping[str, str], test: str = ""
) -> Iterator[tuple[str, float, Change | None]]:
    """Work out the one-click fix of a finding; nothing is changed yet.

    Args:
        kind: The kind of the finding.
        source: The data set.
        task: What a model is to learn from it.
        roles: Role -> column.
        test: The source of a test set; "" for none.

    Yields:
        The stage, the share of it that is done (0–1), and at the end the change.

    Raises:
        StudioError: There is no such fix.
    """
    request = {
        "do": "mend",
        "kind": kind,
        "source": source,
        "task": task,
        "columns": dict(roles),
        "test": test,
    }
    with closing(_stream_replies(request, "change")) as replies:
        for stage, share, raw in replies:
            if raw is None:
                yield stage, share, None
            else:
                yield "mend", 1.0, fixes.from_json(raw)


def compute_duplicate_groups(source: str, task: Task, roles: Mapping[str, str]) -> list[int]:
    """The group of each example (`split.duplicate_groups`), computed without blocking the page."""
    request = {"do": "alike", "source": source, "task": task, "columns": dict(roles)}
    group_ids: list[int] = []
    for _, _, raw in _stream_replies(request, "alike"):
        group_ids.extend(map(int, raw or ()))
    return group_ids


def _stream_replies(
    request: Mapping[str, Any], result_key: str
) -> Generator[tuple[str, float, Any], None, None]:
    """The replies of the child: the stage, the share of it that is done (0–1), and the result or None."""
    with closing(processes.stream_replies(MODULE, request, UNEXPECTED_EXIT, TRY_SMALLER_PART)) as replies:
        for reply in replies:
            if result_key in reply:
                yield "", 1.0, reply[result_key]
            else:
                yield reply["stage"], reply["done"] / max(1, reply["of"]), None


def _report_progress(stage: str, done: float, total: float) -> None:
    processes.send_reply({"stage": stage, "done": done, "of": total})


def _stage_callback(stage: str) -> ProgressCallback:
    return lambda done, total: _report_progress(stage, done, total)


def _run_import(request: Mapping[str, Any]) -> None:
    draft = Path(request["draft"])
    tempfile.tempdir = str(draft)  # what is unpacked is removed with it
    name = str(request.get("name") or "")
    if request.get("hub"):
        from studio.data.readers import hub  # noqa: PLC0415 - the hub's client, which a file does not need

        path = hub.fetch(str(request["hub"]), draft, _stage_callback("fetch"))
        origin = f"hub:{request['hub']}"
        name = name or path.name
    elif "text" in request:
        pasted = readers.read_pasted_text(str(request["text"]))
        path = draft / pasted.name
        path.write_text(str(request["text"]), encoding="utf-8")
        origin = "paste"
        name = name or pasted.name
    else:
        path = Path(str(request["path"]))
        origin = "upload"
    sheet = str(request.get("sheet") or "")
    dataset = store.add(path, name, sheet, origin, draft, _stage_callback("read"))
    processes.send_reply({"source": dataset.source})


def _run_check(request: Mapping[str, Any]) -> None:
    table = store.find(request["source"]).table()
    task, roles = request["task"], request["columns"]
    row_examples = examples.build_row_examples(table, task, roles)
    is_limits_only = bool(request.get("limits"))
    options = CheckOptions(
        lengths=count_tokens(row_examples, str(request.get("folder") or "")),
        max_length=int(request.get("max_length") or 0),
        method=str(request.get("method") or ""),
        model=str(request.get("model") or ""),
        test=() if is_limits_only else _load_test_examples(request),
        on_progress=_report_progress,
    )
    if is_limits_only:
        _send_health(health.check_method_limits(table, task, roles, options))
        return
    for report in health.check_in_stages(table, task, roles, options):
        _send_health(report)


def _send_health(report: Health) -> None:
    processes.send_reply({"health": health.health_to_json(report)})


def _run_fix(request: Mapping[str, Any]) -> None:
    kind = str(request["kind"])
    table = store.find(request["source"]).table()
    stage = "near" if kind == "near_duplicates" else kind
    change = fixes.build_fix(
        kind,
        table,
        request["task"],
        request["columns"],
        _load_test_examples(request),
        _stage_callback(stage),
    )
    processes.send_reply({"change": fixes.as_json(change)})


def _run_duplicate_groups(request: Mapping[str, Any]) -> None:
    table = store.find(request["source"]).table()
    complete_examples, _ = examples.build_examples(table, request["task"], request["columns"])
    processes.send_reply({"alike": split.duplicate_groups(complete_examples)})


def _load_test_examples(request: Mapping[str, Any]) -> list[examples.Example]:
    """The examples of the test set that the request names, if any."""
    if not request.get("test"):
        return []
    table = store.find(request["test"]).table()
    row_examples = examples.build_row_examples(table, request["task"], request["columns"])
    return [example for example in row_examples if example]


def count_tokens(row_examples: list[dict[str, str]], folder: str) -> list[int] | None:
    """Count the tokens of each row's example, of a pair those of the longer side.

    The chat template is estimated (CHAT_TEMPLATE_TOKENS); a text to classify has none.

    Args:
        row_examples: The example of each row, empty where a row makes none.
        folder: The folder of the tokenizer.

    Returns:
        The number of tokens of each row; None if there is no tokenizer.
    """
    file = Path(folder) / "tokenizer.json"
    if not folder or not file.is_file():
        return None
    from tokenizers import Tokenizer  # noqa: PLC0415 - where tokens are counted

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    token_counts = [0] * len(row_examples)
    for start in range(0, len(row_examples), COUNT_BATCH_SIZE):
        _report_progress("count", start, len(row_examples))
        rows: list[int] = []
        texts: list[str] = []
        for row, example in enumerate(row_examples[start : start + COUNT_BATCH_SIZE], start):
            for text in _texts_to_count(example):
                rows.append(row)
                texts.append(text)
        for row, encoding in zip(rows, tokenizer.encode_batch(texts), strict=True):
            template_tokens = 0 if "text" in row_examples[row] else CHAT_TEMPLATE_TOKENS
            token_counts[row] = max(token_counts[row], len(encoding.ids) + template_tokens)
    return token_counts


def _texts_to_count(example: examples.Example) -> list[str]:
    """The texts that are read of an example: the prompt with each of its answers; none of an empty one."""
    if not example:
        return []
    if "text" in example:
        return [example["text"]]
    prompt = [message["content"] for message in examples.to_prompt_messages(example)]
    is_prompt_only = "answer" in example or (len(example) == 1 and "prompt" in example)
    if is_prompt_only:
        return ["\n".join(prompt)]
    answers = [examples.to_messages(example)[-1]["content"]]
    if example.get("rejected"):
        answers.append(example["rejected"])
    return ["\n".join([*prompt, answer]) for answer in answers]


_TASKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "take": _run_import,
    "judge": _run_check,
    "mend": _run_fix,
    "alike": _run_duplicate_groups,
}


def main() -> int:
    """The child process: one request on stdin, replies on stdout."""
    request = json.loads(sys.stdin.read())
    try:
        _TASKS[request["do"]](request)
    except Exception as error:
        processes.send_error(explain(error, TRY_SMALLER_PART))
    return 0


if __name__ == "__main__":
    sys.exit(main())
