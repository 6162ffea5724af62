"""Ask a model questions whose answers are known, and count how often it is right."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch

from studio.data import prepare
from studio.data.prepare import Example

NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
# How many questions are asked, and how long an answer may be (tokens): enough to see a change, and minutes on a CPU.
MOST_ASKED, LONGEST = 64, 160
AT_ONCE = 16


def measure(
    model: Any, tokenizer: Any, found: Sequence[Example], tell: Callable[[int, int], None] = lambda done, of: None
) -> dict[str, float]:
    """The share of questions answered rightly (0 to 1) with the likeliest words, and how many were asked; empty where no answer is known."""
    known = [example for example in found if example.get("answer")][:MOST_ASKED]
    if not known:
        return {}
    hits = 0
    for start in range(0, len(known), AT_ONCE):
        tell(start, len(known))
        some = known[start : start + AT_ONCE]
        asked = [prepare.template(tokenizer, prepare.question(example), answer_follows=True) for example in some]
        hits += sum(right(text, example["answer"]) for text, example in zip(write(model, tokenizer, asked, LONGEST), some, strict=True))
    return {"right": hits / len(known), "asked": float(len(known))}


def write(model: Any, tokenizer: Any, asked: Sequence[list[int]], longest: int) -> list[str]:
    """The likeliest answers to tokenized questions, at most `longest` tokens each."""
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in generate(model, tokenizer, asked, longest)]


def generate(model: Any, tokenizer: Any, asked: Sequence[list[int]], longest: int, **sampling: Any) -> list[list[int]]:
    """The token ids of one answer per question, its end included where it came within `longest` tokens; greedy without `sampling`."""
    width, was_training = max(len(ids) for ids in asked), model.training
    padded = torch.tensor([[tokenizer.pad_token_id] * (width - len(ids)) + ids for ids in asked], device=model.device)
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in asked], device=model.device)
    chosen = {"do_sample": True, **sampling} if sampling else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    model.eval()
    with torch.no_grad():
        found = model.generate(input_ids=padded, attention_mask=mask, max_new_tokens=longest, pad_token_id=tokenizer.pad_token_id, **chosen)
    model.train(was_training)
    last = ends(model, tokenizer)
    answers = found[:, width:].tolist()
    return [ids[: next((place for place, one in enumerate(ids) if one in last), len(ids)) + 1] for ids in answers]


def ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those at which the model's own settings stop (Gemma ends a turn with another)."""
    own = model.generation_config.eos_token_id
    more = own if isinstance(own, list | tuple) else [own]
    return frozenset(one for one in (tokenizer.eos_token_id, *more) if one is not None)


def right(text: str, answer: str) -> bool:
    """Whether a text gives the known answer: its last number is the answer's last, or, where that has none, it holds the answer's words."""
    wanted, said = NUMBER.findall(answer), NUMBER.findall(text)
    if wanted:
        return bool(said) and _number(said[-1]) == _number(wanted[-1])
    return answer.strip().lower() in text.lower()


def _number(text: str) -> float:
    return float(text.replace(",", "")) if text.replace(",", "").count(".") < 2 else float("nan")
