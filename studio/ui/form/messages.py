"""Labels and help texts of the training fields, and the names that a plan's parts have on the page."""

from studio.i18n import Message, label

METHOD = Message("Method")
MODEL = label("Base model")
AUTOMATIC_VALUE = Message("automatic: {value}")
AUTOMATIC = label("automatic")
EPOCHS = label("Epochs")
EPOCHS_HELP = label("How often the model sees each example. Too many, and it memorizes instead of learning.")
BATCH_SIZE = label("Batch size")
BATCH_SIZE_HELP = label("Examples per step. Higher values need more memory and give fewer, steadier steps.")
LEARNING_RATE = label("Learning rate")
LEARNING_RATE_HELP = label(
    "How far each step moves the model. Too high is unstable, too low learns little. Empty: automatic."
)
MORE_SETTINGS = label("More training settings")
MAX_LENGTH = label("Max length")
MAX_LENGTH_HELP = label(
    "Tokens read of each example; the rest is cut. One token is about ¾ of an English word. Empty: automatic."
)
VALIDATION_SHARE = label("Validation share")
VALIDATION_SHARE_HELP = label("Examples the model never trains on. They choose its best version.")
TEST_SHARE = label("Test share")
TEST_SHARE_HELP = label(
    "Examples kept for the final score, measured before and after training. 0 uses the validation examples."
)
EVAL_COUNT = label("Evaluations")
EVAL_COUNT_HELP = label(
    "How often the model is checked during training. More checks find the best version more exactly."
)
PATIENCE = label("Early stopping")
PATIENCE_HELP = label(
    "Stop after this many checks without progress. 0 trains to the end; the best version is kept either way."
)
LR_SCHEDULER = label("Learning rate schedule")
LR_SCHEDULER_HELP = label("How the learning rate changes during training. Linear works well almost always.")
LR_SCHEDULERS = {
    "linear": Message("Linear: falls evenly to 0"),
    "cosine": Message("Cosine: falls slowly, then fast, then slowly to 0"),
    "constant_with_warmup": Message("Constant with warm-up"),
    "constant": Message("Constant, without warm-up"),
}
CLASS_WEIGHTS = label("Class weights")
CLASS_WEIGHTS_HELP = label("Makes rare labels count more, so that the model does not ignore them.")
CLASS_WEIGHT_CHOICES = {
    "auto": Message("Automatic: a little, if one label has 10 times another’s examples"),
    "none": Message("None: every example counts the same"),
    "balanced": Message("Balanced: every label counts the same"),
}
WARMUP_RATIO = label("Warm-up")
WARMUP_RATIO_HELP = label(
    "Share of the steps in which the learning rate rises from 0. Raise it if the loss jumps at the start."
)
WEIGHT_DECAY = label("Weight decay")
WEIGHT_DECAY_HELP = label("Pulls weights towards 0, against memorizing. 0 is off; 0.01–0.1 is usual.")
GRADIENT_CHECKPOINTING = label("Gradient checkpointing")
GRADIENT_CHECKPOINTING_HELP = label(
    "Use less memory, train a quarter to a half slower. A GPU does so where the run would not fit otherwise."
)
DISK_OFFLOAD = label("Disk offload")
DISK_OFFLOAD_HELP = label(
    "Leaves the model’s layers on the disk and reads each one when it is needed: a model larger than the"
    " memory can be trained, but slower. Only where nothing else makes it fit."
)
NUM_GPUS = label("GPUs")
NUM_GPUS_HELP = label(
    "How many GPUs of this machine train together. They share the batch of each step; in full fine-tuning"
    " they share the weights too, where one GPU cannot hold them."
)
PRECISION = label("Training precision")
PRECISION_HELP = label(
    "The numbers that training computes in. Automatic takes bfloat16 (16 bits) where this machine is faster"
    " in it, else float32 (32 bits)."
)
PRECISION_CHOICES = {
    "auto": Message("Automatic"),
    "float32": Message("float32, the most exact"),
    "bfloat16": Message("bfloat16, even if slower"),
}
MASK_HISTORY = label("Mask history")
MASK_HISTORY_HELP = label("Learn only the last answer of each conversation. Off: learn every answer.")
REPLAY_SHARE = label("Replay")
REPLAY_SHARE_HELP = label(
    "Share of general examples mixed in so that the model forgets less. 0 is off; 0.1–0.3 is usual."
)
RETENTION = label("Retention check")
RETENTION_HELP = label(
    "Asks general questions before and after training, to see what the model forgot: facts, arithmetic, "
    "instructions, JSON, refusals, the other language."
)
RETENTION_CHOICES = {
    "auto": Message("Automatic: up to 20 of 40 questions per skill, fewer if training is short"),
    "all": Message("All 40 questions per skill"),
    "none": Message("Off"),
}
SEED = label("Seed")
SEED_HELP = label("The same seed repeats the same split and the same training.")
CAPS = label("Caps: stop before too much time, money or energy")
NO_CAP = label("No cap")
MAX_MINUTES = label("Time cap (minutes)")
MAX_MINUTES_HELP = label(
    "The run stops in time and keeps its best state. Broken off, it counts on; resumed at its cap, it gets "
    "the cap again."
)
MAX_MONEY = label("Money cap")
MAX_MONEY_HELP = label("At this machine's price per hour, in its currency.")
MAX_WATT_HOURS = label("Energy cap (Wh)")
MAX_WATT_HOURS_HELP = label("At this machine's power, as in the estimate.")
