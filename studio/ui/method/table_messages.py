"""Texts of the comparison table."""

from studio import presets
from studio.i18n import Message

COLUMN_HEADINGS = {
    "method": Message("Method"),
    "updated": Message("Parameters that change"),
    "memory": Message("Memory at its peak"),
    "time": Message("Time"),
    "money": Message("Money"),
    "disk": Message("On disk"),
    "energy": Message("Energy"),
}
# What there is less of where a method does better; of the parameters that change, fewer is not better.
COLUMN_NOUNS = {
    "memory": Message("memory"),
    "time": Message("time"),
    "money": Message("money"),
    "disk": Message("space"),
    "energy": Message("energy"),
}
DETAIL_HEADINGS = {
    "principle": Message("How it works"),
    "steps": Message("Steps"),
    "when": Message("When"),
    "needs": Message("Data it wants"),
    "parts": Message("What fills the memory"),
    "stretches": Message("Where the time goes"),
    "sure": Message("Where these figures come from"),
    "reach": Message("How far it could go here"),
    "missing": Message("What is not known"),
}
# Every word that the script says by itself; what is in braces it fills in.
SCRIPT_MESSAGES = {
    "tools": Message("What the table shows"),
    "fits": Message("Only what fits"),
    "data": Message("Only what my data allows"),
    "sort": Message("Sort by"),
    "article": Message("The article’s order"),
    "least": Message("{column}: least first"),
    "most": Message("{column}: most first"),
    "csv": Message("Copy as CSV"),
    "image": Message("Copy as image"),
    "copied": Message("Copied: {count} rows for a spreadsheet."),
    "pictured": Message("Copied: a picture of the table."),
    "saved": Message("Saved as {file}, since this browser does not copy pictures."),
    "byHand": Message(
        "This browser does not copy by itself: the text below is selected, copy it from there."
    ),
    "failed": Message("The picture could not be made."),
    "shown": Message("{count} of {all} methods are shown."),
    "none": Message("No method is left with these filters."),
    "clear": Message("Show all methods"),
    "details": Message("Details"),
    "pin": Message("Pin to compare"),
    "unpin": Message("Unpin"),
    "full": Message("Two methods are pinned already: unpin one first."),
    "versus": Message("Side by side"),
    "second": Message("Pin a second method to see the two side by side."),
    "same": Message("no clear difference"),
    "half": Message("half the {what}"),
    "third": Message("a third of the {what}"),
    "quarter": Message("a quarter of the {what}"),
    "part": Message("1/{count} of the {what}"),
    "less": Message("{count}% less {what}"),
    "nothing": Message("no {what} at all"),
}
TABLE_CAPTION = Message(
    "{count} ways to teach a model, and what each costs",
    {"count": presets.spelled_method_count},
    style="sentence",
)
ON_MACHINE = Message(
    "On {place}. Ranges are made to hold nine runs of ten; the record above says how they did."
)
ON_MACHINE_WITH_MEMORY = Message(
    "On {place}, which has {room} for a run. Ranges are made to hold nine runs of ten;"
    " the record above says how they did."
)
REFINING = Message("Finer figures are on their way")
CHOSEN = Message("chosen")
SETTINGS_LINK = Message("Its settings ↓")
MIN_EXAMPLES = Message("wants {least} examples or more")
TOO_FEW_EXAMPLES = Message("wants {least} examples, you have {have}")
TRAINED_EXACTLY = Message("{trained} of {total}, exactly")
TRAINED_WITH_TWO_CLASSES = Message("{trained} of {total}, with two classes")
FIT_LABELS = {"yes": Message("fits"), "tight": Message("tight"), "no": Message("does not fit")}
LARGEST_PART = Message("mostly: {part}")
MEMORY_SHORTFALL = Message("needs {more} more than the {room} there are")
SUGGESTIONS_TO_FIT = Message("What would make it fit:")
SUGGESTIONS_TO_EASE = Message("What would leave more room:")
FREE = Message("free")
NO_PRICE = Message("no price known")
UNKNOWN_SHAPE = Message("not known until the base model’s shape is known")
NOT_ESTIMATED = Message("not worked out, since it cannot be used here")
MAX_BATCH_AND_LENGTH = Message(
    "By the same estimate memory allows {batch} examples per step (batch size), or texts of up to"
    " {length} tokens (max length), everything else as it is."
)
MAX_BATCH_ANY_LENGTH = Message(
    "By the same estimate memory allows {batch} examples per step (batch size); the texts fit at"
    " any length they have."
)
UP_TO, OR_MORE = Message("up to {count}"), Message("{count} or more")
NOT_KNOWN = Message("not known")
ESTIMATE_LEVELS = {
    "formula": Message("A first estimate by formula."),
    "traced": Message("One step was traced operation by operation, without training."),
}
SPEED_MEASURED = Message("The speed was measured on this machine.")
REMAINDER = Message("the rest")
# The phases of a run (studio.methods.workload) as a person would tell them apart.
PHASE_LABELS = {
    "start": Message("getting ready (loading)"),
    "train": Message("learning"),
    "sft": Message("learning from good answers (SFT)"),
    "full_precision": Message("learning at full precision, to compare"),
    "verdict": Message("the verdict before and after (test)"),
    "check": Message("checking on examples kept aside (validation)"),
    "ask": Message("asking questions before and after"),
    "retention": Message("asking general questions before and after (what it forgets)"),
    "linear": Message("fitting a linear model to start from"),
    "bottom": Message("running the frozen part once"),
    "openings": Message("writing the model’s own openings"),
    "head": Message("a good start for the reward model"),
    "reward": Message("teaching the reward model"),
    "write": Message("writing answers to practise on"),
    "judge": Message("scoring the answers"),
    "reference": Message("comparing with the original (reference)"),
    "rl": Message("practising (RL)"),
    "dpo": Message("learning from pairs (DPO)"),
    "save": Message("saving the result"),
}
# Beside the columns, in a copied file.
RANGE_ENDS = (Message("low"), Message("likely"), Message("high"))
CSV_COLUMNS = (
    Message("Parameters trained"),
    Message("Parameters in all"),
    Message("Room (GB)"),
    Message("Fits"),
    Message("Currency"),
)
