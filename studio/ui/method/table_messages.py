"""Texts of the comparison table."""

from studio import presets
from studio.i18n import Message

COLUMN_HEADINGS = {
    "method": Message("Method"),
    "memory": Message("Peak memory"),
    "time": Message("Time"),
    "money": Message("Cost"),
    "updated": Message("Parameters trained"),
    "disk": Message("Size"),
}
ENERGY_HEADING = Message("Energy")
# What there is less of where a method does better; of the parameters that change, fewer is not better.
COLUMN_NOUNS = {
    "memory": Message("memory"),
    "time": Message("time"),
    "money": Message("money"),
    "disk": Message("space"),
}
DETAIL_HEADINGS = {
    "principle": Message("How it works"),
    "steps": Message("Steps"),
    "when": Message("When to use it"),
    "needs": Message("Data needed"),
    "trained": Message("Parameters trained"),
    "parts": Message("What fills the memory"),
    "stretches": Message("Where the time goes"),
    "sure": Message("Where these figures come from"),
    "reach": Message("Limits on this machine"),
    "missing": Message("Not known yet"),
}
# Every word that the script says by itself; what is in braces it fills in.
SCRIPT_MESSAGES = {
    "tools": Message("Filter and sort"),
    "fits": Message("Only what fits"),
    "sort": Message("Sort by"),
    "standard": Message("Default order"),
    "least": Message("{column}: lowest first"),
    "most": Message("{column}: highest first"),
    "export": Message("Copy table"),
    "csv": Message("As CSV"),
    "image": Message("As image"),
    "copied": Message("Copied: {count} rows."),
    "pictured": Message("Copied as an image."),
    "saved": Message("Saved as {file}: this browser cannot copy images."),
    "byHand": Message("This browser cannot copy. The text below is selected: copy it from there."),
    "failed": Message("The image could not be made."),
    "shown": Message("{count} of {all} methods shown."),
    "none": Message("No method fits this filter."),
    "clear": Message("Show all methods"),
    "details": Message("Details"),
    "pin": Message("Compare", context="table"),
    "unpin": Message("Remove"),
    "full": Message("Two methods are already compared. Remove one first."),
    "versus": Message("Side by side"),
    "second": Message("Choose “Compare” on a second method."),
    "same": Message("no clear difference"),
    "half": Message("half the {what}"),
    "third": Message("a third of the {what}"),
    "quarter": Message("a quarter of the {what}"),
    "part": Message("1/{count} of the {what}"),
    "less": Message("{count}% less {what}"),
    "nothing": Message("no {what} at all"),
}
TABLE_CAPTION = Message("{count} methods compared", {"count": presets.spelled_method_count}, style="sentence")
ON_MACHINE = Message("On {place}. 9 of 10 runs should fall within the ranges.")
ON_MACHINE_WITH_MEMORY = Message(
    "On {place}, {room} of memory available. 9 of 10 runs should fall within the ranges."
)
REFINING = Message("Refining estimates…")
REFUSED_METHODS = Message(
    "{count} {count:method doesn’t|methods don’t} fit your data: {names}.", style="sentence"
)
SHOW_REFUSED, HIDE_REFUSED = Message("Show"), Message("Hide")
CHOSEN = Message("selected")
TOO_FEW_EXAMPLES = Message("needs about {least} examples; you have {have}")
TRAINED_ROUNDED = Message("{trained} of {total}")
TRAINED_EXACTLY = Message("{trained} of {total}, exactly")
TRAINED_WITH_TWO_CLASSES = Message("{trained} of {total}, with two classes")
FIT_LABELS = {"yes": Message("fits"), "tight": Message("tight"), "no": Message("does not fit")}
MEMORY_SHORTFALL = Message("Needs {more} more than the {room} available.")
SUGGESTIONS_TO_FIT = Message("How to make it fit")
SUGGESTIONS_TO_EASE = Message("How to leave more room")
FREE = Message("free")
ELECTRICITY = Message("electricity, {energy}")
UNKNOWN_SHAPE = Message("not known until the base model is here")
NOT_ESTIMATED = Message("not estimated, as it cannot be used here")
MAX_BATCH_AND_LENGTH = Message(
    "Memory allows a batch size of {batch}, or a max length of {length} tokens, with all else unchanged."
)
MAX_BATCH_ANY_LENGTH = Message("Memory allows a batch size of {batch}; every text fits at full length.")
UP_TO, OR_MORE = Message("up to {count}"), Message("{count} or more")
NOT_KNOWN = Message("not known")
ESTIMATE_LEVELS = {
    "formula": Message("A first estimate from a formula."),
    "traced": Message("One training step was traced, operation by operation."),
}
SPEED_MEASURED = Message("The speed was measured on this machine.")
REMAINDER = Message("other")
# The phases of a run (studio.methods.workload) as a person would tell them apart.
PHASE_LABELS = {
    "start": Message("loading"),
    "train": Message("training"),
    "sft": Message("fine-tuning on good answers (SFT)"),
    "full_precision": Message("training at full precision, to compare"),
    "verdict": Message("test before and after"),
    "check": Message("checks on validation examples"),
    "ask": Message("answering questions before and after"),
    "retention": Message("retention check before and after"),
    "linear": Message("fitting a linear start"),
    "bottom": Message("running the frozen layers once"),
    "openings": Message("writing the model’s own openings"),
    "head": Message("fitting a start for the reward model"),
    "reward": Message("training the reward model"),
    "write": Message("writing practice answers"),
    "judge": Message("scoring the answers"),
    "reference": Message("comparing with the original (reference)"),
    "rl": Message("learning from practice (RL)"),
    "dpo": Message("learning from pairs (DPO)"),
    "simpo": Message("learning from pairs (SimPO)"),
    "orpo": Message("learning from pairs (ORPO)"),
    "kto": Message("learning from thumbs up and down (KTO)"),
    "save": Message("saving"),
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
