"""The last stage of RLHF: the model practises and is scored (RLOO, GRPO), or learns from the pairs directly (DPO)."""

import json
import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

import torch
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from studio.data import batch, prepare
from studio.data.prepare import IGNORED, Encoded, Example
from studio.errors import BadData
from studio.evaluate import answers
from studio.methods import _reward_model, _rewards, _rlhf_phases, _stage
from studio.methods._rlhf_phases import ASKED, AT_ONCE, ROOMY
from studio.methods.base import Job, Scores
from studio.models.shape import ModelShape
from studio.words import Words

Question = list[dict[str, str]]
Score = Callable[[Sequence[Question], Sequence[str]], list[float]]
# How many held-out questions are kept in words, and how much of a text is (characters).
SHOWN, KEPT = 4, 1_000
# So often in a stage a few answers are written down as they are at that time.
SAMPLES = 10
UNREADABLE = Words(
    "No question leaves room for an answer of {answer} tokens within {length} tokens.",
    "在 {length} 个 token 内，没有一个问题能留出 {answer} 个 token 的回答空间。",
)
UNREADABLE_TO_DO = Words("Allow longer texts (max_length), or shorter answers.", "请提高长度上限（max_length），或缩短回答。")


def learning_rate(shape: ModelShape) -> float:
    """TRL's 1e-6 is for all numbers of large models; with LoRA ten and more times that, and small models bear, and need, more."""
    return 1e-4 if shape.total() < 400e6 else 2e-5


class Notebook(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Keeps what practice looks like: a few answers with their rewards, as lines of a file, and the last distances (KL)."""

    def __init__(self, job: Job, score: Score, steps: int) -> None:
        self.path, self.score, self.every = _stage.folder(job, "samples.jsonl"), score, max(1, steps // SAMPLES)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("", encoding="utf-8")
        self.kl: list[float] = []
        self._told = -1

    def reward(self, prompts: list[Question], completions: list[list[dict[str, str]]], trainer_state: Any, **_: Any) -> list[float]:
        """The scores of a step's answers, in the form TRL asks for them."""
        said = [completion[0]["content"] for completion in completions]
        found = self.score(prompts, said)
        step = int(trainer_state.global_step)
        if step % self.every == 0 and step != self._told:
            self._told = step
            apart = max(1, len(said) // SHOWN)
            rows = [sample(prompts[place], answer=said[place], reward=found[place]) for place in range(0, len(said), apart)][:SHOWN]
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"step": step + 1, **row}, ensure_ascii=False) + "\n" for row in rows)
        return found

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Remember the distance from the starting point."""
        if logs and logs.get("kl") is not None:
            self.kl.append(float(logs["kl"]))


def sample(question: Question, **said: str | float) -> dict[str, Any]:
    """A question with what was said to it, short enough to keep."""
    short = {name: value[:KEPT] if isinstance(value, str) else round(value, 4) for name, value in said.items()}
    return {"question": question[-1]["content"][:KEPT], **short}


def longest_answer(job: Job, what: str) -> int:
    """How long an answer may be in practice (tokens)."""
    return _rlhf_phases.longest_answer(job.settings, what, list(map(len, _examples(job))))


def _examples(job: Job) -> list[list[int]]:
    """The token ids of the example answers."""
    return [list(job.tokenizer(prepare.conversation(row)[-1]["content"], add_special_tokens=False)["input_ids"]) for row in job.examples[0]]


def scorer(job: Job, what: str, reward_model: Any, longest: int) -> Score:
    """The reward: a reward model's score, or a rule on the answer alone. The usual length is that of what of the examples has room."""
    if what == "model":
        return lambda questions, said: _reward_model.score(
            reward_model, job.tokenizer, [_reward_model.read(job.tokenizer, *pair) for pair in zip(questions, said, strict=True)]
        )
    usual = _rewards.usual_length([job.tokenizer.decode(ids[: int(longest / ROOMY)]) for ids in _examples(job)])
    rule = _rewards.rule(what, str(job.settings["reward_text"]), int(job.settings["reward_length"]) or usual)
    return lambda questions, said: [rule(answer) for answer in said]


def questions(job: Job, part: int, room: int) -> list[Question]:
    """The different questions of the training (0) or the held-out part (1) that have at most `room` tokens, in their order."""
    found = {json.dumps(asked): asked for asked in (prepare.question(example) for example in job.examples[part])}
    return [asked for asked in found.values() if len(prepare.template(job.tokenizer, asked, answer_follows=True)) <= room]


def ask(job: Job, model: Any, asked: Sequence[Question], score: Score, longest: int) -> tuple[dict[str, float], list[str], list[float]]:
    """The likeliest answers: their mean reward, length (tokens) and share cut off, the answers themselves and their rewards."""
    ids: list[list[int]] = []
    for start in range(0, len(asked), AT_ONCE):
        some = [prepare.template(job.tokenizer, question, answer_follows=True) for question in asked[start : start + AT_ONCE]]
        ids += answers.generate(model, job.tokenizer, some, longest)
    said = [job.tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    found = score(asked, said)
    ends = answers.ends(model, job.tokenizer)
    cut = sum(not ends & {*row[-1:]} for row in ids) / len(ids)
    return {"reward": mean(found), "answer_length": mean(map(len, ids)), "cut_share": cut}, said, found


def practise(job: Job, policy: Any, what: str, reward_model: Any) -> tuple[Any, bool]:
    """The policy after practice, and whether it was stopped; the reference of its leash is the policy as it comes in."""
    way, steps, longest = str(job.settings["way"]), int(job.settings["steps"]), longest_answer(job, what)
    room = job.plan.training.max_length - longest
    asked, held_out = questions(job, 0, room), questions(job, 1, room)[:ASKED]
    if not asked or not held_out:
        raise BadData(UNREADABLE, UNREADABLE_TO_DO, answer=longest, length=room + longest)
    book = Notebook(job, scorer(job, what, reward_model, longest), steps)
    before, said_before, _ = ask(job, policy, held_out, book.score, longest)
    told = _stage.arguments(
        job,
        "rl",
        steps,
        float(job.settings["last_rate"]) or learning_rate(_stage.shape(policy)),
        per_device_train_batch_size=int(job.settings["answers"]),
        gradient_accumulation_steps=min(int(job.settings["questions"]), len(asked)),
        include_num_input_tokens_seen="no",  # TRL counts them itself
        disable_dropout=True,  # an answer must be as likely when it is learned from as when it was written
    )
    config, kind = (GRPOConfig, GRPOTrainer) if way == "grpo" else (RLOOConfig, RLOOTrainer)
    trainer = kind(
        model=policy,
        reward_funcs=book.reward,
        args=config(**told, num_generations=int(job.settings["answers"]), max_completion_length=longest, beta=float(job.settings["kl"])),
        train_dataset=_stage.table(prompt=asked),
        processing_class=job.tokenizer,
        peft_config=_stage.adapter(job, policy, "CAUSAL_LM"),
    )
    watch = _stage.fit(job, "rl", trainer, None, [book])
    made = _stage.merged(trainer.model)
    after, said_after, rewards = ask(job, made, held_out, book.score, longest)
    together = zip(held_out, said_before, said_after, rewards, strict=True)
    job.notes["rl"] = {
        "reward": what,
        "questions": {"train": len(asked), "held_out": len(held_out)},
        "answer_tokens": longest,
        "before": before,
        "after": after,
        "kl": mean(book.kl[-5:]) if book.kl else None,
        "steps": watch.step,
        "samples": [sample(one, before=old, after=new, reward=value) for one, old, new, value in list(together)[:SHOWN]],
    }
    return made, watch.stopped


def from_pairs(job: Job, policy: Any) -> tuple[Any, bool]:
    """The policy after it has learned from the pairs directly (DPO), and whether it was stopped."""
    length = job.plan.training.max_length
    both = [_sides(job, part, length) for part in (0, 1)]
    if not all(both):
        raise BadData(UNREADABLE, UNREADABLE_TO_DO, answer=1, length=length)
    size = min(job.plan.training.batch_size or 8, len(both[0]))
    steps, leash = int(job.settings["steps"]), float(job.settings["kl"])
    rate = float(job.settings["last_rate"]) or learning_rate(_stage.shape(policy))
    trainer = DPOTrainer(
        model=policy,
        args=DPOConfig(**_stage.arguments(job, "dpo", steps, rate, max_length=None, **_stage.portions(job, size)), beta=leash),
        train_dataset=_stage.table(
            prompt=[prepare.question(example) for example, _, _ in both[0]],
            chosen=[[_said(example["chosen"])] for example, _, _ in both[0]],
            rejected=[[_said(example["rejected"])] for example, _, _ in both[0]],
        ),
        processing_class=job.tokenizer,
        peft_config=_stage.adapter(job, policy, "CAUSAL_LM"),
    )
    start = _margins(trainer.model, job, both[1])  # nothing is learned yet: the reference

    def check() -> Scores:
        now = _margins(trainer.model, job, both[1])
        return _reward_model.judged([leash * (new - old) for new, old in zip(now, start, strict=True)])

    watch = _stage.fit(job, "dpo", trainer, check)
    job.notes["dpo"] = {
        "pairs": {"train": len(both[0]), "held_out": len(both[1]), "too_long": sum(map(len, job.examples)) - sum(map(len, both))},
        "before": {"loss": math.log(2), "preferred": sum(margin > 0 for margin in start) / len(start)},
        "after": {**check(), "preferred": sum(margin > 0 for margin in _margins(trainer.model, job, both[1])) / len(start)},
        "best_step": watch.best_step,
        "steps": watch.step,
    }
    return _stage.merged(trainer.model), watch.stopped


def _sides(job: Job, part: int, longest: int) -> list[tuple[Example, Encoded, Encoded]]:
    """Each pair with its two conversations, whose answers are learned; those that do not fit whole are left out."""
    found = []
    for example in job.examples[part]:
        better, worse = (
            prepare.encode_chat([*prepare.question(example), _said(example[side])], job.tokenizer, longest)
            for side in ("chosen", "rejected")
        )
        if better and worse and not better.cut and not worse.cut:
            found.append((example, better, worse))
    return found


def _said(answer: str) -> dict[str, str]:
    return {"role": "assistant", "content": answer}


def _margins(model: Any, job: Job, found: Sequence[tuple[Example, Encoded, Encoded]]) -> list[float]:
    """log P(better answer) − log P(worse answer) of each pair (nats), under the model as it is."""
    rows = [row for _, *pair in found for row in pair]
    collate, was_training, said = batch.collator("chat", job.tokenizer), model.training, []
    model.eval()
    for start in range(0, len(rows), AT_ONCE):
        tensors = {name: value.to(model.device) for name, value in collate([vars(row) for row in rows[start : start + AT_ONCE]]).items()}
        labels = tensors.pop("labels")[:, 1:]
        with torch.no_grad():
            logits = model(**tensors).logits.float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        said += (-losses.sum(1)).tolist()
    model.train(was_training)
    return [better - worse for better, worse in zip(said[::2], said[1::2], strict=True)]
