"""A GGUF file opened by llama.cpp."""

from collections.abc import Sequence
from pathlib import Path

from studio.data import examples
from studio.data.examples import IGNORE_INDEX, Example
from studio.evaluate import answers
from studio.evaluate.predictions import Outcome
from studio.export import fetched_tools, modelfile
from studio.export.fetched_tools import LLAMA_CPP
from studio.export.llama_cpp.client import LlamaClient
from studio.export.replay.result import PromptCheck
from studio.export.replay.rows import answered_task, encode_row
from studio.models import load
from studio.runs import Run

MIN_CONTEXT = 512


class LlamaRuntime:
    """A GGUF file, opened."""

    name = "llama.cpp"

    def __init__(self, run: Run, file: Path, max_length: int, log_path: Path) -> None:
        self._run, self._tokenizer = run, load.tokenizer(run.model)
        self._task = answered_task(run.plan.task)
        context = max(MIN_CONTEXT, 2 * max_length + answers.MAX_NEW_TOKENS)
        self._log_path = log_path
        self._client = LlamaClient(fetched_tools.fetch(LLAMA_CPP), file, context, log_path)

    def measure(self, row: Example, needs: str) -> Outcome:
        """See `Runtime`."""
        if needs == "text":
            limit = answers.max_new_tokens(self._tokenizer, [row])
            messages = examples.to_prompt_messages(row)
            outcome: Outcome = self._client.ask("answer", messages=messages, max_tokens=limit)
            return outcome
        loss, n_tokens = 0.0, 0
        for piece in encode_row(self._run, self._task, row, self._tokenizer):
            learned = [
                position
                for position in range(1, len(piece.input_ids))
                if piece.labels[position] != IGNORE_INDEX
            ]
            loss += self._client.ask("loss", ids=piece.input_ids, positions=learned)
            n_tokens += len(learned)
        return {"loss": loss / n_tokens} if n_tokens else {}

    def check_prompts(self, rows: Sequence[Example]) -> tuple[PromptCheck, ...]:
        """What llama.cpp and Ollama make of prompts, byte for byte, and of the words that end an answer."""
        ollama = modelfile.describe_for_ollama(self._run)
        other_words = tuple(word for word in ollama.stop if not self._is_one_token(word))
        if self._task == "complete":
            return (PromptCheck(self.name, 0, 0, other_words),)
        opening = modelfile.opening_token(self._tokenizer)
        n_same_here = n_same_in_ollama = 0
        for row in rows:
            messages = examples.to_prompt_messages(row)
            wanted = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            n_same_here += self._is_same_prompt(messages, wanted)
            n_same_in_ollama += opening + ollama.render(messages) == wanted
        return (
            PromptCheck(self.name, len(rows), n_same_here, other_words),
            PromptCheck("Ollama", len(rows), n_same_in_ollama),
        )

    def _is_same_prompt(self, messages: list[dict[str, str]], wanted: str) -> bool:
        """Whether llama.cpp writes the same prompt, and reads the same tokens in it.

        A token that it sets before every text itself is not part of what it writes.
        """
        opening = modelfile.opening_token(self._tokenizer)
        rendered = self._client.ask("render", messages=messages)
        ids = self._tokenizer(wanted, add_special_tokens=False)["input_ids"]
        is_same = rendered in (wanted, wanted.removeprefix(opening))
        return bool(is_same and self._client.ask("tokenize", text=wanted) == ids)

    def _is_one_token(self, word: str) -> bool:
        return bool(self._client.ask("tokenize", text=word) == [self._tokenizer.convert_tokens_to_ids(word)])

    def close(self) -> None:
        """End llama.cpp."""
        self._client.close()
        self._log_path.unlink()
