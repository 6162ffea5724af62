"""The sentences of a verdict."""

from collections.abc import Sequence

from studio.i18n import Message, join_messages

STATES = {
    "ship": Message("Ship it"),
    "do_not_ship": Message("Do not ship it"),
    "cannot_tell": Message("Cannot tell yet"),
}
# What the rows are called: the split, and what is counted.
ROWS = {
    ("test", "texts"): Message("test texts"),
    ("validation", "texts"): Message("validation texts"),
    ("test", "answers"): Message("test answers"),
    ("validation", "answers"): Message("validation answers"),
    ("test", "questions"): Message("test questions"),
    ("validation", "questions"): Message("validation questions"),
    ("test", "pairs"): Message("test pairs"),
    ("validation", "pairs"): Message("validation pairs"),
}
# The result, by its measure or kind, and by whether there are enough rows for a percentage.
RESULTS = {
    ("hits", True): Message("{value:.0f}% correct on {n} {rows} (95% interval {low:.0f}–{high:.0f}%)"),
    ("hits", False): Message("{hits} of {n} {rows} correct"),
    ("pairs", True): Message(
        "Prefers the better answer in {hits} of {n} {rows} ({value:.0f}%, 95% interval {low:.0f}–{high:.0f}%)"
    ),
    ("pairs", False): Message("Prefers the better answer in {hits} of {n} {rows}"),
    ("f1", True): Message("Micro F1 {value:.0f}% on {n} {rows} (95% interval {low:.0f}–{high:.0f}%)"),
    ("f1", False): Message("Labels predicted for {n} {rows}"),
    ("errors", True): Message(
        "Off by {value:.2g} on average on {n} {rows} (95% interval {low:.2g}–{high:.2g})"
    ),
    ("errors", False): Message("Numbers predicted for {n} {rows}"),
    ("loss", True): Message("The wanted answer became likelier for {n_better} of {n} {rows}"),
    ("loss", False): Message("The wanted answer became likelier for {n_better} of {n} {rows}"),
    ("reward", True): Message("Reward on {n} {rows}: {value:+.2g} (95% interval {low:+.2g} to {high:+.2g})"),
    ("reward", False): Message("{n} {rows} answered before and after practice"),
}
SHARE_OF_OTHER = Message("{name}: {value:.0%}")
ERROR_OF_OTHER = Message("{name}: {value:.2g}")
FEW_HITS_OF_OTHER = Message("{name}: {hits}")
HEADLINE, HEADLINE_ALONE = Message("{result}; {others}."), Message("{result}.")
CLAUSE_SEPARATOR = Message("; ", context="clauses")
# A score inside the sentences on the linear model, by the kind of its measure.
SCORES = {
    "hits": Message("{value:.0%} correct"),
    "f1": Message("micro F1 {value:.0%}"),
    "errors": Message("off by {value:.2g}"),
}
LINEAR_IS_AS_GOOD = Message(
    "A linear model does as well, as far as {n:,} {rows} can show: {linear} against {tuned} for the tuned"
    " model."
)
LINEAR_IS_BETTER = Message(
    "A linear model does better on {n:,} {rows}: {linear} against {tuned} for the tuned model."
)
OTHERS = {
    "base": Message("the base model"),
    "majority": Message("always guessing the largest class"),
    "label_set": Message("always guessing the commonest labels"),
    "median": Message("always guessing the median"),
    "linear": Message("the linear model"),
    "chance": Message("guessing"),
    "run": Message("the other run"),
    "start": Message("before practice"),
}

BETTER = Message("Better than {other}: {difference}.")
WORSE = Message("Worse than {other}: {difference}.")
NOT_SHOWN = Message("Not clearly better than {other}: {difference}.")
POINTS = Message("{value:+.0f} points (95% interval {low:+.0f} to {high:+.0f})")
UNITS = Message("{value:+.2g} (95% interval {low:+.2g} to {high:+.2g})")
WITH_COUNTS = Message("{interval}; better on {n_better} {n_better:row|rows}, worse on {n_worse}")
TOO_FEW = Message("{n} {rows} are too few for a percentage: it takes at least {least}.")
CHOSE_THE_STATE = Message(
    "The validation rows also chose which training step was kept, which flatters the result. So a difference "
    "counts only if chance would show it in fewer than 1 of 100 cases."
)
CAN_SHOW = Message("{n} {rows} can only show differences of {points} points or more.")
CAN_SHOW_UNITS = Message("{n} {rows} can only show differences of {difference:.2g} or more.")
CAN_SHOW_NONE = Message("{n} {rows} cannot show any difference reliably.")
FORGOT, FORGOT_SUITE = Message("It forgot: {suites}."), Message("{name} {before:.0%} → {after:.0%}")
LOSS_IS_NOT_QUALITY = Message(
    "Likelier is not the same as better: read the answers side by side, or let people vote in the Playground."
)
NOTHING_HELD_OUT = Message("No held-out rows with known answers, so there is nothing to compare.")
FAULT = Message(
    "The verdict could not be computed ({error}). The trained model is complete; `studio verdict {run}` "
    "tries again."
)


def join_clauses(clauses: Sequence[Message]) -> Message:
    """Parts of one sentence."""
    return join_messages(clauses, CLAUSE_SEPARATOR)
