"""What the stages of a training are called above their curves."""

from studio.i18n import Message

# In the order in which a run goes through them.
STAGE_TITLES = {
    "sft": Message("Learning from the good answers (SFT)"),
    "reward": Message("Learning which answers are better (reward model)"),
    "rl": Message("Practising and being scored (RL)"),
    "dpo": Message("Learning straight from the pairs (DPO)"),
    "kto": Message("Learning straight from thumbs up and down (KTO)"),
    "simpo": Message("Learning straight from the pairs (SimPO)"),
    "orpo": Message("Learning straight from the pairs (ORPO)"),
    "full_precision": Message("At full precision, to compare"),
    "train": Message("Training"),
}
