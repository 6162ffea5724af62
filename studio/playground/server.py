"""The process that holds both models: reads questions as JSON lines, writes both answers as they grow."""

import copy
import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TextIteratorStreamer

from studio import methods, runs
from studio.data import collate, examples
from studio.errors import StudioError, explain
from studio.i18n import Message
from studio.models import fetch, load
from studio.plan import Task
from studio.runs import Run
from studio.training.memory import limit_memory

# Models nobody asks for so long are put away (seconds).
IDLE_TIMEOUT_SECONDS = 900
SELF_TEST_PROMPT = "The order arrived today and one part is missing. What should happen next?"

SendEvent = Callable[[dict[str, Any]], None]


class ModelPair:
    """A run's base and tuned model on the same weights in memory, each module its own, with a proof of which is which."""

    def __init__(self, run: Run) -> None:
        self.plan, self.report = run.plan, runs.report(run)
        fetched = fetch.fetch(self.plan.model)
        method, self.labels = methods.get(self.plan.method.name), tuple(self.report["labels"])
        self.tokenizer = load.tokenizer(run.model)
        base = load.base_model(
            fetched.folder, self.plan.task, self.labels, self.plan.training.seed, method.weights == "nf4"
        )
        base_checksum, base_logits = load.fingerprint(base), self._probe_logits(base)
        # The tuned side gets modules of its own around the same numbers: nothing is held twice, nothing is switched over.
        shared_tensors = {id(value): value for value in (*base.parameters(), *base.buffers())}
        tuned = method.load(copy.deepcopy(base, shared_tensors), run.model)
        self.models = {"base": base, "tuned": tuned}
        tuned_checksum = load.fingerprint(tuned)
        self.self_test = {
            "base": {
                "name": fetched.name,
                "checksum": base_checksum,
                "as_trained": base_checksum == self.report["base"]["checksum"],
            },
            "tuned": {
                "name": self.plan.name,
                "checksum": tuned_checksum,
                "as_trained": tuned_checksum == self.report["tuned"]["checksum"],
            },
            "base_moved": float((self._probe_logits(base) - base_logits).abs().max()),
            "tuned_moved": float((self._probe_logits(tuned) - base_logits).abs().max()),
        }

    def answer(self, side: str, question: dict[str, Any], send: SendEvent, stop: threading.Event) -> None:
        """Answer on one side, telling each piece as it comes."""
        started = time.perf_counter()
        if self.plan.task == "classify":
            send({"side": side, "scores": self._classify(side, question["prompt"])})
            count = 0
        else:
            count = self._stream_text(side, question, send, stop)
        send(
            {"side": side, "done": True, "tokens": count, "seconds": round(time.perf_counter() - started, 2)}
        )

    def _stream_text(
        self, side: str, question: dict[str, Any], send: SendEvent, stop: threading.Event
    ) -> int:
        model, length = self.models[side], int(question["length"])
        prompt = encode_prompt(self.plan.task, question["prompt"], self.tokenizer)
        prefix_config = collate.get_prompt_config(model)
        context_length = int(getattr(model.config, "max_position_embeddings", 0) or 2048) - (
            prefix_config.num_virtual_tokens if prefix_config else 0
        )
        if len(prompt) + length > context_length:
            raise StudioError(
                Message(
                    "The question has {have:,} tokens; with an answer of {length} the model can read {most:,}."
                ),
                Message("Shorten the question or the answer."),
                have=len(prompt),
                length=length,
                most=context_length - length,
            )
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        processors = (
            [gumbel_sampler(float(question["temperature"]), int(question["seed"]))]
            if float(question["temperature"]) > 0
            else []
        )
        input_ids = torch.tensor([prompt], device=model.device)
        token_marks: list[int] = []
        failures: list[BaseException] = []

        def should_stop(input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
            token_marks.append(1)
            return torch.full((input_ids.shape[0],), stop.is_set(), device=input_ids.device)

        def generate() -> None:
            try:
                with torch.no_grad():
                    model.generate(
                        input_ids=input_ids,
                        attention_mask=torch.ones_like(input_ids),
                        max_new_tokens=length,
                        do_sample=False,
                        temperature=None,
                        top_p=None,
                        top_k=None,
                        logits_processor=processors,
                        stopping_criteria=[should_stop],
                        streamer=streamer,
                        pad_token_id=self.tokenizer.pad_token_id,
                    )
            except BaseException as error:
                failures.append(error)
                streamer.end()  # so that the reader does not wait for ever

        thread = threading.Thread(target=generate, daemon=True)
        thread.start()
        for piece in streamer:
            if piece:
                send({"side": side, "text": piece})
        thread.join()
        if failures:
            raise failures[0]
        return len(token_marks)

    def _classify(self, side: str, text: str) -> dict[str, float]:
        model = self.models[side]
        inputs = self.tokenizer(
            text, return_tensors="pt", truncation=True, max_length=self.report["texts"]["max_length"]
        ).to(model.device)
        with torch.no_grad():
            probabilities = model(**inputs).logits.float().softmax(-1)[0].tolist()
        return dict(zip(self.labels, probabilities, strict=True))

    def _probe_logits(self, model: Any) -> torch.Tensor:
        inputs = self.tokenizer(SELF_TEST_PROMPT, return_tensors="pt").to(model.device)
        with torch.no_grad():
            logits = model(**inputs).logits.float().cpu()
        return (
            logits[:, collate.count_virtual_tokens(model) :] if logits.dim() == 3 else logits
        )  # virtual words have scores of their own


def encode_prompt(task: Task, text: str, tokenizer: Any) -> list[int]:
    """The token ids that a model goes on from: a text to continue as it stands, else a question under the chat template."""
    if task != "complete":
        return examples.apply_chat_template(
            tokenizer, [{"role": "user", "content": text}], add_generation_prompt=True
        )
    ids = list(tokenizer(text)["input_ids"])
    return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids


def gumbel_sampler(temperature: float, seed: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A logits processor that makes the likeliest word a fair draw at `temperature` (> 0), the same for the same seed.

    Adding Gumbel noise to scores ÷ temperature and taking the largest is sampling from their softmax (Gumbel 1954). Unlike the
    sampling of `generate` it has a source of chance of its own, so both sides can draw at the same time, each repeatably.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = (
            torch.rand(scores.shape, generator=generator, dtype=torch.float32)
            .clamp_min_(1e-20)
            .log_()
            .neg_()
            .clamp_min_(1e-20)
            .log_()
            .neg_()
        )
        return scores.float() / temperature + noise.to(scores.device)

    return draw


def answer_both(models: ModelPair, question: dict[str, Any], send: SendEvent, stop: threading.Event) -> None:
    """Both answers at the same time, one thread each; a side that cannot answer says why, and the other goes on."""

    def answer_side(side: str) -> None:
        try:
            models.answer(side, question, send, stop)
        except Exception as error:
            send(
                {
                    "side": side,
                    "error": explain(error).to_message().to_json(),
                    "done": True,
                    "tokens": 0,
                    "seconds": 0,
                }
            )

    threads = [threading.Thread(target=answer_side, args=(side,), daemon=True) for side in ("base", "tuned")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read_lines(lines: "queue.Queue[str]") -> None:
    """Pass on each line, and an empty one at the end; select on a buffered stream would miss a line that came with another."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")


def main() -> int:
    """`python -m studio.playground.server RUN`: load, prove, then answer until the input ends or nobody asks any more."""
    lock, output = threading.Lock(), sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not land between the answers

    def send(event: dict[str, Any]) -> None:
        with lock:
            output.write(json.dumps(event, ensure_ascii=False) + "\n")
            output.flush()

    try:
        limit_memory()
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))  # both sides compute at the same time
        models = ModelPair(runs.get(sys.argv[1]))
    except Exception as error:
        send({"failed": explain(error).to_message().to_json()})
        return 1
    send({"proof": models.self_test})
    stop, answer_thread = threading.Event(), None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=IDLE_TIMEOUT_SECONDS)
        except queue.Empty:
            break
        if not line:
            break
        request = json.loads(line)
        stop.set() if request.get("stop") else stop.clear()
        if "prompt" in request:
            if answer_thread:
                answer_thread.join()
            stop.clear()
            answer_thread = threading.Thread(
                target=answer_both, args=(models, request, send, stop), daemon=True
            )
            answer_thread.start()
    stop.set()
    if answer_thread:
        answer_thread.join(timeout=10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
