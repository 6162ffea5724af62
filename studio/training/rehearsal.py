"""Rehearses a plan's reward before practice, in a child process: the base answers, the reward scores."""

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from studio import methods, processes
from studio.errors import BadData, NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages import rehearsal, rule_rewards, schedule
from studio.methods.rlhf_stages.rehearsal import Rehearsal
from studio.methods.spec import Settings, TrainingContext
from studio.plan import Plan
from studio.runs import Run
from studio.training import trial

NO_PRACTICE = Message("This plan does not practise with a reward.")
CHOOSE_PRACTICE = Message(
    "Choose RLHF with practice by scores (RLOO or GRPO); DPO and its like learn straight from the pairs."
)
ENDED_EARLY = Message("The rehearsal ended early: {why}")
REHEARSE_AGAIN = Message("Close other programs and rehearse again, or choose a smaller model.")
# As TRL samples while it trains (GRPOConfig, RLOOConfig): from all of the model's probabilities.
SAMPLING: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}


class Progress(NamedTuple):
    """How many of the base model's answers are written, of all; 0 of 0 while it is loaded."""

    done: int
    total: int


def rehearse(plan: Plan) -> Iterator[Progress | Rehearsal]:
    """Let the base model answer questions of a plan's data, and judge its reward by them.

    A reward model is trained for it first, as the run would. Closing the iterator ends the child process;
    nothing stays on the disk.

    Yields:
        The progress, and at the end the rehearsal.

    Raises:
        NotPossible: The plan has no reward.
        StudioError: What is wrong with the data or the model.
    """
    if plan.method.name != "rlhf":
        raise NotPossible(NO_PRACTICE, CHOOSE_PRACTICE)
    settings = methods.get("rlhf").resolve_settings(plan.method.settings)
    if schedule.resolve_algorithm(settings, plan.task) in schedule.DIRECT_ALGORITHMS:
        raise NotPossible(NO_PRACTICE, CHOOSE_PRACTICE)
    yield Progress(0, 0)
    with closing(trial.stream("studio.training.rehearsal", plan, ENDED_EARLY, REHEARSE_AGAIN)) as replies:
        for reply in replies:
            if "rehearsal" in reply:
                yield Rehearsal.from_json(reply["rehearsal"])
            else:
                yield Progress(int(reply["done"]), int(reply["total"]))


def bare_answer(settings: Settings, reward_name: str) -> str:
    """What a rule looks for and nothing else; "" where the rule does not say."""
    if reward_name == "contains":
        return " ".join(rule_rewards.split_phrases(str(settings["reward_text"])))
    return "[]" if reward_name == "json" else ""


def _rehearse_in_child(run: Run) -> Rehearsal:
    """The rehearsal of a folder's plan."""
    from studio.methods.rlhf_stages import pipeline, policy  # noqa: PLC0415 - only the child process

    context = trial.load_context(run)
    reward_name = rule_rewards.resolve_reward(context.settings, context.plan.task)
    scoring_model = pipeline.get_reward_model(context, {})[0] if reward_name == "model" else None
    max_new_tokens = policy.resolve_max_completion_length(context, reward_name)
    score = policy.build_scorer(context, reward_name, scoring_model, max_new_tokens)
    questions = _select_questions(context, reward_name, max_new_tokens)
    groups, cut_answers = _sample_answers(context, questions, max_new_tokens)

    def score_answers(items: Sequence[tuple[int, str]]) -> list[float]:
        return score([policy.Attempt(questions[item[0]], item[1], item in cut_answers) for item in items])

    texts = [question.prompt[-1]["content"] for question in questions]
    return rehearsal.rehearse(texts, groups, score_answers, bare_answer(context.settings, reward_name))


def _select_questions(context: TrainingContext, reward_name: str, max_new_tokens: int) -> list[Any]:
    """So many questions to practise on that N_ANSWERS answers are written."""
    from studio.methods.rlhf_stages import policy  # noqa: PLC0415 - only the child process

    max_length = context.plan.training.token_limit
    questions = policy.select_questions(
        context, context.examples[policy.TRAIN], max_length - max_new_tokens, reward_name == "answer"
    )
    if not questions:
        raise BadData(
            policy.NO_QUESTION_FITS, policy.NO_QUESTION_FITS_TO_DO, answer=max_new_tokens, length=max_length
        )
    return questions[: math.ceil(rehearsal.N_ANSWERS / int(context.settings["num_generations"]))]


def _sample_answers(
    context: TrainingContext, questions: Sequence[Any], max_new_tokens: int
) -> tuple[list[list[str]], set[tuple[int, str]]]:
    """Answers to each question, sampled as practice does, and those (number, answer) that were cut off."""
    from studio.evaluate import answers  # noqa: PLC0415 - only the child process
    from studio.methods.rlhf_stages import pipeline, policy  # noqa: PLC0415

    n_generations, tokenizer = int(context.settings["num_generations"]), context.tokenizer
    model = pipeline.starting_model(context)
    stop_ids = answers.stop_token_ids(model, tokenizer)
    prompts = [
        prompt_ids
        for question in questions
        for prompt_ids in [policy.encode_prompt(context, question.prompt)] * n_generations
    ]
    groups: list[list[str]] = [[] for _ in questions]
    cut_answers: set[tuple[int, str]] = set()
    for start in range(0, len(prompts), answers.BATCH_SIZE):
        processes.send_reply({"done": start, "total": len(prompts)})
        batch = prompts[start : start + answers.BATCH_SIZE]
        completions = answers.generate(model, tokenizer, batch, max_new_tokens, **SAMPLING)
        for index, ids in enumerate(completions, start):
            number, text = index // n_generations, tokenizer.decode(ids, skip_special_tokens=True)
            groups[number].append(text)
            if answers.is_cut(ids, stop_ids):
                cut_answers.add((number, text))
    return groups, cut_answers


def main() -> int:
    """The child process: the folder on stdin, progress and the rehearsal on stdout."""
    return trial.serve(lambda run: {"rehearsal": _rehearse_in_child(run).to_json()})


if __name__ == "__main__":
    sys.exit(main())
