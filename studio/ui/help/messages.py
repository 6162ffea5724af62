"""The texts of the help parts that stand in no card."""

from studio import presets
from studio.i18n import Message, label

HOW_IT_WORKS = label("How this method works")
EXACT_TERMS = label("All settings explained")
SHOW_TOUR = label("Tour")
OPEN_GLOSSARY = label("Glossary")

PAGE_HEADINGS: dict[str, Message] = {
    "what": Message("What it is"),
    "how": Message("How it works"),
    "steps": Message("Steps"),
    "fits": Message("Use it when"),
    "fits_not": Message("Skip it when"),
    "watch": Message("What to watch"),
    "cost": Message("Cost on this machine"),
    "source": Message("Source:"),
}
TRY_SHORT_RUN = Message("Try a short run on a sample")
TRY_TIMED = Message("Try it on a sample (about {time})")
WITH_SAMPLE = Message("Uses the built-in sample “{name}” ({rows} rows).")
COST_UNKNOWN = Message("Add data and choose a base model to see an estimate.")
METHOD_SETTINGS = Message("{method} settings")
TRAINING_SETTINGS = Message("Training settings")

GLOSSARY_TEXTS: dict[str, Message] = {
    "title": Message("Glossary"),
    "search": Message("Search terms"),
    "count": Message("{count} terms"),
    "found": Message("{found} of {count} terms"),
    "none": Message("No results for “{text}”. Try a shorter word."),
    "close": Message("Close"),
    "exact": Message("Definition:"),
}
CURVE_HEADINGS: dict[str, Message] = {
    "open": Message("How to read this curve"),
    "good": Message("Looks good when:"),
    "bad": Message("Warning sign:"),
    "exact": Message("Definition:"),
}

# One step for each tab, in their order.
TOUR_STEPS: tuple[tuple[Message, Message], ...] = (
    (
        Message("Add your data"),
        Message(
            "Upload a spreadsheet, paste some rows or start with a sample. The studio detects the columns,"
            " checks the quality and helps you fix problems."
        ),
    ),
    (
        Message("Choose a method"),
        Message(
            "{count} methods compared by memory, time and cost on this machine. One is recommended for your"
            " data, with its settings filled in.",
            {"count": presets.spelled_method_count},
            style="sentence",
        ),
    ),
    (
        Message("Train"),
        Message(
            "Press Start and watch the curves. You can stop at any time and keep what the model has learned."
            " Closing this page does not stop it."
        ),
    ),
    (
        Message("Compare"),
        Message("Ask the original and the tuned model the same question and read both answers side by side."),
    ),
    (
        Message("Share"),
        Message(
            "Download the model with its model card and plan. Nothing leaves this machine unless you agree."
        ),
    ),
)
TOUR_TEXTS: dict[str, Message] = {
    "place": Message("Tour · {step} of {count}"),
    "next": Message("Next"),
    "back": Message("Back"),
    "skip": Message("Skip tour"),
    "done": Message("Get started"),
}
