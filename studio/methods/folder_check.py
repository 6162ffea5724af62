"""Examines a model folder whole before a run: its files, its tokenizer, its chat template, its head.

For the page and the terminal a child process does it, without torch, in a second or two; a worker does it
once more for what it has fetched. A folder comes from elsewhere: what breaks the child is a finding too.
"""

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from studio import presets, processes
from studio.data import examples
from studio.errors import ModelUnavailable, explain
from studio.i18n import Message
from studio.models import fetch, folder_files, other_kinds, shape
from studio.models.folder_files import Finding
from studio.models.shape import ModelShape
from studio.plan import Task

# Longer than the largest tokenizer takes on a busy machine.
TIMEOUT_SECONDS = 60
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "sentencepiece.bpe.model")
HEAD_CLASS_ENDING = "ForSequenceClassification"

NOT_EXAMINED = Message("The folder {folder} could not be examined: {why}")
NOT_EXAMINED_TO_DO = Message("Choose another model: the files of this one break the program that reads them.")
TOOK_TOO_LONG = Message("reading it took longer than {seconds} s.")
BROKE_OFF = Message("the process that read it broke off.")
NO_TOKENIZER = Message("The folder has no tokenizer: {files} is missing.")
NO_TOKENIZER_TO_DO = Message("Copy the tokenizer's files from where the model comes from into the folder.")
DAMAGED_TOKENIZER = Message("The tokenizer cannot be opened: {why}")
TOKENS_BEYOND = Message(
    "The tokenizer knows {count} {count:token|tokens} more than the model, which has {rows}: {tokens}."
)
TOKENS_BEYOND_TO_DO = Message(
    "Take the tokenizer that belongs to the model,"
    " or call resize_token_embeddings({size}) and save both again."
)
NO_END_TOKEN = Message("The tokenizer names no end token, so the model could not learn where an answer ends.")
NO_END_TOKEN_TO_DO = Message("Name it as “eos_token” in tokenizer_config.json: {candidates}.")
LIKELY_END_TOKENS = ("<|endoftext|>", "</s>", "<|im_end|>", "<eos>", "<|end_of_text|>", "<end_of_turn>")
ANY_SPECIAL_TOKEN = Message("one of its special tokens")
NO_PADDING = Message(
    "The tokenizer names neither a padding nor an end token, so texts cannot go through in batches."
)
NO_PADDING_TO_DO = Message("Name one as “pad_token” in tokenizer_config.json.")
BROKEN_TEMPLATE = Message("The chat template cannot write two questions with their answers: {why}")
BROKEN_TEMPLATE_TO_DO = Message(
    "Correct chat_template in tokenizer_config.json (or chat_template.jinja), or choose another model."
)
EMPTY_TEMPLATE = Message("it writes nothing, or not the answers.")
NO_TEMPLATE = Message("The model has no chat template.")
NO_TEMPLATE_TO_DO = Message("Turns are written as “User: …” and “Assistant: …”, and the result keeps that.")
SYSTEM_LOST = Message("The chat template takes no system message.")
SYSTEM_LOST_TO_DO = Message(
    "A system message becomes the beginning of the first question, here and in the result."
)
LEARNS_LAST_ANSWER = Message(
    "The chat template rewrites earlier answers, so of a conversation only the last is learned."
)
LEARNS_LAST_ANSWER_TO_DO = Message(
    "To learn all of them, make a row of each answer, with the turns before it."
)
FRESH_HEAD = Message("The model already sorts texts into {count} classes ({classes}).")
FRESH_HEAD_TO_DO = Message("Unless yours are the same, it gets a fresh head for the classes of your data.")
OWN_CODE = Message("The folder brings program code of its own ({files}).")
OWN_CODE_TO_DO = Message("It is not run: transformers' own code opens this family.")


def examine(folder: Path, task: Task) -> list[Finding]:
    """Everything to know of a model folder before it is trained for a task; the fatal ones first.

    Args:
        folder: The folder, with config.json and safetensors.
        task: What the model is to learn.
    """
    missing = folder_files.find_missing_files(folder)
    if missing:
        return [missing]
    pointers = list(folder_files.find_pointers(folder))
    if pointers:
        return pointers
    try:
        model_shape, config = shape.from_folder(folder), shape.read_config(folder)
    except ModelUnavailable as error:
        return [Finding(error.message, error.hint)]
    quantised = folder_files.find_quantisation(config, model_shape)
    if quantised and quantised.is_fatal:
        return [quantised]
    tensors, findings = folder_files.read_all_tensors(folder)
    mismatch = None if findings else folder_files.compare_with_shape(tensors, model_shape)
    if mismatch:
        findings.append(mismatch)
    findings += _examine_tokenizer(folder, task, folder_files.count_embeddings(tensors), model_shape)
    findings += [quantised] if quantised else []
    findings += _find_remarks(folder, task, config)
    return sorted(findings, key=lambda finding: not finding.is_fatal)


def _examine_tokenizer(folder: Path, task: Task, n_embeddings: int, model_shape: ModelShape) -> list[Finding]:
    """What is wrong with the tokenizer and, for tasks with answers, with its chat template."""
    from studio.models import tokenizer as tokenizers  # noqa: PLC0415 - the page's process does without

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return [Finding(NO_TOKENIZER.format(files=TOKENIZER_FILES[0]), NO_TOKENIZER_TO_DO)]
    try:
        tokenizer = tokenizers.load_tokenizer(folder)
        vocabulary = tokenizer.get_vocab()
    except Exception as error:
        why = str(explain(error).message.render()).splitlines()[0]
        return [Finding(DAMAGED_TOKENIZER.format(why=why[:200]), NO_TOKENIZER_TO_DO)]
    findings = []
    n_rows = n_embeddings or model_shape.vocabulary
    beyond = sorted((token for token, index in vocabulary.items() if index >= n_rows), key=vocabulary.get)
    if beyond:
        message = TOKENS_BEYOND.format(
            count=len(beyond), rows=n_rows, tokens=[f"“{token[:40]}”" for token in beyond[:5]]
        )
        size = max(vocabulary.values()) + 1
        findings.append(Finding(message, TOKENS_BEYOND_TO_DO.format(size=size)))
    if task == "classify":
        if tokenizer.pad_token_id is None:
            findings.append(Finding(NO_PADDING, NO_PADDING_TO_DO))
        return findings
    if tokenizer.eos_token_id is None:
        likely_tokens = [token for token in LIKELY_END_TOKENS if token in vocabulary]
        candidates = likely_tokens or ANY_SPECIAL_TOKEN
        return [*findings, Finding(NO_END_TOKEN, NO_END_TOKEN_TO_DO.format(candidates=candidates))]
    if task != "complete":
        findings += _examine_template(tokenizer)
    return findings


def _examine_template(tokenizer: Any) -> list[Finding]:
    from studio.models import tokenizer as tokenizers  # noqa: PLC0415 - the page's process does without

    template, conversation = str(tokenizer.chat_template), list(tokenizers.PROBE_CONVERSATION)
    try:
        text = tokenizer.apply_chat_template(conversation, tokenize=False)
        encoded = examples.encode_chat(conversation, tokenizer, len(text) + 100)
    except Exception as error:
        why = " ".join(str(explain(error).message.render()).split())
        return [Finding(BROKEN_TEMPLATE.format(why=why[:200]), BROKEN_TEMPLATE_TO_DO)]
    answers = [message["content"] for message in conversation if message["role"] == "assistant"]
    if not encoded or any(answer not in text for answer in answers):
        return [Finding(BROKEN_TEMPLATE.format(why=EMPTY_TEMPLATE), BROKEN_TEMPLATE_TO_DO)]
    learned_ids = [label for label in encoded.labels if label != examples.IGNORE_INDEX]
    findings = []
    if answers[0] not in tokenizer.decode(learned_ids):
        findings.append(Finding(LEARNS_LAST_ANSWER, LEARNS_LAST_ANSWER_TO_DO, is_fatal=False))
    if template == tokenizers.PLAIN_TEMPLATE:
        findings.append(Finding(NO_TEMPLATE, NO_TEMPLATE_TO_DO, is_fatal=False))
    if template.startswith(tokenizers.SYSTEM_INTO_QUESTION):
        findings.append(Finding(SYSTEM_LOST, SYSTEM_LOST_TO_DO, is_fatal=False))
    return findings


def _find_remarks(folder: Path, task: Task, config: dict[str, Any]) -> list[Finding]:
    """What stops no run, and somebody should know."""
    findings = []
    classes = shape.list_labels(config)
    has_head = any(name.endswith(HEAD_CLASS_ENDING) for name in other_kinds.list_architectures(config))
    if task == "classify" and has_head and classes:
        message = FRESH_HEAD.format(count=len(classes), classes=[name[:40] for name in classes[:5]])
        findings.append(Finding(message, FRESH_HEAD_TO_DO, is_fatal=False))
    code_files = sorted(path.name for path in folder.glob("*.py"))
    if config.get("auto_map") or code_files:
        message = OWN_CODE.format(files=code_files[:3] or "auto_map")
        findings.append(Finding(message, OWN_CODE_TO_DO, is_fatal=False))
    return findings


def require_usable(folder: Path, task: Task) -> None:
    """Examine a folder in this process.

    Raises:
        ModelUnavailable: No run can start with it.
    """
    raise_fatal(examine(folder, task))


def raise_fatal(findings: list[Finding]) -> None:
    """Raise the first fatal finding as ModelUnavailable; nothing where there is none."""
    for finding in findings:
        if finding.is_fatal:
            raise ModelUnavailable(finding.message, finding.to_do)


def check(folder: Path, task: Task) -> list[Finding]:
    """Examine a folder in a child process; the same folder is examined again only once a file has changed.

    Args:
        folder: The folder.
        task: What the model is to learn.
    """
    try:
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()]
    except OSError:
        files = []
    return list(_run_check(str(folder), task, tuple(sorted(files))))


def require_startable(model: str, task: Task) -> list[Finding]:
    """Examine a base model before a run is created, if it is on this machine and not of the catalogue.

    Args:
        model: A catalogue id, a hub id or a folder.
        task: What it is to learn.

    Returns:
        Remarks, which stop no run.

    Raises:
        ModelUnavailable: No run can start with it.
    """
    base = None if model in presets.models() else fetch.find_cached(model)
    findings = check(base.folder, task) if base else []
    raise_fatal(findings)
    return findings


@lru_cache(maxsize=64)
def _run_check(folder: str, task: Task, files: tuple[tuple[str, int, int], ...]) -> tuple[Finding, ...]:
    request = json.dumps({"folder": folder, "task": task})
    why = BROKE_OFF
    try:
        process = processes.run_module(
            "studio.methods.folder_check", input_text=request, timeout=TIMEOUT_SECONDS
        )
        reply = json.loads(process.stdout.splitlines()[-1])
        return tuple(Finding.from_json(fields) for fields in reply)
    except subprocess.TimeoutExpired:
        why = TOOK_TOO_LONG.format(seconds=TIMEOUT_SECONDS)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        pass
    return (Finding(NOT_EXAMINED.format(folder=folder, why=why), NOT_EXAMINED_TO_DO),)


def main() -> int:
    """The child process: a folder and a task as JSON on stdin, the findings as JSON on stdout."""
    sys.modules["torch"] = None  # type: ignore[assignment] # tokenizers do without, and it takes seconds
    request = json.loads(sys.stdin.read())
    if request["task"] not in get_args(Task):
        return 1
    findings = examine(Path(request["folder"]), request["task"])
    sys.stdout.write(json.dumps([finding.to_json() for finding in findings]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
