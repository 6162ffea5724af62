"""Texts of the Method tab; those of its comparison table are in table_messages."""

from studio import presets
from studio.i18n import Message, label, register_label

METHOD_HEADING = register_label(
    Message(
        "## Method\nHow the model learns from your data: {count} methods, one recommended.",
        {"count": presets.spelled_method_count},
        style="sentence",
    )
)
MODEL_HELP = label("Choose one, or enter a Hugging Face id (owner/name) or a folder.")
CONTINUE = label("Continue to training")
SETTINGS = label("Settings")
METHOD_SETTINGS = label("Settings of this method")
MORE_METHOD_SETTINGS = label("More settings of this method")
SUGGESTED_VALUES = Message(
    "For {count} training examples: epochs {epochs:g}, batch size {batch}, {steps} steps."
)
SUGGESTED_FOR_TEXTS = Message(
    "For {count} training texts: epochs {epochs:g}, batch size {batch}, at least {steps} steps: a long text "
    "counts as several."
)
SUGGESTED_WITHOUT_STEPS = Message("For {count} training examples: batch size {batch}.")
SUGGESTED_WITHOUT_TRAINING = Message(
    "0 unfrozen blocks: no epochs, no learning rate. The linear model is fitted to {count} examples at once."
)
SUGGESTED_FOR_FIRST_STAGE = Message("Epochs and learning rate apply to the first stage (SFT).")
AUTOMATIC_HERE = Message("Automatic values: {values}.")
AUTOMATIC_VALUE = Message("{name} {value}")
REPLAYED_STEPS = Message("steps replayed as CUDA graphs")
WITHOUT_PADDING = Message("texts behind one another, without padding (packing)")
MICRO_BATCH_SIZE = Message("examples computed at once (micro batch)")
ON, OFF = Message("on"), Message("off")
NO_SETTINGS = label("This method has no settings of its own.")
UNKNOWN_METHOD = Message("There is no such method.")
