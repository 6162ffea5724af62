"""How much faster a step is in bfloat16 on this processor, and how far its loss lies from that in 32 bits.

    python tests/bench/precision.py [--model smollm2-135m] [--batches 6] [METHOD …]

Both precisions compute the same batches of the same model by turns, forward and backward; nothing is learned,
so every batch meets the same weights. Seconds are those of this process on one thread, which other programs
disturb least. RLHF and UPFT train in such steps too, but mostly write answers, which is always in 32 bits.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from studio import methods, presets, runs, storage
from studio.data import collate
from studio.models.fetch import fetch
from studio.plan import Data, MethodChoice, Plan, Training
from studio.training import setup

SAMPLES = {"smollm2-135m": ("chat", "support-tone"), "minilm-l6": ("classify", "ticket-triage")}


def prepare(method, model):
    """A training of a sample, loaded and attached as a worker has it."""
    task, sample = SAMPLES[model]
    plan = Plan(
        name="precision",
        task=task,
        model=model,
        data=Data(source=f"sample:{sample}", columns=presets.samples()[sample].columns),
        method=MethodChoice(name=method),
        training=Training(batch_size=8, max_length=256, precision="float32"),
    )
    run = runs.create(plan)
    context, _ = setup.load_context(
        run, methods.get(method), fetch(model), setup.split_dataset(plan).splits, lambda *_: None
    )
    return context


def one_pass(context, batch, dtype):
    """Seconds of a forward and backward pass, and its loss."""
    for module in context.model.modules():
        if hasattr(module, "compute_dtype"):  # a 4-bit matrix
            module.compute_dtype = dtype
    tensors = {name: value for name, value in batch.items() if name not in ("labels", "row_index")}
    started_at = time.process_time()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
        outputs = context.model(**tensors)
    outputs.logits = outputs.logits.float()
    loss = collate.get_loss(context.plan.task)(outputs, batch["labels"])
    loss.backward()
    seconds = time.process_time() - started_at
    context.model.zero_grad()
    return seconds, loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="*", default=["lora", "full", "frozen", "qlora", "adapter", "qat"])
    parser.add_argument("--model", choices=SAMPLES, default="smollm2-135m")
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    print(
        f"{'method':10} {'float32 s':>9} {'bfloat16 s':>10} {'ratio':>6} {'largest difference of a loss':>30}"
    )
    with tempfile.TemporaryDirectory() as home:
        Path(home, "models").symlink_to(storage.home() / "models")
        os.environ["STUDIO_HOME"] = home
        for method in options.methods:
            context = prepare(method, options.model)
            collator = collate.build_collator(
                context.plan.task, context.tokenizer, collate.count_virtual_tokens(context.model)
            )
            context.model.train()
            for module in context.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            rows = [vars(row) for row in context.train]
            batches = [collator(rows[start : start + 8]) for start in range(0, 8 * options.batches, 8)]
            timings = {torch.float32: [], torch.bfloat16: []}
            difference = 0.0
            for batch in batches:
                losses = []
                for dtype, seconds in timings.items():
                    duration, loss = one_pass(context, batch, dtype)
                    seconds.append(duration)
                    losses.append(loss)
                difference = max(difference, abs(losses[0] - losses[1]) / losses[0])
            slow, fast = (median(seconds[1:]) for seconds in timings.values())
            print(f"{method:10} {slow:9.2f} {fast:10.2f} {slow / fast:6.2f} {difference:30.2%}", flush=True)


if __name__ == "__main__":
    main()
