"""Prints tokens per second of (a) the studio's worker, (b) a plain TRL script, (c) a bare PyTorch loop, in
turn in one run.

`python tests/bench/throughput.py [--method full] [--busy] [--steps 24] [--rounds 1]`. Same model
(SmolLM2-135M), same examples (the support sample), same batch, rank and learning rate. Tokens that are
padding do not count; the first step of each is left out. `--busy` keeps one other process computing all the
while.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, LENGTH, RATE = 4, 256, 1e-4


def rate(marks):
    """Tokens per second between the first and the last mark of (time, tokens so far)."""
    (begin, first), (end, last) = marks[0], marks[-1]
    return (last - first) / (end - begin)


def studio(method, steps):
    """(a) the run as the page starts it: its own process, its own points."""
    from studio import plan, presets, runs
    from studio.training import launcher

    changes = (
        f"training.batch_size={BATCH}",
        f"training.max_length={LENGTH}",
        "training.eval_count=1",
        f"training.learning_rate={RATE}",
    )
    changes += (f"training.epochs={steps * BATCH / 119}", f"method.name={method}") + (
        ("method.settings={}",) if method == "full" else ()
    )
    run = runs.create(plan.load(presets.recipes()["support-tone-lora"], changes))
    launcher.start(run)
    while runs.status(run).state not in runs.ENDED_STATES:
        time.sleep(1)
    if runs.status(run).state != "done":
        sys.exit(runs.status(run).message)
    points = [point for point in runs.read_points(run) if "tokens" in point]
    # The last step is followed by the validation before its point is written, so it is left out.
    return [(point["time"], point["tokens"]) for point in points][:-1], sorted(
        {point["threads"] for point in points}
    )


def examples():
    """The sample's pairs as conversations."""
    from studio import presets
    from studio.data import examples as data_examples
    from studio.data.readers import read as readers

    card = presets.samples()["support-tone"]
    found, _ = data_examples.build_examples(readers.read_table(card.path), "chat", card.columns)
    return data_examples.split(found, "chat", 0.15, 42)[0]


def model(method):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from studio.models.fetch import fetch

    folder = fetch("smollm2-135m").folder
    found = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if method == "lora":
        found = get_peft_model(
            found, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        )
    return found, AutoTokenizer.from_pretrained(folder)


def trl(method, steps):
    """(b) what a tutorial would write with TRL."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            marks.append((time.time(), int(state.num_input_tokens_seen)))

    rows = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["response"]}],
        }
        for row in examples()
    ]
    found, tokenizer = model(method)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            max_length=LENGTH,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
            include_num_input_tokens_seen="non_padding",
        )
        SFTTrainer(
            found,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Clock()],
        ).train()
    return marks


def loop(method, steps):
    """(c) the training loop of a textbook."""
    import random

    import torch

    from studio.data import examples as data_examples

    found, tokenizer = model(method)
    rows = [
        data_examples.encode_chat(data_examples.to_messages(row), tokenizer, LENGTH) for row in examples()
    ]
    order = random.Random(0).sample(rows, len(rows)) * (1 + steps * BATCH // len(rows))
    optimizer = torch.optim.AdamW(
        [value for value in found.parameters() if value.requires_grad], lr=RATE, fused=True
    )
    found.train()
    marks, seen = [], 0
    for step in range(steps):
        batch = order[step * BATCH : step * BATCH + BATCH]
        longest = max(len(row.input_ids) for row in batch)
        ids = torch.tensor([row.input_ids + [2] * (longest - len(row.input_ids)) for row in batch])
        mask = torch.tensor(
            [[1] * len(row.input_ids) + [0] * (longest - len(row.input_ids)) for row in batch]
        )
        labels = torch.tensor([row.labels + [-100] * (longest - len(row.labels)) for row in batch])
        found(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(found.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += int(mask.sum())
        marks.append((time.time(), seen))
    return marks


def busy():
    while True:
        sum(range(10_000))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", choices=("lora", "full"), default="lora")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--arm", choices=("trl", "loop"))
    options = parser.parse_args()
    if options.arm:
        print(json.dumps({"trl": trl, "loop": loop}[options.arm](options.method, options.steps)))
        return
    os.environ.setdefault("STUDIO_HOME", str(Path("~/.cache/studio-bench").expanduser()))
    os.environ["HF_HUB_OFFLINE"] = "1"
    from studio.models.fetch import fetch

    fetch("smollm2-135m")
    other = multiprocessing.get_context("spawn").Process(target=busy, daemon=True)
    if options.busy:
        other.start()
    found = {"studio": [], "trl": [], "loop": []}
    for _ in range(options.rounds):
        marks, threads = studio(options.method, options.steps)
        found["studio"].append(rate(marks))
        print(f"(a) studio's worker: {found['studio'][-1]:.1f} tokens/s (threads {threads})", flush=True)
        for arm, name in (("trl", "(b) plain TRL script"), ("loop", "(c) bare PyTorch loop")):
            command = [
                sys.executable,
                "-W",
                "ignore",
                __file__,
                "--arm",
                arm,
                "--method",
                options.method,
                "--steps",
                str(options.steps),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[arm].append(rate(json.loads(done.stdout.splitlines()[-1])))
            print(f"{name}: {found[arm][-1]:.1f} tokens/s", flush=True)
    best = {name: max(values) for name, values in found.items()}
    print(
        f"{options.method}, busy={options.busy}: a/b {best['studio'] / best['trl']:.2f}, a/c {best['studio'] / best['loop']:.2f}"
    )


if __name__ == "__main__":
    main()
