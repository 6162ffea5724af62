"""Labels and help texts of the training fields, and the names that a plan's parts have on the page."""

from studio.i18n import Message, label

METHOD = Message("Method")
MODEL = label("Base model to start from")
EPOCHS = label("How often every example is seen (epochs)")
EPOCHS_HELP = label(
    "More rounds learn the examples better, until the model repeats them by heart: watch the validation loss."
)
BATCH_SIZE = label("Examples per step (batch size)")
BATCH_SIZE_HELP = label("More needs more memory and makes steadier, fewer steps.")
LEARNING_RATE = label("How big each step is (learning rate)")
LEARNING_RATE_HELP = label(
    "0 takes the value that suits the method and model. Too high never settles, too low hardly learns."
)
MORE_SETTINGS = label("More settings")
MAX_LENGTH = label("Longest example in tokens (max length)")
MAX_LENGTH_HELP = label(
    "0 takes what the longest examples need. Longer texts are cut here; a token is about three quarters of an"
    " English word."
)
VALIDATION_SHARE = label("Share kept aside to check on (validation)")
VALIDATION_SHARE_HELP = label("The model never trains on these; the validation loss is measured on them.")
TEST_SHARE = label("Share kept for the final test")
TEST_SHARE_HELP = label(
    "Every before-and-after figure is measured on these, and nothing is chosen by them."
    " 0 uses the validation part instead."
)
EVAL_COUNT = label("How often the validation loss is measured (evaluations)")
EVAL_COUNT_HELP = label(
    "Spread evenly over the run. More show the curve more finely and find the best state more exactly;"
    " each takes a little time."
)
PATIENCE = label("Stop after so many checks without progress (early stopping)")
PATIENCE_HELP = label("0 always trains to the end. The best state is kept either way.")
LR_SCHEDULER = label("How the size of the steps changes (learning rate schedule)")
LR_SCHEDULER_HELP = label(
    "Big steps find the direction, small ones at the end settle. Falling evenly suits nearly always."
)
LR_SCHEDULERS = {
    "linear": Message("Falls evenly to 0 (linear)"),
    "cosine": Message("Falls slowly, then fast, then slowly to 0 (cosine)"),
    "constant_with_warmup": Message("Stays the same after the warm-up (constant with warm-up)"),
    "constant": Message("The same from the first step on, without warm-up (constant)"),
}
CLASS_WEIGHTS = label("Rare classes count more (class weights)")
CLASS_WEIGHTS_HELP = label(
    "For texts with labels alone: without it, a class with few examples is easily never named."
)
CLASS_WEIGHT_CHOICES = {
    "auto": Message("Automatic: somewhat more, where one class has 10 times another's examples"),
    "none": Message("No: every example counts the same"),
    "balanced": Message("Fully: every class counts the same (balanced)"),
}
WARMUP_RATIO = label("Share of the steps that starts gently (warm-up)")
WARMUP_RATIO_HELP = label(
    "Over this share the steps grow from nothing to their full size."
    " Raise it if the loss jumps right at the start."
)
WEIGHT_DECAY = label("Pull what is learned towards 0 (weight decay)")
WEIGHT_DECAY_HELP = label(
    "A brake against learning by heart where there is little data. 0 leaves it out; 0.01 to 0.1 is usual."
)
GRADIENT_CHECKPOINTING = label("Save memory by computing twice (gradient checkpointing)")
GRADIENT_CHECKPOINTING_HELP = label(
    "Intermediate results are thrown away and computed again: far less memory, and a quarter to a half"
    " more time. Large models on a card do so anyway."
)
MASK_HISTORY = label("Learn only the last answer of a conversation (mask history)")
MASK_HISTORY_HELP = label("Off learns every answer. Turn it on where earlier answers are not worth copying.")
REPLAY_SHARE = label("Share of general examples against forgetting (replay)")
REPLAY_SHARE_HELP = label(
    "Mixes general questions and answers, written for this studio, into what is trained on. 0 uses none;"
    " 0.1 to 0.3 keeps more of what the model could do before."
)
RETENTION = label("Look what the model forgets (retention)")
RETENTION_HELP = label(
    "Asks general questions before and after training: knowledge, common sense, instructions, arithmetic, "
    "JSON, refusals, the other language. For models that write; classifiers are asked nothing."
)
RETENTION_CHOICES = {
    "auto": Message("Automatic: at most 20 of 40 questions on each ability, fewer where training is short"),
    "all": Message("All 40 questions on each ability"),
    "none": Message("None: nothing is asked"),
}
SEED = label("Random starting point (seed)")
SEED_HELP = label("The same seed gives the same split and the same training.")
