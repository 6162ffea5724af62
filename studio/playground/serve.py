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
from studio.data import batch, prepare
from studio.errors import StudioError, explain
from studio.models import fetch, load
from studio.plan import Task
from studio.runs import Run
from studio.train.worker import limit_memory
from studio.words import Words

# Models nobody asks for so long are put away (seconds).
IDLE_SECONDS = 900
PROBE = "The order arrived today and one part is missing. What should happen next?"

Say = Callable[[dict[str, Any]], None]


class Sides:
    """A run's base and tuned model on the same weights in memory, each module its own, with a proof of which is which."""

    def __init__(self, run: Run) -> None:
        self.plan, self.report = run.plan, runs.report(run)
        found = fetch.fetch(self.plan.model)
        method, self.labels = methods.get(self.plan.method.name), tuple(self.report["labels"])
        self.tokenizer = load.tokenizer(run.model)
        base = load.base(found.folder, self.plan.task, self.labels, self.plan.training.seed, method.weights == "nf4")
        checksum, alone = load.fingerprint(base), self._probe(base)
        # The tuned side gets modules of its own around the same numbers: nothing is held twice, nothing is switched over.
        shared = {id(value): value for value in (*base.parameters(), *base.buffers())}
        tuned = method.load(copy.deepcopy(base, shared), run.model)
        self.models = {"base": base, "tuned": tuned}
        learned = load.fingerprint(tuned)
        self.proof = {
            "base": {"name": found.name, "checksum": checksum, "as_trained": checksum == self.report["base"]["checksum"]},
            "tuned": {"name": self.plan.name, "checksum": learned, "as_trained": learned == self.report["tuned"]["checksum"]},
            "base_moved": float((self._probe(base) - alone).abs().max()),
            "tuned_moved": float((self._probe(tuned) - alone).abs().max()),
        }

    def answer(self, side: str, question: dict[str, Any], say: Say, stop: threading.Event) -> None:
        """Answer on one side, telling each piece as it comes."""
        began = time.perf_counter()
        if self.plan.task == "classify":
            say({"side": side, "scores": self._classes(side, question["prompt"])})
            count = 0
        else:
            count = self._write(side, question, say, stop)
        say({"side": side, "done": True, "tokens": count, "seconds": round(time.perf_counter() - began, 2)})

    def _write(self, side: str, question: dict[str, Any], say: Say, stop: threading.Event) -> int:
        model, length = self.models[side], int(question["length"])
        prompt = asked(self.plan.task, question["prompt"], self.tokenizer)
        before = batch.prompt(model)
        context = int(getattr(model.config, "max_position_embeddings", 0) or 2048) - (before.num_virtual_tokens if before else 0)
        if len(prompt) + length > context:
            raise StudioError(
                Words(
                    "The question has {have:,} tokens; with an answer of {length} the model can read {most:,}.",
                    "问题有 {have:,} 个 token；回答 {length} 个时模型最多能读 {most:,} 个。",
                ),
                Words("Shorten the question or the answer.", "请缩短问题，或把回答的长度调小。"),
                have=len(prompt),
                length=length,
                most=context - length,
            )
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        processors = [chance(float(question["temperature"]), int(question["seed"]))] if float(question["temperature"]) > 0 else []
        ids = torch.tensor([prompt], device=model.device)
        written: list[int] = []
        failed: list[BaseException] = []

        def stopped(ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
            written.append(1)
            return torch.full((ids.shape[0],), stop.is_set(), device=ids.device)

        def generate() -> None:
            try:
                with torch.no_grad():
                    model.generate(
                        input_ids=ids,
                        attention_mask=torch.ones_like(ids),
                        max_new_tokens=length,
                        do_sample=False,
                        temperature=None,
                        top_p=None,
                        top_k=None,
                        logits_processor=processors,
                        stopping_criteria=[stopped],
                        streamer=streamer,
                        pad_token_id=self.tokenizer.pad_token_id,
                    )
            except BaseException as error:
                failed.append(error)
                streamer.end()  # so that the reader does not wait for ever

        thread = threading.Thread(target=generate, daemon=True)
        thread.start()
        for piece in streamer:
            if piece:
                say({"side": side, "text": piece})
        thread.join()
        if failed:
            raise failed[0]
        return len(written)

    def _classes(self, side: str, text: str) -> dict[str, float]:
        model = self.models[side]
        asked = self.tokenizer(text, return_tensors="pt", truncation=True, max_length=self.report["texts"]["max_length"]).to(model.device)
        with torch.no_grad():
            shares = model(**asked).logits.float().softmax(-1)[0].tolist()
        return dict(zip(self.labels, shares, strict=True))

    def _probe(self, model: Any) -> torch.Tensor:
        asked = self.tokenizer(PROBE, return_tensors="pt").to(model.device)
        with torch.no_grad():
            scores = model(**asked).logits.float().cpu()
        return scores[:, batch.shift(model) :] if scores.dim() == 3 else scores  # virtual words have scores of their own


def asked(task: Task, text: str, tokenizer: Any) -> list[int]:
    """The token ids that a model goes on from: a text to continue as it stands, else a question under the chat template."""
    if task != "complete":
        return prepare.template(tokenizer, [{"role": "user", "content": text}], answer_follows=True)
    ids = list(tokenizer(text)["input_ids"])
    return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids


def chance(temperature: float, seed: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A logits processor that makes the likeliest word a fair draw at `temperature` (> 0), the same for the same seed.

    Adding Gumbel noise to scores ÷ temperature and taking the largest is sampling from their softmax (Gumbel 1954). Unlike the
    sampling of `generate` it has a source of chance of its own, so both sides can draw at the same time, each repeatably.
    """
    source = torch.Generator().manual_seed(seed)

    def draw(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = (
            torch.rand(scores.shape, generator=source, dtype=torch.float32).clamp_min_(1e-20).log_().neg_().clamp_min_(1e-20).log_().neg_()
        )
        return scores.float() / temperature + noise.to(scores.device)

    return draw


def answer_both(sides: Sides, question: dict[str, Any], say: Say, stop: threading.Event) -> None:
    """Both answers at the same time, one thread each; a side that cannot answer says why, and the other goes on."""

    def one(side: str) -> None:
        try:
            sides.answer(side, question, say, stop)
        except Exception as error:
            found = explain(error)
            say({"side": side, "error": {"en": found.say("en"), "zh": found.say("zh")}, "done": True, "tokens": 0, "seconds": 0})

    threads = [threading.Thread(target=one, args=(side,), daemon=True) for side in ("base", "tuned")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read(lines: "queue.Queue[str]") -> None:
    """Pass on each line, and an empty one at the end; select on a buffered stream would miss a line that came with another."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")


def main() -> int:
    """`python -m studio.playground.serve RUN`: load, prove, then answer until the input ends or nobody asks any more."""
    lock, out = threading.Lock(), sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not land between the answers

    def say(event: dict[str, Any]) -> None:
        with lock:
            out.write(json.dumps(event, ensure_ascii=False) + "\n")
            out.flush()

    try:
        limit_memory()
        torch.set_num_threads(max(1, torch.get_num_threads() // 2))  # both sides compute at the same time
        sides = Sides(runs.get(sys.argv[1]))
    except Exception as error:
        found = explain(error)
        say({"failed": {"en": found.say("en"), "zh": found.say("zh")}})
        return 1
    say({"proof": sides.proof})
    stop, working = threading.Event(), None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            break
        if not line:
            break
        asked = json.loads(line)
        stop.set() if asked.get("stop") else stop.clear()
        if "prompt" in asked:
            if working:
                working.join()
            stop.clear()
            working = threading.Thread(target=answer_both, args=(sides, asked, say, stop), daemon=True)
            working.start()
    stop.set()
    if working:
        working.join(timeout=10)
    return 0


if __name__ == "__main__":
    sys.exit(main())
