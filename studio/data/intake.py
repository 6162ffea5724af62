"""Take a data set in and judge it, in a child process: reading, recognising and checking tell how far they are, and can be called off."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio import child
from studio.data import check, fixes, keep, prepare, read, split
from studio.data.check import Finding, Health
from studio.data.fixes import Change
from studio.errors import explain
from studio.plan import Task
from studio.words import Words

SILENT = Words("Reading the data stopped unexpectedly: {why}", "读取数据时意外中断：{why}")
AGAIN = Words("Bring a smaller part of it, and tell us what the file was.", "请只取其中一部分再试，并告诉我们是什么文件。")
# What is going on, by the name the child gives it.
STAGES = {
    "fetch": Words("Fetching from the hub", "正在从 Hub 下载"),
    "count": Words("Counting tokens", "正在统计 token"),
    **check.STAGES,
}
# What a template writes around a question (tokens, about): marks, roles, a default system prompt.
AROUND = 20


def take(asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Take a data set in: yields {"stage", "done", "of"} (megabytes) while it goes on and {"source": …} at the end.

    `asked` names one of `path` (an upload, which is removed), `text` (pasted) or `hub` (an id), and may name `name` and `sheet`.
    Raises StudioError with what is wrong; closing the iterator calls it off. Nothing is left behind then: the process ends before it can
    tidy up, so that is done here.
    """
    with keep.draft() as place:
        question = {"do": "take", **asked, "draft": str(place)}
        try:
            yield from child.answers("studio.data.intake", question, SILENT, AGAIN, online=bool(asked.get("hub")))
        finally:
            if "path" in asked:
                Path(str(asked["path"])).unlink(missing_ok=True)


def judge(
    source: str, task: Task, roles: Mapping[str, str], before: Health | None = None, **given: Any
) -> Iterator[tuple[str, float, Health | None]]:
    """Check a data set: yields the stage, the share of it done (0–1), and the health where there is one, first without near-duplicates, which come next.

    `given` may hold `method`, `max_length`, `folder` (of the base's tokenizer, "" where it is not here) and `test` (a data set's source).
    With `before`, the whole health of the same rows for another method or length, only what hangs on these is looked at.
    """
    asked = {"do": "judge", "source": source, "task": task, "columns": dict(roles), "limits": before is not None, **given}
    for stage, share, raw in _asked(asked, "health"):
        found = None if raw is None else _health(raw)
        yield (stage, share, None) if found is None else ("near", 0.0, check.renewed(before, found) if before else found)


def mend(kind: str, source: str, task: Task, roles: Mapping[str, str], test: str = "") -> Iterator[tuple[str, float, Change | None]]:
    """Work out the one-click fix of a finding: yields the stage, the share of it done (0–1), and the change at the end, which is not made yet.

    `test` is the source of a test set, "" for none. Raises StudioError where there is no such fix.
    """
    asked = {"do": "mend", "kind": kind, "source": source, "task": task, "columns": dict(roles), "test": test}
    for stage, share, found in _asked(asked, "change"):
        yield (stage, share, None) if found is None else ("mend", 1.0, fixes.from_json(found))


def _asked(asked: Mapping[str, Any], name: str) -> Iterator[tuple[str, float, Any]]:
    """What the child says: the stage and the share of it done, and what is called `name` where that is the answer."""
    for found in child.answers("studio.data.intake", asked, SILENT, AGAIN):
        yield ("", 1.0, found[name]) if name in found else (found["stage"], found["done"] / max(1, found["of"]), None)


def alike(source: str, task: Task, roles: Mapping[str, str]) -> list[int]:
    """Which examples of a data set are alike, as split.alike says, without the page standing still meanwhile."""
    asked = {"do": "alike", "source": source, "task": task, "columns": dict(roles)}
    return [int(number) for _, _, found in _asked(asked, "alike") for number in found or ()]


def _health(raw: Mapping[str, Any]) -> Health:
    def finding(one: Mapping[str, Any]) -> Finding:
        said = {name: Words(**one[name]) if one[name] else None for name in ("said", "why", "fix")}
        return Finding(**{**one, **said, "rows": tuple(one["rows"]), "examples": tuple(one["examples"])})

    return Health(**{**raw, "findings": tuple(finding(one) for one in raw["findings"])})


def _tell(stage: str, done: float, of: float) -> None:
    child.say({"stage": stage, "done": done, "of": of})


def _take(asked: Mapping[str, Any]) -> None:
    name, sheet = str(asked.get("name") or ""), str(asked.get("sheet") or "")
    draft = Path(asked["draft"])
    tempfile.tempdir = str(draft)  # what is unpacked goes with it
    if asked.get("hub"):
        from studio.data import hub  # noqa: PLC0415 - the hub's client, which a file does without

        path, origin = hub.fetch(str(asked["hub"]), draft, lambda done, of: _tell("fetch", done, of)), f"hub:{asked['hub']}"
        name = name or path.name
    elif "text" in asked:
        found = read.paste(str(asked["text"]))
        path, origin, name = draft / found.name, "paste", name or found.name
        path.write_text(str(asked["text"]), encoding="utf-8")
    else:
        path, origin = Path(str(asked["path"])), "upload"
    child.say({"source": keep.keep(path, name, sheet, origin, draft, lambda done, of: _tell("read", done, of)).source})


def _judge(asked: Mapping[str, Any]) -> None:
    kept, task, roles = keep.find(asked["source"]), asked["task"], asked["columns"]
    table, length = kept.table(), int(asked.get("max_length") or 0)
    examples = prepare.rows(table, task, roles)
    lengths = counted(examples, str(asked.get("folder") or ""))
    method = str(asked.get("method") or "")
    if asked.get("limits"):
        child.say({"health": asdict(check.limits(table, task, roles, lengths, length, method))})
        return
    test = _test(asked)
    for found in check.stages(table, task, roles, lengths=lengths, max_length=length, method=method, test=test, tell=_tell):
        child.say({"health": asdict(found)})


def _mend(asked: Mapping[str, Any]) -> None:
    kind, table = str(asked["kind"]), keep.find(asked["source"]).table()
    stage = {"near_duplicates": "near"}.get(kind, kind)
    made = fixes.fix(kind, table, asked["task"], asked["columns"], _test(asked), lambda done, of: _tell(stage, done, of))
    child.say({"change": fixes.as_json(made)})


def _alike(asked: Mapping[str, Any]) -> None:
    found, _ = prepare.examples(keep.find(asked["source"]).table(), asked["task"], asked["columns"])
    child.say({"alike": split.alike(found)})


def _test(asked: Mapping[str, Any]) -> list[prepare.Example]:
    """The examples of the test set that is asked about, if any."""
    table = keep.find(asked["test"]).table() if asked.get("test") else None
    return [example for example in prepare.rows(table, asked["task"], asked["columns"]) if example] if table else []


def counted(examples: list[dict[str, str]], folder: str) -> list[int] | None:
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
    found = [0] * len(examples)
    for start in range(0, len(examples), 1000):
        _tell("count", start, len(examples))
        texts = [(row, text) for row, example in enumerate(examples[start : start + 1000], start) for text in _texts(example)]
        for (row, _), one in zip(texts, tokenizer.encode_batch([text for _, text in texts]), strict=True):
            found[row] = max(found[row], len(one.ids) + (0 if "text" in examples[row] else AROUND))
    return found


def _texts(example: prepare.Example) -> list[str]:
    """What is read of an example, each answer of a pair after its question; nothing of a row that makes none."""
    if not example:
        return []
    if "text" in example:
        return [example["text"]]
    asked = [turn["content"] for turn in prepare.question(example)]
    if "answer" in example or (len(example) == 1 and "prompt" in example):
        answers = []
    else:
        answers = [prepare.conversation(example)[-1]["content"], *filter(None, [example.get("rejected")])]
    return ["\n".join([*asked, answer]) for answer in answers] or ["\n".join(asked)]


def main() -> int:
    """The child process: one question on stdin, answers on stdout."""
    asked = json.loads(sys.stdin.read())
    try:
        {"take": _take, "judge": _judge, "mend": _mend, "alike": _alike}[asked["do"]](asked)
    except Exception as error:
        child.say_problem(explain(error, AGAIN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
