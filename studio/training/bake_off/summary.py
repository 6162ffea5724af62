"""What a bake-off showed: a table of what was measured, and a recommendation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from studio import runs
from studio.estimate import history
from studio.estimate.machines import catalogue
from studio.evaluate.bake_off import Ranking
from studio.evaluate.paired import Difference, Estimate
from studio.i18n import Message, join_messages
from studio.runs import Run
from studio.training.bake_off import conductor
from studio.training.bake_off.record import BakeOff, Contender

OUTCOMES: Mapping[str, Message] = {
    "in": Message("in it"),
    "dropped": Message("dropped, shown to be worse"),
    "broke_off": Message("broke off"),
    "worse": Message("shown to be worse"),
    "second": Message("not chosen"),
    "winner": Message("winner"),
}
# A score with its interval, by the name of the measure.
SCORES: Mapping[str, Message] = {
    "accuracy": Message("{value:.0%} correct ({low:.0%}–{high:.0%})"),
    "answer_accuracy": Message("{value:.0%} correct ({low:.0%}–{high:.0%})"),
    "exact_match": Message("{value:.0%} correct ({low:.0%}–{high:.0%})"),
    "micro_f1": Message("micro F1 {value:.0%} ({low:.0%}–{high:.0%})"),
    "mae": Message("off by {value:.2g} ({low:.2g}–{high:.2g})"),
    "loss": Message("loss {value:.3f} ({low:.3f}–{high:.3f})"),
}
# The best state of a stage so far; an earlier studio kept one alone.
BEST_STATES = ("checkpoints/*/trained.safetensors", "checkpoints/*/best-*/trained.safetensors")
ALONE = Message("Use {winner}: {score} on {n} validation rows, and every other one was shown to be worse.")
ALONE_BEHIND_BROKEN = Message(
    "Use {winner}: {score} on {n} validation rows. The others broke off or were shown to be worse."
)
AMONG = Message(
    "{winner} leads with {score}, but {others} may be as good, as far as {n} validation rows can show."
)
LEAST_TIME = Message("Of these, {name} took the least time.")
NO_RESULT = Message("No contender has answered validation rows yet.")
TIME_IS_UP = Message("Its {cap:.0f} minutes are used up. {winner} goes on with: studio train --resume {run}")
TIME_IS_UP_EARLY = Message("Its {cap:.0f} minutes are used up before a winner was found: allow more time.")
STOPPED = Message("It was stopped. It goes on with: studio bake-off --resume {id}")
SEPARATOR = Message(", ", context="list")


@dataclass(frozen=True)
class Row:
    """What was measured of one contender.

    Attributes:
        contender: The contender.
        score: The measure on the validation rows with its 95 % interval; None where nothing was answered.
        lead: How much better the winner is on the same rows; None for the winner.
        memory_gb: The most memory it took; 0 where it noted none.
        size_mb: What was learned, on disk; 0 before anything was saved.
        cost: What the minutes cost where it trained; None where no price is known.
    """

    contender: Contender
    score: Estimate | None
    lead: Difference | None
    memory_gb: float
    size_mb: float
    cost: float | None


@dataclass(frozen=True)
class Summary:
    """What a bake-off showed.

    Attributes:
        bake_off: The bake-off.
        rows: A row for each contender, in their order.
        ranking: All contenders that answered, compared; None where none did.
    """

    bake_off: BakeOff
    rows: Sequence[Row]
    ranking: Ranking | None

    def format_score(self, row: Row) -> Message | None:
        """A contender's score with its interval."""
        if not self.ranking or not row.score:
            return None
        return SCORES[self.ranking.measure.name].format(**asdict(row.score))

    def recommend(self) -> list[Message]:
        """What to use, and what else there is to say."""
        winner = next((row for row in self.rows if row.contender.outcome == "winner"), None)
        if not self.ranking or not winner:
            return [NO_RESULT, *self._tell_end(None)]
        peers = [row for row in self.rows if row.contender.outcome == "second"]
        values = {
            "winner": winner.contender.name,
            "score": self.format_score(winner),
            "n": self.ranking.n_rows,
        }
        if not peers:
            has_broken_off = any(each.outcome == "broke_off" for each in self.bake_off.contenders)
            alone = ALONE_BEHIND_BROKEN if has_broken_off else ALONE
            return [alone.format(**values), *self._tell_end(winner)]
        others = join_messages([row.contender.name for row in peers], SEPARATOR)
        fastest = min((winner, *peers), key=lambda row: _minutes_for_all(row.contender))
        return [
            AMONG.format(**values, others=others),
            LEAST_TIME.format(name=fastest.contender.name),
            *self._tell_end(winner),
        ]

    def _tell_end(self, winner: Row | None) -> list[Message]:
        cap = self.bake_off.cap_minutes
        if self.bake_off.state == "stopped":
            return [STOPPED.format(id=self.bake_off.id[:8])]
        if self.bake_off.state != "time_is_up":
            return []
        if not winner:
            return [TIME_IS_UP_EARLY.format(cap=cap)]
        run_id = winner.contender.run_id[:8]
        return [TIME_IS_UP.format(cap=cap, winner=winner.contender.name, run=run_id)]

    def to_json(self) -> dict[str, Any]:
        """Every figure, for other programs."""
        return {
            "id": self.bake_off.id,
            "state": self.bake_off.state,
            "minutes": round(self.bake_off.minutes, 2),
            "cap_minutes": self.bake_off.cap_minutes,
            "measure": self.ranking.measure.name if self.ranking else None,
            "rows": self.ranking.n_rows if self.ranking else 0,
            "contenders": [_row_to_json(row) for row in self.rows],
            "recommendation": [message.render() for message in self.recommend()],
        }


def summarize(bake_off: BakeOff) -> Summary:
    """What a bake-off showed so far: every contender at its last look, on the rows that all answered."""
    ranking = conductor.rank(bake_off, bake_off.contenders)
    return Summary(bake_off, [_measure(each, ranking) for each in bake_off.contenders], ranking)


def _measure(contender: Contender, ranking: Ranking | None) -> Row:
    run = contender.run
    return Row(
        contender,
        score=ranking.estimates.get(contender.name) if ranking else None,
        lead=ranking.leads.get(contender.name) if ranking else None,
        memory_gb=runs.peak_memory_gb(run) if run else 0.0,
        size_mb=_size_mb(run) if run else 0.0,
        cost=_cost(contender, run),
    )


def _cost(contender: Contender, run: Run | None) -> float | None:
    """What a contender's minutes cost; elsewhere as on its run's receipt."""
    if contender.plan.is_local:
        return catalogue.cost_of_minutes(catalogue.local_machine(), contender.minutes)
    return history.billed_money(history.load_estimate(run), contender.minutes) if run else None


def _size_mb(run: Run) -> float:
    """What was learned, on disk: the saved result, else the best state of each stage so far."""
    states = [path for pattern in BEST_STATES for path in run.folder.glob(pattern)]
    best_states = {path.relative_to(run.folder).parts[1]: path for path in states}
    saved = [*run.model.rglob("*.safetensors")] or [*best_states.values()]
    return sum(path.stat().st_size for path in saved) / 1e6


def _minutes_for_all(contender: Contender) -> float:
    """How long a contender's whole training takes at its pace."""
    return contender.minutes / max(contender.share, 1e-9)


def _row_to_json(row: Row) -> dict[str, Any]:
    return {
        "name": row.contender.name,
        "run": row.contender.run_id,
        "outcome": row.contender.outcome,
        "reason": row.contender.reason.render() if row.contender.reason else None,
        "share": round(row.contender.share, 3),
        "score": asdict(row.score) if row.score else None,
        "lead_of_the_winner": asdict(row.lead) if row.lead else None,
        "minutes": round(row.contender.minutes, 2),
        "memory_gb": round(row.memory_gb, 2),
        "size_mb": round(row.size_mb, 1),
        "cost": row.cost,
    }
