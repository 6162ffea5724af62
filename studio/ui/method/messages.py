"""Texts of the Method tab; those of its comparison table are in table_messages."""

from studio import presets
from studio.i18n import Message, label, register_label

METHOD_HEADING = register_label(
    Message(
        "### Choose a method\nAll {count} side by side. A row opens its settings below.",
        {"count": presets.spelled_method_count},
    )
)
MODEL_HELP = label("Choose from the list, or type a hub id (owner/name) or a folder.")
NEXT_TRAIN = label("Next: train")
MORE_METHOD_SETTINGS = label("More settings of this method")
SUGGESTED_VALUES = Message(
    "Suggested for {count} training examples: epochs {epochs:g}, {batch} examples at a time,"
    " {steps} steps in all."
)
SUGGESTED_LENGTH = Message(" Longest example, automatic: {tokens} tokens.")
SUGGESTED_FOR_FIRST_STAGE = Message("This holds for the first stage; the later ones are set above.")
NO_SETTINGS = label("This method has no settings of its own: everything is trained.")
UNKNOWN_METHOD = Message("There is no such method.")
