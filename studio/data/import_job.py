"""Take a data set in and judge it, in a child process: reading, recognising and checking tell how far they are, and can be called off."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from studio import processes
from studio.data import examples, split, store
from studio.data.quality import fixes, health
from studio.data.quality.fixes import Change
from studio.data.quality.health import Finding, Health
from studio.data.readers import read as readers
from studio.errors import explain
from studio.i18n import Message
from studio.plan import Task

UNEXPECTED_EXIT = Message("Reading the data stopped unexpectedly: {why}")
TRY_SMALLER_PART = Message("Bring a smaller part of it, and tell us what the file was.")
# What is going on, by the name the child gives it.
STAGE_LABELS = {
    "fetch": Message("Fetching from the hub"),
    "count": Message("Counting tokens"),
    **health.CHECK_STAGES,
}
# What a template writes around a question (tokens, about): marks, roles, a default system prompt.
CHAT_TEMPLATE_TOKENS = 20


def import_dataset(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Take a data set in: yields {"stage", "done", "of"} (megabytes) while it goes on and {"source": …} at the end.

    `asked` names one of `path` (an upload, which is removed), `text` (pasted) or `hub` (an id), and may name `name` and `sheet`.
    Raises StudioError with what is wrong; closing the iterator calls it off. Nothing is left behind then: the process ends before it can
    tidy up, so that is done here.
    """
    with store.open_draft() as draft_folder:
        full_request = {"do": "take", **request, "draft": str(draft_folder)}
        try:
            yield from processes.stream_replies(
                "studio.data.import_job",
                full_request,
                UNEXPECTED_EXIT,
                TRY_SMALLER_PART,
                processes.ChildOptions(online=bool(request.get("hub"))),
            )
        finally:
            if "path" in request:
                Path(str(request["path"])).unlink(missing_ok=True)


def check_dataset(
    source: str, task: Task, roles: Mapping[str, str], previous: Health | None = None, **options: Any
) -> Iterator[tuple[str, float, Health | None]]:
    """Check a data set: yields the stage, the share of it done (0–1), and the health where there is one, first without near-duplicates, which come next.

    `given` may hold `method`, `max_length`, `folder` (of the base's tokenizer, "" where it is not here) and `test` (a data set's source).
    With `before`, the whole health of the same rows for another method or length, only what hangs on these is looked at.
    """
    request = {
        "do": "judge",
        "source": source,
        "task": task,
        "columns": dict(roles),
        "limits": previous is not None,
        **options,
    }
    for stage, share, raw in _stream_replies(request, "health"):
        report = None if raw is None else _parse_health(raw)
        yield (
            (stage, share, None)
            if report is None
            else ("near", 0.0, health.replace_limits(previous, report) if previous else report)
        )


def compute_fix(
    kind: str, source: str, task: Task, roles: Mapping[str, str], test: str = ""
) -> Iterator[tuple[str, float, Change | None]]:
    """Work out the one-click fix of a finding: yields the stage, the share of it done (0–1), and the change at the end, which is not made yet.

    `test` is the source of a test set, "" for none. Raises StudioError where there is no such fix.
    """
    request = {
        "do": "mend",
        "kind": kind,
        "source": source,
        "task": task,
        "columns": dict(roles),
        "test": test,
    }
    for stage, share, raw in _stream_replies(request, "change"):
        yield (stage, share, None) if raw is None else ("mend", 1.0, fixes.from_json(raw))


def _stream_replies(request: Mapping[str, Any], result_key: str) -> Iterator[tuple[str, float, Any]]:
    """What the child says: the stage and the share of it done, and what is called `name` where that is the answer."""
    for reply in processes.stream_replies(
        "studio.data.import_job", request, UNEXPECTED_EXIT, TRY_SMALLER_PART
    ):
        yield (
            ("", 1.0, reply[result_key])
            if result_key in reply
            else (reply["stage"], reply["done"] / max(1, reply["of"]), None)
        )


def compute_duplicate_groups(source: str, task: Task, roles: Mapping[str, str]) -> list[int]:
    """Which examples of a data set are alike, as split.alike says, without the page standing still meanwhile."""
    request = {"do": "alike", "source": source, "task": task, "columns": dict(roles)}
    return [
        int(group_id) for _, _, group_ids in _stream_replies(request, "alike") for group_id in group_ids or ()
    ]


def _parse_health(raw: Mapping[str, Any]) -> Health:
    def parse_finding(fields: Mapping[str, Any]) -> Finding:
        messages = {
            name: Message.from_json(fields[name]) if fields[name] else None for name in ("said", "why", "fix")
        }
        return Finding(
            **{**fields, **messages, "rows": tuple(fields["rows"]), "examples": tuple(fields["examples"])}
        )

    return Health(**{**raw, "findings": tuple(parse_finding(fields) for fields in raw["findings"])})


def _report_progress(stage: str, done: float, total: float) -> None:
    processes.send_reply({"stage": stage, "done": done, "of": total})


def _run_import(request: Mapping[str, Any]) -> None:
    name, sheet = str(request.get("name") or ""), str(request.get("sheet") or "")
    draft = Path(request["draft"])
    tempfile.tempdir = str(draft)  # what is unpacked goes with it
    if request.get("hub"):
        from studio.data.readers import hub  # noqa: PLC0415 - the hub's client, which a file does without

        path, origin = (
            hub.fetch(str(request["hub"]), draft, lambda done, total: _report_progress("fetch", done, total)),
            f"hub:{request['hub']}",
        )
        name = name or path.name
    elif "text" in request:
        pasted = readers.read_pasted_text(str(request["text"]))
        path, origin, name = draft / pasted.name, "paste", name or pasted.name
        path.write_text(str(request["text"]), encoding="utf-8")
    else:
        path, origin = Path(str(request["path"])), "upload"
    processes.send_reply(
        {
            "source": store.add(
                path, name, sheet, origin, draft, lambda done, total: _report_progress("read", done, total)
            ).source
        }
    )


def _run_check(request: Mapping[str, Any]) -> None:
    dataset, task, roles = store.find(request["source"]), request["task"], request["columns"]
    table, max_length = dataset.table(), int(request.get("max_length") or 0)
    row_examples = examples.build_row_examples(table, task, roles)
    lengths = count_tokens(row_examples, str(request.get("folder") or ""))
    method = str(request.get("method") or "")
    if request.get("limits"):
        processes.send_reply(
            {
                "health": health.health_to_json(
                    health.check_method_limits(table, task, roles, lengths, max_length, method)
                )
            }
        )
        return
    test_examples = _load_test_examples(request)
    for report in health.check_in_stages(
        table,
        task,
        roles,
        lengths=lengths,
        max_length=max_length,
        method=method,
        test=test_examples,
        tell=_report_progress,
    ):
        processes.send_reply({"health": health.health_to_json(report)})


def _run_fix(request: Mapping[str, Any]) -> None:
    kind, table = str(request["kind"]), store.find(request["source"]).table()
    stage = {"near_duplicates": "near"}.get(kind, kind)
    change = fixes.build_fix(
        kind,
        table,
        request["task"],
        request["columns"],
        _load_test_examples(request),
        lambda done, total: _report_progress(stage, done, total),
    )
    processes.send_reply({"change": fixes.as_json(change)})


def _run_duplicate_groups(request: Mapping[str, Any]) -> None:
    usable_examples, _ = examples.build_examples(
        store.find(request["source"]).table(), request["task"], request["columns"]
    )
    processes.send_reply({"alike": split.duplicate_groups(usable_examples)})


def _load_test_examples(request: Mapping[str, Any]) -> list[examples.Example]:
    """The examples of the test set that is asked about, if any."""
    table = store.find(request["test"]).table() if request.get("test") else None
    return (
        [
            example
            for example in examples.build_row_examples(table, request["task"], request["columns"])
            if example
        ]
        if table
        else []
    )


def count_tokens(row_examples: list[dict[str, str]], folder: str) -> list[int] | None:
    """The tokens of each row's example under the tokenizer in a folder, of a pair the longer side; None where there is no tokenizer.

    A chat template is counted by rule (AROUND); a text to sort has none.
    """
    file = Path(folder) / "tokenizer.json"
    if not folder or not file.is_file():
        return None
    from tokenizers import Tokenizer  # noqa: PLC0415 - where tokens are counted

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    token_counts = [0] * len(row_examples)
    for start in range(0, len(row_examples), 1000):
        _report_progress("count", start, len(row_examples))
        texts = [
            (row, text)
            for row, example in enumerate(row_examples[start : start + 1000], start)
            for text in _texts_to_count(example)
        ]
        for (row, _), encoding in zip(
            texts, tokenizer.encode_batch([text for _, text in texts]), strict=True
        ):
            token_counts[row] = max(
                token_counts[row],
                len(encoding.ids) + (0 if "text" in row_examples[row] else CHAT_TEMPLATE_TOKENS),
            )
    return token_counts


def _texts_to_count(example: examples.Example) -> list[str]:
    """What is read of an example, each answer of a pair after its question; nothing of a row that makes none."""
    if not example:
        return []
    if "text" in example:
        return [example["text"]]
    prompt_texts = [message["content"] for message in examples.to_prompt_messages(example)]
    if "answer" in example or (len(example) == 1 and "prompt" in example):
        answers = []
    else:
        answers = [examples.to_messages(example)[-1]["content"], *filter(None, [example.get("rejected")])]
    return ["\n".join([*prompt_texts, answer]) for answer in answers] or ["\n".join(prompt_texts)]


def main() -> int:
    """The child process: one question on stdin, answers on stdout."""
    request = json.loads(sys.stdin.read())
    try:
        {"take": _run_import, "judge": _run_check, "mend": _run_fix, "alike": _run_duplicate_groups}[
            request["do"]
        ](request)
    except Exception as error:
        processes.send_error(explain(error, TRY_SMALLER_PART))
    return 0


if __name__ == "__main__":
    sys.exit(main())
