"""The result of a blind vote: who is preferred and how surely, ties, and how much the voters agree."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from studio import runs
from studio.errors import StudioError
from studio.i18n import Message
from studio.playground.votes import ballot, interval
from studio.playground.votes.ballot import BlindVote, CastVote, Contestant
from studio.playground.votes.interval import Preference

SIDE_NAMES = {"base": Message("the base model"), "tuned": Message("the tuned model")}
NO_PREFERENCE = Message("No one has picked a winner yet.")
DECIDED = Message(
    "Decided after {after} votes with a winner: people prefer {name}, on {wins} of {n} questions "
    "({share:.0%}; 95% interval {low:.0%} to {high:.0%})."
)
UNDECIDED = Message(
    "Not decided yet: {name} leads on {wins} of {n} questions ({share:.0%}; 95% interval {low:.0%} to "
    "{high:.0%})."
)
EVEN = Message("Not decided yet: each has won {wins} of {n} questions.")
MORE_VOTES = Message(
    "At this rate, about {more} more {more:vote with a winner|votes with a winner} will decide it."
)
NOT_ENOUGH_QUESTIONS = Message(
    "At this rate it takes about {more} more, but only {left} {left:question is|questions are} left. The "
    "two are close; prepare a vote with more questions to be sure."
)
TOO_CLOSE = Message("They are too close to decide with a reasonable number of votes.")
NOT_COUNTED = Message("Equally good: {tie}. Both bad: {bad}. These do not count for either side.")
MOSTLY_BAD = Message("In {share:.0%} of the votes both answers were bad: the winner is not necessarily good.")
AGREEMENT = Message(
    "Two voters on the same question agreed in {agree} of {pairs} cases ({share:.0%}; by chance about "
    "{chance:.0%})."
)
NO_OVERLAP = Message("No question has two votes yet, so agreement is unknown.")
HOW_COUNTED = Message(
    "{votes} {votes:vote|votes} from {voters} {voters:person|people}. Each question counts once, by its "
    "first winner, because people who see the same two answers tend to agree. The interval holds no matter "
    "how often you look."
)
LEFT_OUT = Message("{count} more questions were left out because both models gave the same answer.")
# From this share of "both bad" the result says so.
MANY_BAD = 0.3


class VoteResult(NamedTuple):
    """What a vote has shown so far.

    Attributes:
        counts: Votes by choice; of each voter and question the last.
        n_voters: People who have voted.
        preference: The first preference on each question, followed one by one.
        n_open: Questions without a preference.
        n_agreeing, n_pairs: Pairs of votes by two people on one question, and those that say the same.
        chance: The share of such pairs that would agree if votes fell at random with the same frequencies.
    """

    counts: dict[str, int]
    n_voters: int
    preference: Preference
    n_open: int
    n_agreeing: int
    n_pairs: int
    chance: float


def count(vote: BlindVote) -> VoteResult:
    """The result of a vote as it stands now."""
    votes = ballot.latest_votes(ballot.read_votes(vote))
    preferences = first_preferences(votes)
    n_agreeing, n_pairs = _count_agreeing(votes)
    counts = Counter(cast.choice for cast in votes)
    shares = [number / max(len(votes), 1) for number in counts.values()]
    return VoteResult(
        counts={choice: counts[choice] for choice in ballot.CHOICES},
        n_voters=len({cast.voter for cast in votes}),
        preference=interval.follow(preferences),
        n_open=len(vote.questions()) - len(preferences),
        n_agreeing=n_agreeing,
        n_pairs=n_pairs,
        chance=sum(share**2 for share in shares),
    )


def first_preferences(votes: Iterable[CastVote]) -> list[bool]:
    """Of each question the first preference, in the order they came: True for the second contestant.

    Votes on one question are not independent of each other: they depend on the same two answers. Questions
    are, so each is counted once.
    """
    by_question: dict[int, bool] = {}
    for cast in votes:
        if cast.choice in ("first", "second"):
            by_question.setdefault(cast.question, cast.choice == "second")
    return list(by_question.values())


def _count_agreeing(votes: Sequence[CastVote]) -> tuple[int, int]:
    """Pairs of voters on the same question that say the same, and all such pairs."""
    by_question: dict[int, list[str]] = {}
    for cast in votes:
        by_question.setdefault(cast.question, []).append(cast.choice)
    pairs = [pair for choices in by_question.values() for pair in combinations(choices, 2)]
    return sum(one == other for one, other in pairs), len(pairs)


def name_contestant(contestant: Contestant, is_same_run: bool) -> Message:
    """What a contestant is called in a result: its side, or its run's name where two runs are compared."""
    if is_same_run:
        return SIDE_NAMES[contestant.side]
    try:
        name = runs.get(contestant.run_id).plan.name
    except StudioError:
        name = contestant.run_id[:8]  # the run was deleted since
    return Message("“{name}”").format(name=name)


def describe(vote: BlindVote) -> list[Message]:
    """The result in sentences, the verdict first."""
    result = count(vote)
    sentences = [*_describe_preference(vote, result)]
    n_votes = sum(result.counts.values())
    if n_votes:
        sentences.append(NOT_COUNTED.format(tie=result.counts["tie"], bad=result.counts["bad"]))
    if n_votes and result.counts["bad"] / n_votes >= MANY_BAD:
        sentences.append(MOSTLY_BAD.format(share=result.counts["bad"] / n_votes))
    sentences.append(_describe_agreement(result))
    sentences.append(HOW_COUNTED.format(votes=n_votes, voters=result.n_voters))
    if vote.n_alike:
        sentences.append(LEFT_OUT.format(count=vote.n_alike))
    return sentences


def _describe_preference(vote: BlindVote, result: VoteResult) -> list[Message]:
    seen = result.preference
    if not seen.n:
        return [NO_PREFERENCE]
    leads_second = seen.low > 0.5 or (seen.high >= 0.5 and 2 * seen.n_second >= seen.n)
    first, second = vote.contestants
    low, high = (seen.low, seen.high) if leads_second else (1 - seen.high, 1 - seen.low)
    wins = seen.n_second if leads_second else seen.n - seen.n_second
    name = name_contestant(second if leads_second else first, first.run_id == second.run_id)
    values = {"name": name, "wins": wins, "n": seen.n, "share": wins / seen.n, "low": low, "high": high}
    if seen.decided_after:
        return [DECIDED.format(after=seen.decided_after, **values)]
    if 2 * wins == seen.n:
        return [EVEN.format(wins=wins, n=seen.n), _describe_way(result)]
    return [UNDECIDED.format(**values), _describe_way(result)]


def _describe_way(result: VoteResult) -> Message:
    """How far it is to a decision."""
    seen = result.preference
    more = interval.more_needed(seen.n_second, seen.n - seen.n_second)
    if more is None:
        return TOO_CLOSE
    if more > result.n_open:
        return NOT_ENOUGH_QUESTIONS.format(more=more, left=result.n_open)
    return MORE_VOTES.format(more=more)


def _describe_agreement(result: VoteResult) -> Message:
    if not result.n_pairs:
        return NO_OVERLAP
    return AGREEMENT.format(
        agree=result.n_agreeing,
        pairs=result.n_pairs,
        share=result.n_agreeing / result.n_pairs,
        chance=result.chance,
    )
