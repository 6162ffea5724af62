"""The stages of RLHF as the estimator sees them: supervised fine-tuning, reward model or DPO, and policy.

None has dropout: a policy must give the same probabilities twice
(studio.methods.rlhf_stages.stage.lora_config). All but the first are TRL's trainers.
"""

from dataclasses import replace

from studio.methods import workload
from studio.methods.cost_profile import CostProfile, plain_low_rank
from studio.methods.rlhf_stages import rule_rewards, schedule
from studio.methods.spec import Settings
from studio.methods.workload import Phase, RowTokens, Workload
from studio.models.shape import ModelShape
from studio.plan import Value

# Held-out prompts that are answered before and after the policy is trained.
MAX_HELD_OUT_PROMPTS = 64
# Passes without gradients that a step takes beside its own: the reference's; for KTO also those of both over
# mismatched answers.
REFERENCE_PASSES = {"dpo": 1.0, "kto": 3.0}
# Whose loss the studio computes in chunks of the vocabulary; that of the others is TRL's own.
CHUNKED_ALGORITHMS = ("simpo", "orpo")
# So many texts are written or scored at once in an evaluation.
EVAL_BATCH_SIZE = 16


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """The cost profile of a LoRA on every matrix."""
    return plain_low_rank(shape.linears, int(settings["rank"]))


def phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    """The phases of a run: the supervised stage where there is one, then direct learning, or practice."""
    sft_phases: tuple[Phase, ...] = ()
    if schedule.has_sft(settings, load.task):
        sft_phases = workload.build_supervised_phases(replace(load, task="chat"), "rlhf", "sft")
    elif load.n_asked:
        sft_phases = (workload.build_answer_phase(load),)
    algorithm = schedule.resolve_algorithm(settings, load.task)
    if algorithm in schedule.DIRECT_ALGORITHMS:
        return (*sft_phases, *_direct_phases(settings, load, algorithm))
    reward_name = rule_rewards.resolve_reward(settings, load.task)
    reward_model_phases: tuple[Phase, ...] = ()
    if reward_name == "model" and load.task == "prefer":
        reward_model_phases = _reward_model_phases(settings, load)
    return (*sft_phases, *reward_model_phases, *_policy_phases(settings, load, reward_name))


def automatic_values(settings: Settings, load: Workload) -> dict[str, Value]:
    """The values that settings left at 0 take for a workload."""
    algorithm = schedule.resolve_algorithm(settings, load.task)
    values: dict[str, Value] = {"last_rate": schedule.default_learning_rate(load.shape)}
    if algorithm in schedule.DIRECT_ALGORITHMS:
        fitting = _fitting_load(settings, load)
        n_rows = _count_direct_rows(fitting, algorithm)
        values["steps"] = schedule.direct_steps(settings, n_rows, _direct_batch_size(load, n_rows))
    else:
        reward_name = rule_rewards.resolve_reward(settings, load.task)
        length = _completion_length(settings, load, reward_name)
        values["max_completion_length"] = length
        values["steps"] = schedule.practice_steps(settings, load.n_train, length)
    return {name: value for name, value in values.items() if not settings[name]}


def fits(settings: Settings, load: Workload, row: RowTokens) -> bool:
    """Whether RLHF learns from an example, or leaves it out as too long.

    Direct learning takes whole pairs alone, for KTO each answer by itself. Practice needs room for an answer
    after the question, and a reward model learns from answers cut at that length.
    """
    limit = load.training.token_limit
    algorithm = schedule.resolve_algorithm(settings, load.task)
    if algorithm == "kto":
        answers = [tokens for tokens in (row.completion_tokens, row.rejected_tokens) if tokens]
        return row.prompt_tokens + min(answers, default=0) <= limit
    if algorithm in schedule.DIRECT_ALGORITHMS:
        return row.longest_tokens <= limit
    reward_name = rule_rewards.resolve_reward(settings, load.task)
    length = _completion_length(settings, load, reward_name)
    if (
        reward_name == "model"
        and row.prompt_tokens + min(length, row.longest_tokens - row.prompt_tokens) > limit
    ):
        return False
    return row.prompt_tokens <= limit - length


def _fitting_load(settings: Settings, load: Workload) -> Workload:
    """The workload without the examples that are left out as too long; as it is where none fits."""
    rows = tuple(row for row in load.rows if fits(settings, load, row))
    share = len(rows) / max(len(load.rows), 1)
    if not rows:
        return load
    return replace(
        load,
        rows=rows,
        count=max(1, round(share * load.count)),
        n_custom_test=round(share * load.n_custom_test),
    )


def _count_direct_rows(load: Workload, algorithm: str) -> int:
    """What direct learning counts as its examples: pairs, for KTO single answers."""
    if algorithm != "kto":
        return load.n_train
    n_answers = sum(bool(row.completion_tokens) + bool(row.rejected_tokens) for row in load.rows)
    return round(load.n_train * n_answers / len(load.rows))


def _direct_batch_size(load: Workload, n_rows: int) -> int:
    return min(load.training.batch_size or 8, n_rows)


def _texts_at_once(load: Workload, n_examples: int, texts_per_example: int) -> int:
    """The texts of a micro batch, where so many pairs or single answers are a step."""
    accumulation_steps = load.training.accumulation_steps
    size = schedule.micro_batch_size(n_examples, accumulation_steps, texts_per_example)
    return size * texts_per_example


def _completion_length(settings: Settings, load: Workload, reward_name: str) -> int:
    """How long an answer may be in practice (tokens)."""
    example_lengths = [row.completion_tokens for row in load.rows if row.completion_tokens]
    return schedule.max_completion_length(settings, reward_name, example_lengths)


def _pair_texts(load: Workload, max_answer_tokens: int) -> list[tuple[int, int]]:
    """Tokens of each text and of its answer, two texts a pair; pairs that do not fit are left out.

    Args:
        load: What is to be done.
        max_answer_tokens: Where an answer is cut.
    """
    cut_rows = [_cut_answers(row, max_answer_tokens) for row in load.rows]
    fitting_rows = [row for row in cut_rows if _longest_of_pair(row) <= load.training.token_limit]
    texts = []
    for row in fitting_rows or cut_rows:
        for answer_tokens in (row.completion_tokens, row.rejected_tokens):
            if answer_tokens:
                texts.append((row.prompt_tokens + answer_tokens, answer_tokens))
    return texts


def _scored_texts(texts: list[tuple[int, int]], algorithm: str) -> list[tuple[int, int]]:
    """Tokens and scored positions of the texts of pairs, each padded to the longer one of its pair.

    ORPO scores one text of a pair whole, question included.
    """
    scored_texts = []
    for pair in zip(texts[::2], texts[1::2], strict=True):
        longest = max(tokens for tokens, _ in pair)
        for tokens, answer in pair:
            scored = (tokens + answer) // 2 if algorithm == "orpo" else answer
            scored_texts.append((longest, scored))
    return scored_texts


def _cut_answers(row: RowTokens, max_tokens: int) -> RowTokens:
    return RowTokens(
        row.prompt_tokens, min(row.completion_tokens, max_tokens), min(row.rejected_tokens, max_tokens)
    )


def _longest_of_pair(row: RowTokens) -> int:
    """Tokens of the longer of a pair's two conversations."""
    return row.prompt_tokens + max(row.completion_tokens, row.rejected_tokens)


def _reward_model_phases(settings: Settings, load: Workload) -> tuple[Phase, ...]:
    """The fit of the initial head on the training texts, the training, and its validations."""
    batch_size = load.training.batch_size or 8
    steps = schedule.reward_steps(settings, load.n_train, batch_size, is_fresh=not settings["start_from"])
    completion_length = _completion_length(settings, load, "model")
    texts = [(tokens, 0) for tokens, _ in _pair_texts(load, completion_length)]
    n_train_texts, n_validation_texts = 2 * load.n_train, 2 * load.n_validation
    head = Phase(
        "head",
        workload.build_micro_batches(texts, EVAL_BATCH_SIZE, n_train_texts),
        head="classes",
        block_share=schedule.REWARD_DEPTH,
        extra_models=1.0,
    )
    if not steps:
        kept_aside = workload.build_micro_batches(
            texts, EVAL_BATCH_SIZE, n_validation_texts + 2 * load.n_test
        )
        check = Phase(
            "check", kept_aside, head="classes", block_share=schedule.REWARD_DEPTH, extra_models=1.0
        )
        return head, check, _pair_verdict(texts, load, passes=1, block_share=schedule.REWARD_DEPTH)
    n_at_once = _texts_at_once(load, batch_size, texts_per_example=2)
    training = Phase(
        "reward",
        workload.build_micro_batches(texts, n_at_once, n_train_texts),
        "rlhf",
        with_gradients=True,
        passes=steps * batch_size / load.n_train,
        optimizer_steps=steps,
        head="classes",
        block_share=schedule.REWARD_DEPTH,
        extra_models=1.0,
        uses_trl=True,
    )
    validation = Phase(
        "check",
        workload.build_micro_batches(texts, EVAL_BATCH_SIZE, n_validation_texts),
        "rlhf",
        passes=2 + min(steps, load.training.eval_count),  # and the start and the result
        head="classes",
        block_share=schedule.REWARD_DEPTH,
        extra_models=1.0,
    )
    return head, training, validation, _pair_verdict(texts, load, passes=1, block_share=schedule.REWARD_DEPTH)


def _reward_model_share(shape: ModelShape) -> float:
    """The parameters of a reward model on a language model of a shape, as a share of the latter's."""
    n_blocks = schedule.reward_blocks(shape.layers)
    return replace(shape, layers=n_blocks).total(labels=1) / shape.total()


def _pair_verdict(texts: list[tuple[int, int]], load: Workload, passes: int, block_share: float) -> Phase:
    """The held-out pairs, ranked for the verdict."""
    n_texts = 2 * (load.n_test or load.n_validation)
    head = "words" if block_share == 1 else "classes"
    batches = workload.build_micro_batches(texts, EVAL_BATCH_SIZE, n_texts)
    return Phase("verdict", batches, passes=passes, head=head, block_share=block_share)


def _policy_phases(settings: Settings, load: Workload, reward_name: str) -> tuple[Phase, ...]:
    """The held-out answers, and of each step the writing, the scoring, the reference and the learning."""
    completion_length = _completion_length(settings, load, reward_name)
    num_generations = int(settings["num_generations"])
    steps = schedule.practice_steps(settings, load.n_train, completion_length)
    prompt_lengths = _fitting_prompt_lengths(load, completion_length)
    prompts_per_step = min(int(settings["prompts_per_step"]), len(prompt_lengths))
    n_answers = num_generations * prompts_per_step * steps
    prompts = [(tokens, 0) for tokens in prompt_lengths]
    full_texts = [(tokens + completion_length, completion_length) for tokens in prompt_lengths]
    train_batches = workload.build_micro_batches(full_texts, num_generations, n_answers)
    n_held_out = min(MAX_HELD_OUT_PROMPTS, load.n_validation + load.n_test)
    extra_models = _reward_model_share(load.shape) if reward_name == "model" else 0.0
    held_out_answers = Phase(
        "ask",
        workload.build_micro_batches(prompts, EVAL_BATCH_SIZE, n_held_out),
        passes=2,
        new_tokens=completion_length,
        extra_models=extra_models,
    )
    writing = Phase(
        "write",
        workload.build_micro_batches(prompts, num_generations * prompts_per_step, n_answers),
        "rlhf",
        new_tokens=completion_length,
        extra_models=extra_models,
    )
    scoring = Phase(
        "judge",
        workload.build_micro_batches(full_texts, EVAL_BATCH_SIZE, n_answers),
        head="classes",
        block_share=schedule.REWARD_DEPTH,
        extra_models=extra_models,
    )
    reference = Phase("reference", train_batches, "rlhf", passes=2, extra_models=extra_models, uses_trl=True)
    learning = Phase(
        "rl",
        train_batches,
        "rlhf",
        with_gradients=True,
        optimizer_steps=steps,
        extra_models=extra_models,
        uses_trl=True,
    )
    if reward_name == "model":
        return held_out_answers, writing, scoring, reference, learning
    return held_out_answers, writing, reference, learning


def _fitting_prompt_lengths(load: Workload, completion_length: int) -> list[int]:
    """Tokens of the prompts that leave room for an answer; of the first prompt where none does."""
    max_prompt_tokens = load.training.token_limit - completion_length
    lengths = [row.prompt_tokens for row in load.rows if row.prompt_tokens <= max_prompt_tokens]
    return lengths or [load.rows[0].prompt_tokens]


def _direct_phases(settings: Settings, load: Workload, algorithm: str) -> tuple[Phase, ...]:
    """The reference's passes where there is one, the training, and its validations.

    KTO reads single answers, each with the answer to another question too, which tells the distance from the
    reference; the others read two answers of each question.
    """
    is_single = algorithm == "kto"
    load = _fitting_load(settings, load)
    texts = _pair_texts(load, load.training.token_limit)
    answers_per_row = len(texts) / max(len(load.rows), 1) if is_single else 2
    texts_per_example = 1 if is_single else 2
    n_rows = _count_direct_rows(load, algorithm)
    batch_size = _direct_batch_size(load, n_rows)
    steps = schedule.direct_steps(settings, n_rows, batch_size)
    n_texts = batch_size * steps * texts_per_example
    micro_batch_size = _texts_at_once(load, batch_size, texts_per_example)
    trained_texts = _scored_texts(texts, algorithm) if algorithm in CHUNKED_ALGORITHMS else texts
    train_batches = workload.build_micro_batches(trained_texts, micro_batch_size, n_texts)
    n_validation_texts = load.n_validation * answers_per_row
    validation_batches = workload.build_micro_batches(texts, EVAL_BATCH_SIZE, n_validation_texts)
    training = Phase(
        algorithm,
        train_batches,
        "rlhf",
        with_gradients=True,
        optimizer_steps=steps,
        uses_trl=algorithm not in CHUNKED_ALGORITHMS,
    )
    check = Phase("check", validation_batches, passes=3 + min(steps, load.training.eval_count))
    verdict = _pair_verdict(texts, load, passes=2, block_share=1.0)
    if algorithm not in REFERENCE_PASSES:
        return training, check, verdict
    reference = Phase("reference", train_batches, "rlhf", passes=REFERENCE_PASSES[algorithm], uses_trl=True)
    return reference, training, check, verdict
