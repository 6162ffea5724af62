"""The stages of RLHF: supervised fine-tuning, reward model, policy optimization, and the next iteration."""
