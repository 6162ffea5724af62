"""Prints tokens a second and peak memory of the studio's worker against plain scripts doing the same, in one run.

    python tests/bench/throughput.py [METHOD …] [--model minilm] [--steps 12] [--rounds 1] [--busy]

Arms: (a) the studio's worker, with everything it chooses; (b) TRL's SFTTrainer as a tutorial for a processor sets it
(32 bits, no checkpointing); (c) the same with TRL's own defaults (bfloat16, gradient checkpointing); (d) a bare loop
in 32 bits. All train the same attached model (SmolLM2-135M, the support sample) with the same batch and learning
rate. With `--model minilm` a classifier is trained on the ticket sample, and (b) and (c) are transformers' Trainer, in
32 bits and under bfloat16 autocast. Padding does not count, and the first step of each is left out. The last column is the share of the measured
rate of matrix products, in the precision of the arm, that the arithmetic of a step comes to: 2 FLOP a weight and
token forward, as many to pass gradients on, and as many for weights that learn. Arm (c) is left out on a processor that
emulates bfloat16: it would take most of a day. `--busy` keeps one other process computing all the while.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

RATE = 1e-4


class Setup(NamedTuple):
    """What is trained: a catalogue model on a sample, by the recipe that has both."""

    model: str
    task: str
    recipe: str
    sample: str
    batch: int
    length: int
    rows: int


SETUPS = {
    "smollm2": Setup("smollm2-135m", "chat", "support-tone-lora", "support-tone", 4, 256, 119),
    "minilm": Setup("minilm-l6", "classify", "ticket-triage-full", "ticket-triage", 16, 128, 192),
}
# Quantisation-aware training alone, without the one at full precision that it is compared with.
SETTINGS = {"qat": {"compare": False}}
METHODS = ("lora", "full", "frozen", "prefix", "adapter", "qlora", "qat", "peft")
ARMS = {
    "studio": "(a) studio's worker",
    "trl": "(b) TRL, 32 bits",
    "trl-defaults": "(c) TRL, its defaults",
    "loop": "(d) bare loop, 32 bits",
}

TRAINER_ARMS = {
    "studio": "(a) studio's worker",
    "trl": "(b) Trainer, 32 bits",
    "trl-defaults": "(c) Trainer, bfloat16",
    "loop": "(d) bare loop, 32 bits",
}

TRL_OPTIONS = {"trl": {"bf16": False, "gradient_checkpointing": False}, "trl-defaults": {}}


def rate(marks):
    """Tokens per second between the first and the last mark of (time, tokens so far)."""
    (begin, first), (end, last) = marks[0], marks[-1]
    return (last - first) / (end - begin)


def studio(setup, method, steps):
    """(a) the run as the page starts it: its own process, its own points."""
    from studio import plan, presets, runs
    from studio.training import launcher

    changes = (
        f"training.batch_size={setup.batch}",
        f"training.max_length={setup.length}",
        "training.eval_count=1",
        "training.retention=none",
        f"training.learning_rate={RATE}",
        f"training.epochs={steps * setup.batch / setup.rows}",
        f"method.name={method}",
        f"method.settings={json.dumps(SETTINGS.get(method, {}))}",
    )
    run = runs.create(plan.load(presets.recipes()[setup.recipe], changes))
    launcher.start(run)
    while runs.status(run).state not in runs.ENDED_STATES:
        time.sleep(1)
    if runs.status(run).state != "done":
        sys.exit(runs.status(run).message.render())
    points = [point for point in runs.read_points(run) if "tokens" in point and point["stage"] == "train"]
    # The last step is followed by the validation before its point is written, so it is left out.
    marks = [(point["time"], point["tokens"]) for point in points][:-1]
    report = runs.report(run)
    return {"marks": marks, "gb": runs.peak_memory_gb(run), "precision": report["precision"]}


def examples(setup):
    """The rows of the sample."""
    from studio import presets
    from studio.data import examples as data_examples
    from studio.data.readers import read

    card = presets.samples()[setup.sample]
    rows, _ = data_examples.build_examples(read.read_table(card.path), setup.task, card.columns)
    return rows[: setup.rows]


def encoded(setup, tokenizer):
    """The sample's rows as token ids, with what is learned of them."""
    from studio.data import examples as data_examples

    rows = examples(setup)
    labels = data_examples.collect_labels(rows) if setup.task == "classify" else ()
    return data_examples.encode_examples(rows, setup.task, tokenizer, setup.length, labels)


def attached(setup, method_name):
    """The model with a method attached, as the studio attaches it, and its tokenizer."""
    from studio import methods
    from studio.data import examples as data_examples
    from studio.models import load
    from studio.models.fetch import fetch

    folder, method = fetch(setup.model).folder, methods.get(method_name)
    labels = data_examples.collect_labels(examples(setup)) if setup.task == "classify" else ()
    base = load.base_model(
        folder, setup.task, labels, storage=load.WeightStorage(in_4_bits=method.weights == "nf4")
    )
    model = method.attach(base, method.resolve_settings(SETTINGS.get(method_name, {})), setup.task)
    if method_name == "qat":
        from studio.methods.training import fake_quantization

        fake_quantization.set_rounding(model, enabled=True)
    return model, load.tokenizer(folder)


def clock(marks):
    """A callback that notes time and tokens after each step."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            marks.append((time.time(), int(state.num_input_tokens_seen)))

    return Clock()


def trainer_arguments(setup, steps):
    """What all trainers of others are given."""
    return {
        "max_steps": steps,
        "per_device_train_batch_size": setup.batch,
        "learning_rate": RATE,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
        "include_num_input_tokens_seen": "non_padding",
    }


def trl(setup, method, steps, **options):
    """(b) and (c) what a tutorial would write with TRL."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    marks = []
    rows = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["response"]}],
        }
        for row in examples(setup)
    ]
    model, tokenizer = attached(setup, method)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(folder, max_length=setup.length, **trainer_arguments(setup, steps), **options)
        SFTTrainer(
            model,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[clock(marks)],
        ).train()
    return marks


def trainer(setup, method, steps, **options):
    """(b) and (c) what a tutorial would write with transformers' Trainer."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    marks = []
    model, tokenizer = attached(setup, method)
    rows = [{"input_ids": row.input_ids, "labels": row.labels[0]} for row in encoded(setup, tokenizer)]
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model,
            args=TrainingArguments(folder, **trainer_arguments(setup, steps), **options),
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[clock(marks)],
        ).train()
    return marks


def padded(rows, task):
    """A batch of a textbook: every row as long as the longest."""
    import torch

    longest = max(len(row.input_ids) for row in rows)
    batch = {"input_ids": [], "attention_mask": [], "labels": []}
    for row in rows:
        n = longest - len(row.input_ids)
        batch["input_ids"].append(row.input_ids + [2] * n)
        batch["attention_mask"].append([1] * len(row.input_ids) + [0] * n)
        batch["labels"].append(row.labels[0] if task == "classify" else row.labels + [-100] * n)
    return {name: torch.tensor(values) for name, values in batch.items()}


def loop(setup, method, steps):
    """(d) the training loop of a textbook."""
    import torch

    model, tokenizer = attached(setup, method)
    rows = encoded(setup, tokenizer)
    order = random.Random(0).sample(rows, len(rows)) * (1 + steps * setup.batch // len(rows))
    optimizer = torch.optim.AdamW(
        [value for value in model.parameters() if value.requires_grad], lr=RATE, fused=True
    )
    model.train()
    marks, seen = [], 0
    for step in range(steps):
        batch = order[step * setup.batch : step * setup.batch + setup.batch]
        model(**padded(batch, setup.task)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += sum(len(row.input_ids) for row in batch)
        marks.append((time.time(), seen))
    return marks


def run_arm(arm, setup, method, steps):
    """One arm in this process; what it measured."""
    if arm == "loop":
        marks = loop(setup, method, steps)
    elif setup.task == "classify":
        marks = trainer(setup, method, steps, bf16=arm == "trl-defaults")
    else:
        marks = trl(setup, method, steps, **TRL_OPTIONS[arm])
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "marks": marks,
        "gb": peak_gb,
        "precision": "bfloat16" if arm == "trl-defaults" else "float32",
    }


def measure_arm(arm, model, method, steps):
    """One arm in a process of its own; None where TRL cannot train the method."""
    command = [sys.executable, "-W", "ignore", __file__, method, "--arm", arm, "--steps", str(steps)]
    command += ["--model", model]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        print(f"{ARMS[arm]}: {result.stderr.strip().splitlines()[-1][:150]}")
        return None
    return json.loads(result.stdout.splitlines()[-1])


def matmul_rates(formats):
    """FLOP/s of square products in these formats, on all threads."""
    import torch

    rates = {}
    for name in formats:
        matrix = torch.randn(1536, 1536).to(getattr(torch, name))
        times = []
        for _ in range(8):
            started_at = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - started_at)
        rates[name] = 2 * 1536**3 / min(times)
    return rates


def flop_per_token(setup, method):
    """2 FLOP a weight forward, 2 to pass gradients on, 2 for weights that learn; the table of words is looked up."""
    from studio.models import load

    model, _ = attached(setup, method)
    table = model.get_input_embeddings().weight.numel()
    total = load.count_parameters(model) - table
    trained = load.count_parameters(model, trainable_only=True)
    return 4 * total + 2 * min(trained, total)


def busy():
    while True:
        sum(range(10_000))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--model", choices=SETUPS, default="smollm2")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--arm", choices=ARMS)
    options = parser.parse_args()
    if options.arm:
        setup = SETUPS[options.model]
        print(json.dumps(run_arm(options.arm, setup, options.methods[0], options.steps)))
        return
    os.environ.setdefault("STUDIO_HOME", str(Path("~/.cache/studio-bench").expanduser()))
    from studio.models import cpu_precision
    from studio.models.fetch import fetch

    setup = SETUPS[options.model]
    arms = TRAINER_ARMS if setup.task == "classify" else ARMS
    fetch(setup.model)
    os.environ["HF_HUB_OFFLINE"] = "1"
    has_bf16 = cpu_precision.has_native_bf16()
    arms_here = [arm for arm in ARMS if has_bf16 or arm != "trl-defaults"]
    rates = matmul_rates(("float32", "bfloat16") if has_bf16 else ("float32",))
    print(", ".join(f"matrix products in {name}: {value / 1e9:.0f} GFLOP/s" for name, value in rates.items()))
    other = multiprocessing.get_context("spawn").Process(target=busy, daemon=True)
    if options.busy:
        other.start()
    for method in options.methods:
        flop, best = flop_per_token(setup, method), {}
        for _ in range(options.rounds):
            for arm in arms_here:
                if arm == "studio":
                    measured = studio(setup, method, options.steps)
                else:
                    measured = measure_arm(arm, options.model, method, options.steps)
                if measured:
                    speed = rate(measured["marks"])
                    if arm not in best or speed > best[arm][0]:
                        best[arm] = (speed, measured["gb"], measured["precision"])
        for arm, (speed, gb, precision) in best.items():
            share = speed * flop / rates[precision]
            ratio = best["studio"][0] / speed
            print(
                f"{method:8} {arms[arm]:24} {speed:8.1f} tokens/s  studio is {ratio:5.2f} x  {gb:5.2f} GB  "
                f"{share:5.1%} of {precision}",
                flush=True,
            )


if __name__ == "__main__":
    main()
