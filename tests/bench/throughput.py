"""Prints tokens a second and peak memory of the studio's worker against plain scripts doing the same, in one run.

    python tests/bench/throughput.py [METHOD …] [--steps 12] [--rounds 1] [--busy]

Arms: (a) the studio's worker, with everything it chooses; (b) TRL's SFTTrainer as a tutorial for a processor sets it
(32 bits, no checkpointing); (c) the same with TRL's own defaults (bfloat16, gradient checkpointing); (d) a bare loop
in 32 bits. All train the same attached model (SmolLM2-135M, the support sample) with the same batch and learning
rate. Padding does not count, and the first step of each is left out. The last column is the share of the measured
rate of matrix products, in the precision of the arm, that the arithmetic of a step comes to: 2 FLOP a weight and
token forward, as many to pass gradients on, and as many for weights that learn. `--busy` keeps one other process
computing all the while.
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

BATCH, LENGTH, RATE = 4, 256, 1e-4
METHODS = ("lora", "full", "frozen", "prefix", "adapter", "qlora", "qat", "peft")
ARMS = {
    "studio": "(a) studio's worker",
    "trl": "(b) TRL, 32 bits",
    "trl-defaults": "(c) TRL, its defaults",
    "loop": "(d) bare loop, 32 bits",
}

TRL_OPTIONS = {"trl": {"bf16": False, "gradient_checkpointing": False}, "trl-defaults": {}}


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
        "training.retention=none",
        f"training.learning_rate={RATE}",
        f"training.epochs={steps * BATCH / 119}",
        f"method.name={method}",
        "method.settings={}",
    )
    run = runs.create(plan.load(presets.recipes()["support-tone-lora"], changes))
    launcher.start(run)
    while runs.status(run).state not in runs.ENDED_STATES:
        time.sleep(1)
    if runs.status(run).state != "done":
        sys.exit(runs.status(run).message.render())
    points = [point for point in runs.read_points(run) if "tokens" in point]
    # The last step is followed by the validation before its point is written, so it is left out.
    marks = [(point["time"], point["tokens"]) for point in points][:-1]
    report = runs.report(run)
    return {"marks": marks, "gb": runs.peak_memory_gb(run), "precision": report["precision"]}


def examples():
    """The sample's pairs as conversations."""
    from studio import presets
    from studio.data import examples as data_examples
    from studio.data.readers import read

    card = presets.samples()["support-tone"]
    rows, _ = data_examples.build_examples(read.read_table(card.path), "chat", card.columns)
    return rows[:119]


def attached(method_name):
    """The model with a method attached, as the studio attaches it, and its tokenizer."""
    from studio import methods
    from studio.models import load
    from studio.models.fetch import fetch

    folder, method = fetch("smollm2-135m").folder, methods.get(method_name)
    base = load.base_model(folder, "chat", storage=load.WeightStorage(in_4_bits=method.weights == "nf4"))
    return method.attach(base, method.resolve_settings({}), "chat"), load.tokenizer(folder)


def trl(method, steps, **options):
    """(b) and (c) what a tutorial would write with TRL."""
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
    model, tokenizer = attached(method)
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            max_length=LENGTH,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            disable_tqdm=True,
            include_num_input_tokens_seen="non_padding",
            **options,
        )
        SFTTrainer(
            model,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Clock()],
        ).train()
    return marks


def loop(method, steps):
    """(d) the training loop of a textbook."""
    import torch

    from studio.data import examples as data_examples

    model, tokenizer = attached(method)
    rows = [
        data_examples.encode_chat(data_examples.to_messages(row), tokenizer, LENGTH) for row in examples()
    ]
    order = random.Random(0).sample(rows, len(rows)) * (1 + steps * BATCH // len(rows))
    optimizer = torch.optim.AdamW(
        [value for value in model.parameters() if value.requires_grad], lr=RATE, fused=True
    )
    model.train()
    marks, seen = [], 0
    for step in range(steps):
        batch = order[step * BATCH : step * BATCH + BATCH]
        longest = max(len(row.input_ids) for row in batch)
        padding = [longest - len(row.input_ids) for row in batch]
        tensors = {
            "input_ids": [row.input_ids + [2] * n for row, n in zip(batch, padding, strict=True)],
            "attention_mask": [
                [1] * len(row.input_ids) + [0] * n for row, n in zip(batch, padding, strict=True)
            ],
            "labels": [row.labels + [-100] * n for row, n in zip(batch, padding, strict=True)],
        }
        model(**{name: torch.tensor(values) for name, values in tensors.items()}).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += sum(len(row.input_ids) for row in batch)
        marks.append((time.time(), seen))
    return marks


def run_arm(arm, method, steps):
    """One arm in this process; what it measured."""
    marks = loop(method, steps) if arm == "loop" else trl(method, steps, **TRL_OPTIONS[arm])
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "marks": marks,
        "gb": peak_gb,
        "precision": "bfloat16" if arm == "trl-defaults" else "float32",
    }


def measure_arm(arm, method, steps):
    """One arm in a process of its own; None where TRL cannot train the method."""
    command = [sys.executable, "-W", "ignore", __file__, method, "--arm", arm, "--steps", str(steps)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        print(f"{ARMS[arm]}: {result.stderr.strip().splitlines()[-1][:150]}")
        return None
    return json.loads(result.stdout.splitlines()[-1])


def matmul_rates():
    """FLOP/s of square products in both formats, on all threads."""
    import torch

    rates = {}
    for name in ("float32", "bfloat16"):
        matrix = torch.randn(1536, 1536).to(getattr(torch, name))
        times = []
        for _ in range(8):
            started_at = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - started_at)
        rates[name] = 2 * 1536**3 / min(times)
    return rates


def flop_per_token(method):
    """2 FLOP a weight forward, 2 to pass gradients on, 2 for weights that learn; the table of words is looked up."""
    from studio.models import load

    model, _ = attached(method)
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
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--arm", choices=ARMS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(run_arm(options.arm, options.methods[0], options.steps)))
        return
    os.environ.setdefault("STUDIO_HOME", str(Path("~/.cache/studio-bench").expanduser()))
    from studio.models.fetch import fetch

    fetch("smollm2-135m")
    os.environ["HF_HUB_OFFLINE"] = "1"
    rates = matmul_rates()
    print(", ".join(f"matrix products in {name}: {value / 1e9:.0f} GFLOP/s" for name, value in rates.items()))
    other = multiprocessing.get_context("spawn").Process(target=busy, daemon=True)
    if options.busy:
        other.start()
    for method in options.methods:
        flop, best = flop_per_token(method), {}
        for _ in range(options.rounds):
            for arm in ARMS:
                if arm == "studio":
                    measured = studio(method, options.steps)
                else:
                    measured = measure_arm(arm, method, options.steps)
                if measured:
                    speed = rate(measured["marks"])
                    if arm not in best or speed > best[arm][0]:
                        best[arm] = (speed, measured["gb"], measured["precision"])
        for arm, (speed, gb, precision) in best.items():
            share = speed * flop / rates[precision]
            ratio = best["studio"][0] / speed
            print(
                f"{method:8} {ARMS[arm]:24} {speed:8.1f} tokens/s  studio is {ratio:5.2f} x  {gb:5.2f} GB  "
                f"{share:5.1%} of {precision}",
                flush=True,
            )


if __name__ == "__main__":
    main()
