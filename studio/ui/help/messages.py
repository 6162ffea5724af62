"""The texts of the help parts that stand in no card."""

from studio import presets
from studio.i18n import Message, label

HOW_IT_WORKS = label("How this method works")
EXACT_TERMS = label("The exact terms")
SHOW_TOUR = label("Show me around")
OPEN_GLOSSARY = label("Glossary")

PAGE_HEADINGS: dict[str, Message] = {
    "what": Message("What it is"),
    "how": Message("How it works here"),
    "steps": Message("The steps"),
    "fits": Message("It fits when"),
    "fits_not": Message("It does not fit when"),
    "watch": Message("What to watch"),
    "cost": Message("What it will cost here"),
    "source": Message("Source:"),
}
TRY_SHORT_RUN = Message("Try it on a sample, a short run")
TRY_TIMED = Message("Try it on a sample; about {time}")
WITH_SAMPLE = Message("With “{name}”: {rows} rows that come with the studio.")
COST_UNKNOWN = Message("Add data and choose a base model to see the estimate here.")
METHOD_SETTINGS = Message("Settings of {method}")
TRAINING_SETTINGS = Message("Settings of the training")

GLOSSARY_TEXTS: dict[str, Message] = {
    "title": Message("Glossary"),
    "search": Message("Find a term"),
    "count": Message("{count} terms"),
    "found": Message("{found} of {count} terms"),
    "none": Message("No term holds “{text}”. Try a shorter word."),
    "close": Message("Close"),
    "exact": Message("Exactly:"),
}
CURVE_HEADINGS: dict[str, Message] = {
    "open": Message("What this curve says"),
    "good": Message("When all is well:"),
    "bad": Message("When it is not:"),
    "exact": Message("Exactly:"),
}

# One step for each tab, in their order.
TOUR_STEPS: tuple[tuple[Message, Message], ...] = (
    (
        Message("Bring your examples"),
        Message(
            "A spreadsheet, a file or pasted rows; or one of the samples, to begin with. The studio reads"
            " them, says what it understood and helps to mend what is wrong."
        ),
    ),
    (
        Message("Choose how it learns"),
        Message(
            "{count} methods side by side, with the memory, time and money each would take here."
            " One is chosen already, and its settings are filled in.",
            {"count": presets.spelled_method_count},
            style="sentence",
        ),
    ),
    (
        Message("Watch it learn"),
        Message(
            "One button starts the training, and the curves say how it goes. You may stop whenever you like"
            " and keep what was learned; closing the page stops nothing."
        ),
    ),
    (
        Message("Ask both models"),
        Message(
            "Put the same question to the base model and to the fine-tuned one, and read both answers side by"
            " side."
        ),
    ),
    (
        Message("Take it home"),
        Message(
            "Download what was learned, with a model card and the plan that made it. Until then everything"
            " stays on this machine."
        ),
    ),
)
TOUR_TEXTS: dict[str, Message] = {
    "name": Message("A short tour"),
    "place": Message("Step {step} of {count}"),
    "next": Message("Next"),
    "back": Message("Back"),
    "skip": Message("Skip the tour"),
    "done": Message("Done"),
}
