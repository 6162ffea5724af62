"""What the parts of a training are called, in its progress and above its curves."""

from studio.i18n import Message

# In the order in which a run goes through them.
STAGE_TITLES = {
    "sft": Message("Learn from good answers (SFT)"),
    "reward": Message("Train the reward model"),
    "rl": Message("Practice and get scored (RL)"),
    "dpo": Message("Learn from pairs (DPO)"),
    "kto": Message("Learn from ratings (KTO)"),
    "simpo": Message("Learn from pairs (SimPO)"),
    "orpo": Message("Learn from pairs (ORPO)"),
    "full_precision": Message("Train at full precision"),
    "train": Message("Train"),
}
# Of a training with rounded weights, which may follow one at full precision.
QUANTIZED_TITLE = Message("Train with rounded weights")
