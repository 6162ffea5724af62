"""The stages of RLHF: supervised fine-tuning, reward model, policy optimisation, and the next iteration."""
