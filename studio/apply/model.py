"""A run's tuned model as a sheet needs it: scores of texts, and answers to questions, a batch at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from studio import methods, runs
from studio.data import collate, examples
from studio.evaluate import answers, predictions
from studio.models import load
from studio.playground import server
from studio.runs import Run


class Scored(NamedTuple):
    """Scores of texts.

    Attributes:
        logits: Texts x labels.
        is_cut: Whether each text was longer than the run's texts, and its end was not read.
    """

    logits: list[list[float]]
    is_cut: list[bool]


class Answered(NamedTuple):
    """An answer.

    Attributes:
        text: The answer; empty where the question is too long.
        is_cut: Whether it was not finished within the longest answer.
        is_too_long: Whether the question left no room for an answer.
    """

    text: str
    is_cut: bool = False
    is_too_long: bool = False


class TunedModel:
    """The tuned model of a run, loaded."""

    def __init__(self, run: Run) -> None:
        self.plan, self.report = run.plan, runs.report(run)
        self.labels: list[str] = list(self.report["labels"])
        self.tokenizer = load.tokenizer(run.model)
        _, base = server.load_base(run)
        self.model = methods.get(self.plan.method.name).load(base, run.model)
        self.model.eval()
        self.max_new_tokens = answers.MAX_NEW_TOKENS
        if self.plan.task in ("chat", "prefer"):
            rows = predictions.read_rows(run.folder, "validation")
            self.max_new_tokens = answers.max_new_tokens(self.tokenizer, rows)

    def score(self, texts: Sequence[str]) -> Scored:
        """The logits of texts, or the number that each gets."""
        max_length = self.report["texts"]["max_length"]
        encoded = [examples.encode_text(text, [0], self.tokenizer, max_length) for text in texts]
        collator = collate.build_collator("classify", self.tokenizer)
        batch = collator([vars(row) for row in encoded])
        batch.pop("labels")
        with torch.no_grad():
            outputs = self.model(**{name: tensor.to(self.model.device) for name, tensor in batch.items()})
        return Scored(outputs.logits.float().cpu().tolist(), [row.truncated for row in encoded])

    def answer(self, conversations: Sequence[Sequence[dict[str, str]]]) -> list[Answered]:
        """The greedy answer to the last message of each conversation; of a text, its continuation."""
        longest_prompt = server.usable_context(self.model) - self.max_new_tokens
        prompts = [self._encode(messages) for messages in conversations]
        fitting = [ids for ids in prompts if len(ids) <= longest_prompt]
        completions = iter(self._generate(fitting))
        return [
            next(completions) if len(ids) <= longest_prompt else Answered("", is_too_long=True)
            for ids in prompts
        ]

    def _generate(self, prompts: list[list[int]]) -> list[Answered]:
        if not prompts:
            return []
        written = answers.generate_answers(self.model, self.tokenizer, prompts, self.max_new_tokens)
        return [Answered(answer.text.strip(), is_cut=answer.is_cut) for answer in written]

    def _encode(self, messages: Sequence[dict[str, str]]) -> list[int]:
        if self.plan.task == "complete":
            return server.encode_prompt("complete", messages[-1]["content"], self.tokenizer)
        return examples.apply_chat_template(self.tokenizer, messages, add_generation_prompt=True)
