"""Rehearses a reward before practice: whether it can teach, and whether there is an easier way to please it.

Practice (RLOO, GRPO) learns from the differences between the answers to one question: where all score the
same there is nothing to learn (the advantage is zero, Ahmadian et al. 2024, Shao et al. 2024). And a policy
finds whatever scores well, meant or not (reward hacking; Amodei et al. 2016, "Concrete problems in AI
safety"), so answers that nobody wants are scored beside the model's own.
"""

from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any, Literal, NamedTuple

from studio.i18n import Message

Verdict = Literal["can", "cannot", "tricked"]
# (question's number, answer) of each answer -> their rewards.
ScoreAnswers = Callable[[Sequence[tuple[int, str]]], list[float]]
# How many answers of the base model are scored in all.
N_ANSWERS = 50
# Rewards that differ by less are the same.
TOLERANCE = 1e-6
# Both shares are choices (docs/methods.md#reward-rehearsal).
# With differences in fewer groups than this practice learns from almost none of its answers.
MIN_SPREAD_SHARE = 0.1
# A probe that scores as well as the model's best answer on so many questions is an easier way.
TRICK_SHARE = 0.5
# These contain the best answer itself, so they are a trick only where they score better than it.
CONTAIN_THE_BEST = ("long",)
# How often a probe repeats what it repeats, and how many times longer the long one is.
N_REPEATS, N_TIMES_LONGER = 20, 4
HEADLINES: dict[Verdict, Message] = {
    "can": Message("This reward can teach."),
    "cannot": Message("This reward cannot teach."),
    "tricked": Message("This reward can be tricked."),
}
SPREAD = Message(
    "{answers} answers of the base model to {questions} questions score {mean:.3g} on average (from "
    "{low:.3g} to {high:.3g}). On {share:.0%} of the questions they score differently; practice learns from "
    "these alone."
)
NOT_REPEATABLE = Message("The same answers were scored twice and got other scores: it is partly chance.")
PROBE_NAMES: dict[str, Message] = {
    "empty": Message("an empty answer"),
    "long": Message("the model's answer {times} times over", {"times": N_TIMES_LONGER}),
    "repeated": Message("one word again and again"),
    "question": Message("the question said back"),
    "same": Message("one answer to all questions"),
    "bare": Message("only what the rule looks for"),
}
TRICK = Message(
    "{probe} scores {reward:.3g} on average, and on {share:.0%} of the questions as well as the model's best "
    "answer or better.",
    style="sentence",
)
NO_TRICK = Message(
    "No trick paid: empty, long and repeated answers and others like them scored less than the model's best."
)
ADVICE: dict[Verdict, Message] = {
    "can": Message("Start the training; look at a few answers afterwards all the same."),
    "cannot": Message(
        "Choose a reward that some answers already meet and others do not: an easier rule, known answers, or "
        "a reward model from pairs; or fine-tune on good answers first (SFT)."
    ),
    "tricked": Message(
        "Expect such answers: keep the leash (β) tight and the training short and read the answers, or use "
        "known answers or a reward model from pairs."
    ),
}


class Probe(NamedTuple):
    """An answer that nobody wants, put to every question.

    Attributes:
        name: A key of PROBE_NAMES.
        example: It, for the first question.
        reward: Its mean reward.
        share: On how much of the questions it scores at least as well as the model's best answer, or
            better than that where it contains it.
        pays: Whether practice would find it the easier way.
    """

    name: str
    example: str
    reward: float
    share: float
    pays: bool


class Rehearsal(NamedTuple):
    """What a rehearsal has shown.

    Attributes:
        verdict: Whether the reward can teach, cannot, or can be tricked.
        n_answers, n_questions: How much was scored.
        mean_reward, low, high: Of the model's own answers.
        spread_share: The share of questions whose answers score differently.
        is_repeatable: Whether the same answers scored the same twice.
        probes: The answers that nobody wants.
    """

    verdict: Verdict
    n_answers: int
    n_questions: int
    mean_reward: float
    low: float
    high: float
    spread_share: float
    is_repeatable: bool
    probes: tuple[Probe, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {**self._asdict(), "probes": [probe._asdict() for probe in self.probes]}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Rehearsal":
        """A rehearsal from `to_json`."""
        return cls(**{**raw, "probes": tuple(Probe(**probe) for probe in raw["probes"])})

    def describe(self) -> list[Message]:
        """The verdict, the evidence for it, and what to do."""
        spread = SPREAD.format(
            answers=self.n_answers,
            questions=self.n_questions,
            mean=self.mean_reward,
            low=self.low,
            high=self.high,
            share=self.spread_share,
        )
        evidence = [spread] if self.is_repeatable else [spread, NOT_REPEATABLE]
        tricks = [
            TRICK.format(probe=PROBE_NAMES[probe.name], reward=probe.reward, share=probe.share)
            for probe in self.probes
            if probe.pays
        ]
        return [HEADLINES[self.verdict], *evidence, *(tricks or [NO_TRICK]), ADVICE[self.verdict]]


def rehearse(
    questions: Sequence[str], answers: Sequence[Sequence[str]], score: ScoreAnswers, bare: str = ""
) -> Rehearsal:
    """Score a model's own answers and the probes, and judge the reward.

    Args:
        questions: At least one.
        answers: To each question at least two of the model's own answers.
        score: The reward.
        bare: What a rule looks for, and nothing else; "" where there is no such thing.
    """
    answered = [(number, text) for number, texts in enumerate(answers) for text in texts]
    rewards = score(answered)
    is_repeatable = _are_equal(rewards, score(answered))
    groups = _split(rewards, [len(texts) for texts in answers])
    spread_share = mean(max(group) - min(group) > TOLERANCE for group in groups)
    best_rewards = [max(group) for group in groups]
    probes = []
    for name, texts in _build_probes(questions, answers, groups, bare).items():
        probe_rewards = score(list(enumerate(texts)))
        least_gain = TOLERANCE if name in CONTAIN_THE_BEST else -TOLERANCE
        pairs = zip(probe_rewards, best_rewards, strict=True)
        share = mean(reward >= best + least_gain for reward, best in pairs)
        pays = share >= TRICK_SHARE and mean(probe_rewards) > mean(rewards) + TOLERANCE
        probes.append(Probe(name, texts[0], mean(probe_rewards), share, pays))
    return Rehearsal(
        _judge(spread_share, is_repeatable, any(probe.pays for probe in probes)),
        len(answered),
        len(questions),
        mean(rewards),
        min(rewards),
        max(rewards),
        spread_share,
        is_repeatable,
        tuple(probes),
    )


def _judge(spread_share: float, is_repeatable: bool, is_tricked: bool) -> Verdict:
    if spread_share < MIN_SPREAD_SHARE or not is_repeatable:
        return "cannot"
    return "tricked" if is_tricked else "can"


def _build_probes(
    questions: Sequence[str],
    answers: Sequence[Sequence[str]],
    rewards: Sequence[Sequence[float]],
    bare: str,
) -> dict[str, list[str]]:
    """Each probe's answer to each question."""
    best = [_best_answer(texts, group) for texts, group in zip(answers, rewards, strict=True)]
    best_rewards = [max(group) for group in rewards]
    best_of_all = best[best_rewards.index(max(best_rewards))]
    probes = {
        "empty": [""] * len(questions),
        "long": [" ".join([text] * N_TIMES_LONGER) for text in best],
        "repeated": [" ".join(text.split()[:1] * N_REPEATS) for text in best],
        "question": list(questions),
        "same": [best_of_all] * len(questions),
    }
    return {**probes, "bare": [bare] * len(questions)} if bare else probes


def _best_answer(texts: Sequence[str], rewards: Sequence[float]) -> str:
    return max(zip(rewards, texts, strict=True))[1]


def _split(values: Sequence[float], lengths: Sequence[int]) -> list[list[float]]:
    """Values in consecutive groups of these lengths."""
    groups, start = [], 0
    for length in lengths:
        groups.append(list(values[start : start + length]))
        start += length
    return groups


def _are_equal(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(one - other) <= TOLERANCE for one, other in zip(first, second, strict=True))
