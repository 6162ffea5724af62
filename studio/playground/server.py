"""The process that holds base and tuned model, reads questions as JSON lines, and streams both answers."""

import copy
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import TextIteratorStreamer

from studio import methods, runs
from studio.data import collate, examples
from studio.errors import StudioError, explain
from studio.evaluate import answers
from studio.i18n import Message
from studio.models import fetch, load
from studio.plan import Task
from studio.playground import shared_batch
from studio.runs import Run
from studio.training.memory import limit_memory

# The process ends when it has not been asked for so long (seconds).
IDLE_TIMEOUT_SECONDS = 900
# How long an answer gets to end once the process was told to (seconds).
STOP_TIMEOUT_SECONDS = 10
SELF_TEST_PROMPT = "The order arrived today and one part is missing. What should happen next?"
# Of a model whose config does not say.
DEFAULT_CONTEXT_LENGTH = 2048

SendEvent = Callable[[dict[str, Any]], None]


class ModelPair:
    """A run's base and tuned model on the same weights in memory, with a self-test that tells them apart."""

    def __init__(self, run: Run) -> None:
        self.plan, self.report = run.plan, runs.complete_report(run)
        self.is_report_intact = runs.is_report_intact(run)
        self.labels = tuple(self.report["labels"])
        self.tokenizer = load.tokenizer(run.model)
        method = methods.get(self.plan.method.name)
        base_name, base = load_base(run)
        base_checksum, base_logits = self._checksum("base", base), self._probe_logits(base)
        # The tuned model gets its own modules around the same tensors: no weight is held twice, nothing is
        # switched.
        shared_tensors = {id(tensor): tensor for tensor in (*base.parameters(), *base.buffers())}
        tuned = method.load(copy.deepcopy(base, shared_tensors), run.model)
        self.models = {"base": base, "tuned": tuned}
        self.answers_together = self.plan.task != "classify" and shared_batch.is_possible(base, tuned)
        self.self_test = {
            "base": self._badge("base", base_name, base_checksum),
            "tuned": self._badge("tuned", self.plan.name, self._checksum("tuned", tuned)),
            "base_moved": self._max_change(base, base_logits),
            "tuned_moved": self._max_change(tuned, base_logits),
        }

    def answer(self, side: str, question: dict[str, Any], send: SendEvent, stop: threading.Event) -> None:
        """Answer on one side, sending each piece as it is written, and at the end how long it took."""
        started_at = time.perf_counter()
        n_tokens = 0
        if self.plan.task == "classify":
            send({"side": side, "scores": self._classify(side, question["prompt"])})
        else:
            n_tokens = self._stream_text(side, question, send, stop)
        seconds = round(time.perf_counter() - started_at, 2)
        send({"side": side, "done": True, "tokens": n_tokens, "seconds": seconds})

    def answer_together(
        self, prompts: list[list[int]], question: dict[str, Any], send: SendEvent, stop: threading.Event
    ) -> None:
        """Answer on both sides in one batch, sending pieces as they are written; each side ends by itself.

        Args:
            prompts: What each side continues (`encode_question_for_all`).
            question: The question.
            send: Takes the pieces.
            stop: Ends it.
        """
        started_at, length = time.perf_counter(), int(question["length"])

        def build_streamer(side: str) -> shared_batch.RowStreamer:
            def send_end(n_tokens: int) -> None:
                seconds = round(time.perf_counter() - started_at, 2)
                send({"side": side, "done": True, "tokens": n_tokens, "seconds": seconds})

            return shared_batch.RowStreamer(
                self.tokenizer, lambda text: send({"side": side, "text": text}), send_end
            )

        shared_batch.generate(
            self.models["tuned"],
            self.tokenizer,
            prompts,
            [build_streamer(side) for side in self.models],
            stop,
            {"max_new_tokens": length, **sampling_kwargs(question)},
        )

    def encode_question(self, side: str, question: dict[str, Any]) -> list[int]:
        """The token ids that a side continues.

        Raises:
            StudioError: They leave no room for the answer.
        """
        earlier = earlier_messages(side, question)
        prompt_ids = encode_prompt(self.plan.task, question["prompt"], self.tokenizer, earlier)
        _require_fit(len(prompt_ids), int(question["length"]), usable_context(self.models[side]))
        return prompt_ids

    def encode_question_for_all(self, question: dict[str, Any]) -> list[list[int]]:
        """The token ids that each side continues; empty where one of them has no room for its answer."""
        try:
            return [self.encode_question(side, question) for side in self.models]
        except StudioError:
            return []

    def _checksum(self, side: str, model: Any) -> str:
        return load.fingerprint(model, self.report[side]["checksum"])

    def _badge(self, side: str, name: str, checksum: str) -> dict[str, Any]:
        is_as_trained = checksum == self.report[side]["checksum"]
        return {
            "name": name,
            "checksum": checksum,
            "as_trained": is_as_trained,
            "is_report_intact": self.is_report_intact,
        }

    def _max_change(self, model: Any, base_logits: torch.Tensor) -> float:
        """The largest change of any logit on the self-test's prompt against the base alone."""
        return float((self._probe_logits(model) - base_logits).abs().max())

    def _probe_logits(self, model: Any) -> torch.Tensor:
        with torch.no_grad():
            logits = model(**self._encode(SELF_TEST_PROMPT, model)).logits.float().cpu()
        if logits.dim() == 3:  # virtual tokens have logits of their own
            return logits[:, collate.count_virtual_tokens(model) :]
        return logits

    def _encode(self, text: str, model: Any) -> Any:
        """A text as tokens on the model's device, cut at the limit of the run, which both models can read."""
        max_length = self.report["texts"]["max_length"]
        inputs = self.tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
        return inputs.to(model.device)

    def _stream_text(
        self, side: str, question: dict[str, Any], send: SendEvent, stop: threading.Event
    ) -> int:
        """Send the pieces of an answer. Returns how many tokens were generated."""
        prompt_ids = self.encode_question(side, question)
        generate_kwargs = {"max_new_tokens": int(question["length"]), **sampling_kwargs(question)}
        n_tokens = 0

        def should_stop(input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
            nonlocal n_tokens
            n_tokens += 1
            return torch.full((input_ids.shape[0],), stop.is_set(), device=input_ids.device)

        generate_kwargs["stopping_criteria"] = [should_stop]
        stream_generation(
            self.models[side],
            self.tokenizer,
            prompt_ids,
            generate_kwargs,
            lambda text: send({"side": side, "text": text}),
        )
        return n_tokens

    def _classify(self, side: str, text: str) -> dict[str, float]:
        """The probability of each label, or the number that a text gets."""
        model = self.models[side]
        with torch.no_grad():
            logits = model(**self._encode(text, model)).logits[0].float()
        problem_type = self.report.get("problem_type")
        if problem_type == "regression":
            values = self._in_unit(side, logits)
        elif problem_type == "multi_label_classification":
            values = logits.sigmoid()
        else:
            values = logits.softmax(-1)
        return dict(zip(self.labels, values.tolist(), strict=True))

    def _in_unit(self, side: str, logits: torch.Tensor) -> torch.Tensor:
        """Numbers in the unit of the examples: only the tuned model's own head gives them so."""
        scale = self.report["scale"]
        return logits if side == "tuned" else scale["mean"] + scale["deviation"] * logits


def load_base(run: Run) -> tuple[str, Any]:
    """What a run's base is called, and the base as the run trained on it."""
    plan, report = run.plan, runs.report(run)
    fetched = fetch.fetch(plan.model)
    model = load.base_model(
        fetched.folder,
        plan.task,
        report["labels"],
        plan.training.seed,
        load.WeightStorage(methods.get(plan.method.name).weights == "nf4", plan.training.disk_offload),
        reads_pooling=report["base"].get("architecture") == "PooledClassifier",
    )
    return fetched.name, model


def usable_context(model: Any) -> int:
    """How many tokens of prompt and answer fit into a model's context; virtual tokens take positions too."""
    positions = int(getattr(model.config, "max_position_embeddings", 0) or DEFAULT_CONTEXT_LENGTH)
    prompt_config = collate.get_prompt_config(model)
    return positions - prompt_config.num_virtual_tokens if prompt_config else positions


def _require_fit(n_prompt_tokens: int, length: int, context: int) -> None:
    if n_prompt_tokens + length <= context:
        return
    raise StudioError(
        Message(
            "The question has {have:,} tokens; with an answer of {length}, this model can read {most:,}."
        ),
        Message("Shorten the question or lower the max length."),
        have=n_prompt_tokens,
        length=length,
        most=context - length,
    )


def stream_generation(
    model: Any,
    tokenizer: Any,
    prompt_ids: list[int],
    generate_kwargs: dict[str, Any],
    on_text: Callable[[str], None],
) -> None:
    """Generate in a thread and pass on each piece of text as it is written; raises what `generate` raises."""
    input_ids = torch.tensor([prompt_ids], device=model.device)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    failures: list[BaseException] = []

    def generate() -> None:
        try:
            with torch.no_grad():
                model.generate(
                    input_ids=input_ids,
                    attention_mask=torch.ones_like(input_ids),
                    streamer=streamer,
                    pad_token_id=tokenizer.pad_token_id,
                    eos_token_id=sorted(answers.stop_token_ids(model, tokenizer)),
                    **generate_kwargs,
                )
        except BaseException as error:
            failures.append(error)
            streamer.end()  # so that the reader does not wait for ever

    thread = threading.Thread(target=generate, daemon=True)
    thread.start()
    for text in streamer:
        if text:
            on_text(text)
    thread.join()
    if failures:
        raise failures[0]


def earlier_messages(side: str, question: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a side reads before a question: the system prompt, and its own part of the conversation."""
    system = question.get("system", "")
    messages = [{"role": "system", "content": system}] if system else []
    for turn in question.get("turns", ()):
        messages.append({"role": "user", "content": turn["prompt"]})
        messages.append({"role": "assistant", "content": turn[side]})
    return messages


def encode_prompt(task: Task, text: str, tokenizer: Any, earlier: Sequence[dict[str, str]] = ()) -> list[int]:
    """The token ids that a model continues: a text as it is, or a question under the chat template.

    Args:
        task: What the model has learned.
        text: The text, or the question.
        tokenizer: The model's tokenizer.
        earlier: What a chat model reads before the question.
    """
    if task != "complete":
        messages = [*earlier, {"role": "user", "content": text}]
        return examples.apply_chat_template(tokenizer, messages, add_generation_prompt=True)
    ids = list(tokenizer(text)["input_ids"])
    ends_text = len(ids) > 1 and ids[-1] == tokenizer.eos_token_id
    return ids[:-1] if ends_text else ids


def sampling_kwargs(question: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `generate` that choose each token as a question asks for."""
    temperature = float(question["temperature"])
    if temperature <= 0:
        return dict(answers.GREEDY)
    sampler = gumbel_sampler(temperature, int(question["seed"]), same_for_rows=True)
    return {**answers.GREEDY, "logits_processor": [sampler]}


def gumbel_sampler(
    temperature: float, seed: int, same_for_rows: bool = False
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A logits processor that makes the argmax a sample at `temperature` (> 0), the same for the same seed.

    Adding Gumbel noise to logits ÷ temperature and taking the largest is sampling from their softmax
    (Gumbel 1954). Unlike the sampling of `generate` it has its own random generator, so both sides can
    sample at the same time, each repeatably.

    Args:
        temperature: Of the sampling.
        seed: Of the noise.
        same_for_rows: Whether the rows of a batch get the same noise.
    """
    generator = torch.Generator().manual_seed(seed)

    def add_noise(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        n_noises = 1 if same_for_rows else len(scores)
        uniform = torch.rand((n_noises, scores.shape[-1]), generator=generator, dtype=torch.float32)
        exponential = -uniform.clamp_min(1e-20).log()
        gumbel = -exponential.clamp_min(1e-20).log()
        return scores.float() / temperature + gumbel.to(scores.device)

    return add_noise


def answer_both(models: ModelPair, question: dict[str, Any], send: SendEvent, stop: threading.Event) -> None:
    """Answer on both sides at once, in one batch or in a thread each.

    A side that fails sends why; where they have a thread each, the other goes on.
    """
    prompts = models.encode_question_for_all(question) if models.answers_together else []
    if prompts:
        _answer_together(models, prompts, question, send, stop)
        return

    def answer_side(side: str) -> None:
        try:
            models.answer(side, question, send, stop)
        except Exception as error:
            _send_error(side, error, send)

    threads = [threading.Thread(target=answer_side, args=(side,), daemon=True) for side in models.models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _answer_together(
    models: ModelPair,
    prompts: list[list[int]],
    question: dict[str, Any],
    send: SendEvent,
    stop: threading.Event,
) -> None:
    ended = set()

    def send_and_note(event: dict[str, Any]) -> None:
        if event.get("done"):
            ended.add(event["side"])
        send(event)

    try:
        models.answer_together(prompts, question, send_and_note, stop)
    except Exception as error:
        for side in models.models.keys() - ended:
            _send_error(side, error, send)


def _send_error(side: str, error: Exception, send: SendEvent) -> None:
    message = explain(error).to_message().to_json()
    send({"side": side, "error": message, "done": True, "tokens": 0, "seconds": 0})


def _queue_lines(lines: "queue.Queue[str]") -> None:
    """Put each line of stdin into a queue, and an empty one at the end.

    `select` on a buffered stream would miss a line that came together with another.
    """
    for line in sys.stdin:
        lines.put(line)
    lines.put("")


def _serve(models: ModelPair, send: SendEvent) -> None:
    """Answer questions until the input ends or none comes for IDLE_TIMEOUT_SECONDS."""
    stop = threading.Event()
    answering: threading.Thread | None = None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_queue_lines, args=(lines,), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=IDLE_TIMEOUT_SECONDS)
        except queue.Empty:
            break
        if not line:
            break
        request = json.loads(line)
        if request.get("stop"):
            stop.set()
        if "prompt" in request:
            if answering:
                answering.join()
            stop.clear()
            answering = threading.Thread(target=answer_both, args=(models, request, send, stop), daemon=True)
            answering.start()
    stop.set()
    if answering:
        answering.join(timeout=STOP_TIMEOUT_SECONDS)


def main() -> int:
    """`python -m studio.playground.server RUN`: load both models, send the self-test, answer questions."""
    lock, output = threading.Lock(), sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not end up between the answers

    def send(event: dict[str, Any]) -> None:
        with lock:
            output.write(json.dumps(event, ensure_ascii=False) + "\n")
            output.flush()

    try:
        limit_memory()
        models = ModelPair(runs.get(sys.argv[1]))
        if not models.answers_together:  # both sides compute at the same time
            torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    except Exception as error:
        send({"failed": explain(error).to_message().to_json()})
        return 1
    send({"proof": models.self_test})
    _serve(models, send)
    return 0


if __name__ == "__main__":
    sys.exit(main())
