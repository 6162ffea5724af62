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
    ("hits", True): Message("{hits} of {n} {rows} right ({value:.0%}, 95% interval {low:.0%} to {high:.0%})"),
    ("hits", False): Message("{hits} of {n} {rows} right"),
    ("pairs", True): Message(
        "{hits} of {n} {rows} ranked as people did ({value:.0%}, 95% interval {low:.0%} to {high:.0%})"
    ),
    ("pairs", False): Message("{hits} of {n} {rows} ranked as people did"),
    ("f1", True): Message(
        "Labels of {n} {rows} found with a micro F1 of {value:.0%} (95% interval {low:.0%} to {high:.0%})"
    ),
    ("f1", False): Message("Labels of {n} {rows} predicted"),
    ("errors", True): Message(
        "Off by {value:.2g} on average on {n} {rows} (mean absolute error; 95% interval {low:.2g} to "
        "{high:.2g})"
    ),
    ("errors", False): Message("Numbers of {n} {rows} predicted"),
    ("loss", True): Message(
        "The wanted answer became likelier for {n_better} of {n} {rows} (loss {value:.2f}, 95% interval "
        "{low:.2f} to {high:.2f})"
    ),
    ("loss", False): Message(
        "The wanted answer became likelier for {n_better} of {n} {rows} (loss {value:.2f})"
    ),
    ("reward", True): Message(
        "The score of answers to {n} kept-aside questions changed by {value:+.2g} (95% interval {low:+.2g} "
        "to {high:+.2g})"
    ),
    ("reward", False): Message("{n} kept-aside questions answered before and after practice"),
}
SHARE_OF_OTHER = Message("{name} {value:.0%}")
ERROR_OF_OTHER = Message("{name} {value:.2g}")
FEW_HITS_OF_OTHER = Message("{name} {hits}")
HEADLINE, HEADLINE_ALONE = Message("{result}; {others}."), Message("{result}.")
CLAUSE_SEPARATOR = Message("; ", context="clauses")
OTHERS = {
    "base": Message("the base model"),
    "majority": Message("always guessing the largest class"),
    "median": Message("always guessing the median"),
    "linear": Message("frozen embeddings with a linear head"),
    "chance": Message("guessing"),
    "run": Message("the other run"),
    "start": Message("before practice"),
}

BETTER = Message("Better than {other}: {difference}.")
WORSE = Message("Worse than {other}: {difference}.")
NOT_SHOWN = Message("Not shown to be better than {other}: {difference}.")
POINTS = Message("{value:+.0f} points (95% interval {low:+.0f} to {high:+.0f})")
UNITS = Message("{value:+.2g} (95% interval {low:+.2g} to {high:+.2g})")
WITH_COUNTS = Message("{interval}, better on {n_better} rows and worse on {n_worse}")
LINEAR_IS_AS_GOOD = Message("The linear head is as good, as far as {n} rows can show: {difference}.")
LINEAR_IS_BETTER = Message("The linear head is better: {difference}.")
TOO_FEW = Message("{n} rows are too few: below {least} no percentage is called a result.")
CHOSE_THE_STATE = Message(
    "The validation rows also chose which state was kept, and that flatters it: so a difference counts here "
    "only if chance would bring it in fewer than 1 of 100 cases."
)
CAN_SHOW = Message("Your {n} {rows} can only show differences of {points} points or more.")
CAN_SHOW_UNITS = Message("Your {n} {rows} can only show differences of {difference:.2g} or more.")
CAN_SHOW_NONE = Message("Your {n} {rows} cannot show any difference reliably.")
FORGOT, FORGOT_SUITE = Message("It forgot: {suites}."), Message("{name} {before:.0%} → {after:.0%}")
LOSS_IS_NOT_QUALITY = Message(
    "Likelier is not the same as better: read the answers side by side, or let people vote in the Playground."
)
NOTHING_HELD_OUT = Message(
    "Nothing was kept aside whose right answer is known, so there is nothing to compare."
)

SHIP_STEP = Message(
    "Ask it a few questions of your own in the Playground, then take it home on the Share tab."
)
TAKE_LINEAR = Message("Take the linear head as the result: as good, and cheaper to train and to run.")
MORE_ROWS = Message(
    "{count:,} more {rows} would show {points} points: set a larger test part aside on the Method tab, or "
    "bring more examples."
)
MORE_ROWS_UNITS = Message(
    "{count:,} more {rows} would show a difference of {difference:.2g}: set a larger test part aside on the "
    "Method tab, or bring more examples."
)
AT_LEAST = Message("Set at least {least} rows aside for the test on the Method tab.")
SET_TEST_ASIDE = Message("Set a test part aside on the Method tab: rows that choose nothing judge fairly.")
TRAIN_OTHERWISE = Message("Bring more examples, or try another learning rate, method or base model.")
DECIDE_ON_FORGETTING = Message(
    "Decide whether you need what it forgot. What helps: fewer epochs, a lower learning rate, training fewer "
    "matrices, or mixing in general examples."
)
BRING_KNOWN_ANSWERS = Message("Bring questions with known answers, or let people vote in the Playground.")


def join_clauses(clauses: Sequence[Message]) -> Message:
    """Parts of one sentence."""
    return join_messages(clauses, CLAUSE_SEPARATOR)
