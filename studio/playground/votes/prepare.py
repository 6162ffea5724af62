"""Prepares a blind vote: a child process answers a run's held-out questions with both contestants, once."""

import json
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from studio import processes, runs
from studio.data import examples
from studio.data.examples import Example
from studio.errors import NotPossible
from studio.i18n import Message
from studio.playground.votes import ballot
from studio.playground.votes.ballot import BallotQuestion, BlindVote, Contestant
from studio.runs import Run

DEFAULT_QUESTIONS, MAX_QUESTIONS = 40, 200
MAX_ANSWER_TOKENS = 160
# A text to continue is shown up to here (share of its characters, and characters at most).
BEGINNING_SHARE, MAX_BEGINNING_CHARS = 0.5, 600
ENDED_EARLY = Message("Writing the answers failed: {why}")
PREPARE_AGAIN = Message("Close other programs and try again, or use fewer questions.")
LABELS_NEED_NO_VOTE = Message(
    "“{name}” predicts labels. They are right or wrong, so there is nothing to vote on."
)
SEE_ACCURACY = Message("See its accuracy on the Train tab, or choose a run that writes answers.")
NO_QUESTION = Message("“{name}” has no held-out question that the other run was not trained on.")
OTHER_RUN = Message("Choose another run, or train one with a larger test set.")


class Progress(NamedTuple):
    """How many answers are written, of all; 0 of 0 while the models are loaded."""

    done: int
    total: int


def prepare(
    contestants: tuple[Contestant, Contestant], n_questions: int, passcode: str = ""
) -> Iterator[Progress | BlindVote]:
    """Let both contestants answer held-out questions of the second one's run, and store the vote there.

    Closing the iterator ends the child process, and nothing is stored.

    Args:
        contestants: The first and the second; of a run's two sides the base is the first.
        n_questions: How many questions are asked, if there are so many.
        passcode: What a voter has to know; "" for nothing.

    Yields:
        The progress, and at the end the vote.

    Raises:
        NotPossible: A run has no result or gives labels, or no question was kept aside.
        StudioError: The answers could not be written.
    """
    run = runs.get(contestants[1].run_id)
    prompts = select_prompts(contestants, min(n_questions, MAX_QUESTIONS))
    request = {"contestants": contestants, "prompts": prompts}
    yield Progress(0, 0)
    answers: list[list[str]] = []
    replies = processes.stream_replies(
        "studio.playground.votes.prepare", request, ENDED_EARLY, PREPARE_AGAIN, processes.WORKER
    )
    with closing(replies):  # Python 3.12 keeps what a closed generator holds
        for reply in replies:
            if "answers" in reply:
                answers = reply["answers"]
            else:
                yield Progress(int(reply["done"]), int(reply["total"]))
    first, second = answers
    questions = [BallotQuestion(*row) for row in zip(prompts, zip(first, second, strict=True), strict=True)]
    yield ballot.create(run, contestants, questions, passcode)


def select_prompts(
    contestants: tuple[Contestant, Contestant], n_questions: int
) -> list[list[dict[str, str]]]:
    """Distinct held-out prompts of the second contestant's run that neither run has trained on.

    Raises:
        NotPossible: There is none, or a run cannot take part.
    """
    trained: set[str] = set()
    for run_id in {contestant.run_id for contestant in contestants}:
        run = runs.get(run_id)
        runs.require_usable(run)
        if run.plan.task == "classify":
            raise NotPossible(LABELS_NEED_NO_VOTE, SEE_ACCURACY, name=run.plan.name)
        trained |= {json.dumps(prompt) for prompt in _read_prompts(run, "train")}
    run = runs.get(contestants[1].run_id)
    held_out = {json.dumps(prompt): prompt for prompt in _read_prompts(run, runs.report(run)["measured_on"])}
    prompts = [prompt for key, prompt in held_out.items() if key not in trained]
    if not prompts:
        raise NotPossible(NO_QUESTION, OTHER_RUN, name=run.plan.name)
    sampler = random.Random(run.id)  # noqa: S311 - which questions are asked is no secret
    return sampler.sample(prompts, min(n_questions, len(prompts)))


def _read_prompts(run: Run, split: str) -> list[list[dict[str, str]]]:
    """The prompts of a run's split as messages."""
    path = run.folder / "data" / f"{split}.jsonl"
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return [_to_prompt(json.loads(line)) for line in lines]


def _to_prompt(example: Example) -> list[dict[str, str]]:
    """The messages to answer; of a text to continue its beginning."""
    if "text" not in example:
        return examples.to_prompt_messages(example)
    text = example["text"]
    beginning = text[: min(MAX_BEGINNING_CHARS, max(1, round(BEGINNING_SHARE * len(text))))]
    return [{"role": "user", "content": beginning}]


def _write_answers(request: dict[str, Any]) -> list[list[str]]:
    """The answers of each contestant; the two sides of one run are loaded together, two runs in turn."""
    from studio.playground.server import ModelPair  # noqa: PLC0415 - only the child process

    contestants = [Contestant(*contestant) for contestant in request["contestants"]]
    total = len(contestants) * len(request["prompts"])
    texts: list[list[str]] = []
    pair, loaded_run = None, ""
    for contestant in contestants:
        if contestant.run_id != loaded_run:
            pair = None  # the memory of one run's models is free before the next is loaded
            pair, loaded_run = ModelPair(runs.get(contestant.run_id)), contestant.run_id
        n_done = sum(map(len, texts))
        texts.append(_answer_all(pair, contestant.side, request["prompts"], (n_done, total)))
    return texts


def _answer_all(pair: Any, side: str, prompts: Sequence[Any], progress: tuple[int, int]) -> list[str]:
    """Greedy answers of one side, in batches; `progress` is the answers written before, and of all."""
    from studio.evaluate import answers  # noqa: PLC0415 - loads torch
    from studio.playground import server  # noqa: PLC0415

    model, tokenizer = pair.models[side], pair.tokenizer
    max_prompt_tokens = server.usable_context(model) - MAX_ANSWER_TOKENS
    n_before, total = progress
    texts: list[str] = []
    for start in range(0, len(prompts), answers.BATCH_SIZE):
        processes.send_reply({"done": n_before + len(texts), "total": total})
        batch = [
            _encode(pair, prompt)[-max_prompt_tokens:]
            for prompt in prompts[start : start + answers.BATCH_SIZE]
        ]
        written = answers.generate_answers(model, tokenizer, batch, MAX_ANSWER_TOKENS)
        texts += [answer.text.strip() for answer in written]
    return texts


def _encode(pair: Any, messages: list[dict[str, str]]) -> list[int]:
    """The token ids that a model continues."""
    from studio.playground import server  # noqa: PLC0415 - loads torch

    if pair.plan.task == "complete":
        return server.encode_prompt("complete", messages[0]["content"], pair.tokenizer)
    return examples.apply_chat_template(pair.tokenizer, messages, add_generation_prompt=True)


def main() -> int:
    """The child process: one request on stdin, progress and the answers on stdout."""
    from studio.training.memory import limit_memory  # noqa: PLC0415 - only the child process

    limit_memory()
    return processes.serve_request(lambda request: processes.send_reply({"answers": _write_answers(request)}))


if __name__ == "__main__":
    sys.exit(main())
