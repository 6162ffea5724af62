"""Steps of LoRA on an A100 80 GB, from the README of github.com/QwenLM/Qwen, traced here without a GPU.

One card, torch 2.0, FlashAttention 2, one text at once, 8 micro batches a step; "s/iter" is a step. Its
finetune.py: bfloat16 weights under autocast, checkpointing, LoRA of rank 64 with dropout 0.05 on every matrix, texts
padded to the full length. Qwen 1 is a Llama whose keys are not shared among heads; its one matrix for query, key and
value stands here as three. The rows "LoRA (emb)", Q-LoRA (GPTQ under DeepSpeed) and full (DeepSpeed) run other
code and are left out. Steps are told to a tenth of a second.
"""

from functools import partial

import torch
from estimator_card import Table, TimedRun, compare_time, foreach_adamw, model_loss
from estimator_t4 import llama
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from studio.estimate.op_counts import total
from studio.estimate.tracing.meta_step import PassSpec, StepRunner, enable_gradient_checkpointing

MACHINE_ID = "hf-a100-large"
ACCUMULATION = 8
CONFIGS = {
    "1.8B": llama((2048, 5504), 24, (16, 16), 151936, False),
    "7B": llama((4096, 11008), 32, (32, 32), 151936, False),
    "14B": llama((5120, 13696), 40, (40, 40), 152064, False),
}
LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
SECONDS = {
    "1.8B": (1.0, 1.0, 1.1, 1.7, 3.3, 6.8),
    "7B": (1.2, 1.5, 2.8, 5.2, 10.1, 21.3),
    "14B": (1.6, 2.4, 4.4, 8.4, 17.0, 36.0),
}


def build_runner(model_name: str, layers: int) -> StepRunner:
    """A model as finetune.py trains it, with so many of its layers."""
    with torch.device("meta"):
        config = AutoConfig.for_model(**{**CONFIGS[model_name], "num_hidden_layers": layers})
        base = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        lora_config = LoraConfig(
            r=64, lora_alpha=16, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        model = get_peft_model(base, lora_config)
    enable_gradient_checkpointing(model, "cuda", torch.bfloat16)
    return StepRunner(
        model,
        "cuda",
        partial(model_loss, model),
        autocast_dtype=torch.bfloat16,
        gradient_checkpointing=True,
        build_optimizer=foreach_adamw,
    )


def build_runs() -> list[TimedRun]:
    """Every row with its work: each layer takes the same, so two depths tell that of all."""
    runs = []
    for name, all_seconds in SECONDS.items():
        n_layers = int(CONFIGS[name]["num_hidden_layers"])
        shallow, deeper = build_runner(name, 2), build_runner(name, 4)
        for tokens, seconds in zip(LENGTHS, all_seconds, strict=True):
            spec = PassSpec(1, tokens, tokens, padded=False)
            of_two, of_four = (
                total(runner.run(spec).phases.values()).scaled(ACCUMULATION) for runner in (shallow, deeper)
            )
            n_more = (n_layers - 2) / 2
            counts = total([of_two.scaled(1 - n_more), of_four.scaled(n_more)])
            runs.append(TimedRun(f"Qwen-{name} lora 8x1x{tokens}", (counts,), seconds))
    return runs


def build_tables() -> list[Table]:
    """The time of a step."""
    return compare_time("A100, a step", build_runs(), MACHINE_ID)
