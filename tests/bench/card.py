"""The runs of `card.sh`: the studio against TRL on models of real shapes, and its estimates against both.

    python tests/bench/card.py FOLDER [--tiny] [--minutes 7]

First what happens around the steps: a model straight to the card and its checksum there, beside SHA-256. Then the
trainings, then the same ones with and without padding, and last how often a step waits for the card.

`--tiny` takes shapes of toys, to try the script itself where there is no card. After `--minutes` no further run is
started, and the runs left out are named. Each row: tokens a second (padding does not count, first step left out),
memory told by the run, memory and minutes that were estimated before it started (traced, after one measurement of
the machine), seconds in all, before the first step and in the steps, and what the estimate chose.
"""

import argparse
import dataclasses
import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent
SHAPES = {
    "llama-3b": {
        "model_type": "llama",
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 8192,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "qwen3-0.6b": {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
}
TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
    "vocab_size": 49152,
}
# The shortest first, so that a card that is lent for minutes shows something of everything.
RUNS = (
    ("qwen3-0.6b", "lora"),
    ("llama-3b", "lora"),
    ("llama-3b", "qlora"),
    ("qwen3-0.6b", "full"),
    ("llama-3b", "frozen"),
    ("llama-3b", "prefix"),
    ("llama-3b", "adapter"),
    ("qwen3-0.6b", "qat"),
    ("qwen3-0.6b", "peft"),
)
TRL_RUNS = (("llama-3b", "lora"), ("qwen3-0.6b", "full"))
PACKED_RUNS = (("qwen3-0.6b", "frozen"), ("llama-3b", "lora"))
WAIT = "called a synchronizing CUDA operation"
BATCH, LENGTH, ROWS = 8, 512, 160


def make_model(folder, name, tiny):
    """A folder with a model of a shape with random weights, in bfloat16, and the tokenizer of SmolLM2."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from studio.models import load
    from studio.models.fetch import fetch

    path = folder / "shapes" / name
    if (path / "config.json").exists():
        return path
    config = AutoConfig.for_model(**(SHAPES[name] | (TINY if tiny else {})))
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(path)
    load.tokenizer(fetch("smollm2-135m").folder).save_pretrained(path)
    return path


def write_rows(folder):
    """Questions and answers of the sample, repeated to the number of rows: a file that any machine has."""
    from studio import presets

    card = presets.samples()["support-tone"]
    lines = card.path.read_text(encoding="utf-8").splitlines()
    path = folder / "rows.csv"
    body = (lines[1:] * (1 + ROWS // len(lines)))[:ROWS]
    path.write_text("\n".join([lines[0], *body]), encoding="utf-8")
    return path, card.columns


def studio_run(model, method, rows, columns, counts_waits=False, padding_free=None):
    """One training in the terminal: what was estimated, and what it took.

    `padding_free` is the plan's. With `counts_waits` torch tells of each wait for the card.
    """
    from studio import runs
    from studio.estimate import all_methods, history
    from studio.estimate.machines import catalogue
    from studio.plan import Data, MethodChoice, Plan, Training

    plan = Plan(
        name=f"{method} on {model.name}",
        task="chat",
        model=str(model),
        data=Data(source=str(rows), columns=columns, validation_share=0.05, test_share=0),
        method=MethodChoice(name=method),
        training=Training(
            epochs=1,
            batch_size=BATCH,
            max_length=LENGTH,
            eval_count=1,
            retention="none",
            learning_rate=1e-4,
            padding_free=padding_free,
        ),
    )
    machine = catalogue.local_machine()
    estimate = all_methods.estimate_before_start(plan, machine)
    run = runs.create(plan)
    history.save_estimate(run, estimate, machine)
    starter = ["-m", "studio.training.worker"]
    if counts_waits:
        starter = ["-W", "always", __file__, str(rows.parent), "--waits"]
    started_at, clock = time.time(), time.perf_counter()
    worker = subprocess.run([sys.executable, *starter, run.id], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - clock
    points = [point for point in runs.read_points(run) if "tokens" in point]
    return Trained(
        estimate,
        [(point["time"], point["tokens"]) for point in points[:-1]],  # behind the last comes a validation
        runs.peak_memory_gb(run),
        seconds,
        points[0]["time"] - started_at,
        worker.stderr.count(WAIT) / points[-1]["step"],
    )


@dataclasses.dataclass
class Trained:
    """What came of a training: `marks` are the time and the tokens so far at each point of its curve."""

    estimate: Any
    marks: list
    peak_gb: float
    seconds: float
    seconds_to_first_point: float
    waits_per_step: float

    @property
    def choices(self):
        names = {
            "recomputes": self.estimate.gradient_checkpointing,
            f"in {self.estimate.gradient_accumulation_steps}": True,
            "packs": self.estimate.packs_texts,
        }
        return ", ".join(name for name, holds in names.items() if holds)


def tell_waits(run_id):
    """What `studio_run` starts to count waits: the worker, with torch telling of each."""
    import torch

    from studio.training import worker

    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("warn")
    worker.run(run_id)


def measure_loading(folder):
    """Print how long a model takes to its device, what main memory holds for it, and both kinds of checksum."""
    import torch

    from studio.models import device, load

    torch.zeros(1, device=device.torch_device())  # the context
    clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = load.base_model(folder, "chat")
    device.synchronize()
    seconds = [time.perf_counter() - clock]
    grown_gb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9
    model_gb = sum(tensor.nbytes for tensor in model.parameters()) / 1e9
    for digits in (load.DEVICE_DIGITS, load.HOST_DIGITS):
        clock = time.perf_counter()
        load.fingerprint(model, "0" * digits)
        seconds.append(time.perf_counter() - clock)
    figures = [f"{figure:.2f}" for figure in (model_gb, grown_gb, *seconds)]
    print(f"| {folder.name} | {' | '.join(figures)} |", flush=True)


def trl_run(arm, model, method, rows, columns):
    """One training with TRL in a process of its own, as its README has it, or with Liger and packing."""
    command = [sys.executable, "-W", "ignore", __file__, str(rows.parent), "--trl", arm, str(model), method]
    command += [columns["prompt"], columns["response"]]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        return result.stderr.strip().splitlines()[-1][:120]
    return json.loads(result.stdout.splitlines()[-1])


def train_with_trl(folder, arm, model, method, prompt_column, response_column):
    """What `trl_run` starts: prints the marks (time, tokens) and the peak of memory (GB)."""
    import torch
    from datasets import Dataset, load_dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            marks.append((time.time(), int(state.num_input_tokens_seen)))

    table = load_dataset("csv", data_files=str(folder / "rows.csv"), split="train")
    rows = [
        {
            "prompt": [{"role": "user", "content": row[prompt_column]}],
            "completion": [{"role": "assistant", "content": row[response_column]}],
        }
        for row in table
    ]
    on_gpu = torch.cuda.is_available()
    options = {"packing": True, "use_liger_kernel": True} if arm == "liger" else {}
    config = SFTConfig(
        str(folder / "trl"),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        max_length=LENGTH,
        learning_rate=1e-4,
        use_cpu=not on_gpu,
        model_init_kwargs={"dtype": "bfloat16" if method == "lora" else "float32"},
        save_strategy="no",
        report_to="none",
        logging_steps=1,
        disable_tqdm=True,
        include_num_input_tokens_seen="non_padding",
        **options,
    )
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    peft_config = lora if method == "lora" else None
    SFTTrainer(
        model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        peft_config=peft_config,
        callbacks=[Clock()],
    ).train()
    peak_bytes = torch.cuda.max_memory_reserved() if on_gpu else 0
    print(json.dumps({"marks": marks, "gb": peak_bytes / 1e9}))


def tokens_per_second(marks):
    (begin, first), (end, last) = marks[0], marks[-1]
    return (last - first) / (end - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--loading", type=Path, metavar="MODEL")
    parser.add_argument("--waits", metavar="RUN")
    parser.add_argument("--trl", nargs=5, metavar=("ARM", "MODEL", "METHOD", "PROMPT", "RESPONSE"))
    options = parser.parse_args()
    if options.trl:
        train_with_trl(options.folder, *options.trl)
        return
    if options.loading:
        measure_loading(options.loading)
        return
    if options.waits:
        tell_waits(options.waits)
        return
    from studio.models import device

    ends_at = time.monotonic() + 60 * options.minutes
    print(f"# {device.describe()}\n", flush=True)
    subprocess.run([sys.executable, "-m", "studio", "measure"], check=False)
    rows, columns = write_rows(options.folder)
    print("\n| model | GB | main memory grown, GB | s to load | s of checksum | s of SHA-256 |")
    print("|---|---|---|---|---|---|", flush=True)
    for shape in SHAPES:
        model = make_model(options.folder, shape, options.tiny)
        command = [sys.executable, __file__, str(options.folder), "--loading", str(model)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    print(
        "\n| run | tokens/s | GB told | GB estimated | s | s to the first point | s of steps | s estimated "
        "| level | chosen |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    left_out = []

    def train(shape, method, label="", **changes):
        if time.monotonic() > ends_at:
            left_out.append(f"{shape} {method} {label}".strip())
            return
        model = make_model(options.folder, shape, options.tiny)
        trained = studio_run(model, method, rows, columns, **changes)
        memory, minutes, marks = trained.estimate.memory_gb, trained.estimate.minutes, trained.marks
        speed = f"{tokens_per_second(marks):,.0f}" if len(marks) > 1 else "–"
        print(
            f"| studio, {shape} {method} {label} | {speed} | {trained.peak_gb:.2f} "
            f"| {memory.likely:.2f} ({memory.low:.2f} to {memory.high:.2f}) | {trained.seconds:.0f} "
            f"| {trained.seconds_to_first_point:.0f} | {marks[-1][0] - marks[0][0]:.0f} "
            f"| {60 * minutes.likely:.0f} ({60 * minutes.low:.0f} to {60 * minutes.high:.0f}) "
            f"| {trained.estimate.level} | {trained.choices} |",
            flush=True,
        )
        if changes.get("counts_waits"):
            print(f"\nA step waits {trained.waits_per_step:.1f} times for the card (start and end included).")

    for shape, method in RUNS:
        train(shape, method)
    for shape, method in PACKED_RUNS:
        train(shape, method, "padded", padding_free=False)
        train(shape, method, "packed", padding_free=True)
    arms = ["plain", *(["liger"] if importlib.util.find_spec("liger_kernel") else [])]
    for shape, method in TRL_RUNS:
        for arm in arms:
            if time.monotonic() > ends_at:
                left_out.append(f"TRL {arm} {shape} {method}")
                continue
            result = trl_run(arm, make_model(options.folder, shape, options.tiny), method, rows, columns)
            if isinstance(result, str):
                print(f"| TRL {arm}, {shape} {method} | {result} |")
                continue
            speed = tokens_per_second(result["marks"])
            print(
                f"| TRL {arm}, {shape} {method} | {speed:,.0f} | {result['gb']:.2f} | | | | | | | |",
                flush=True,
            )
    train("qwen3-0.6b", "lora", "counting waits", counts_waits=True)
    if left_out:
        print(f"\nLeft out for time: {', '.join(left_out)}")


if __name__ == "__main__":
    main()
