"""The runs of `card.sh`: the studio against TRL on models of real shapes, and its estimates against both.

    python tests/bench/card.py FOLDER [--only ARM,ARM…] [--rows FILE.jsonl] [--seconds 420] [--measure] [--tiny]

An arm is ENGINE:SHAPE:METHOD[:VARIANT], as in studio:llama-3b:lora or liger:llama-3b:lora:equal. ORDER holds all of
them, and is what runs without `--only`: what matters most comes first, since a card is lent for minutes. `--measure`
measures the machine before, so that the estimates rest on it. `--tiny` takes shapes of toys, to try the script itself
where there is no card. Nothing is fetched where FOLDER/tokenizer holds a tokenizer with its chat template.

What fails prints why and ends nothing else. After `--seconds` the run that goes on is ended, and no other is started.
Each row tells:

- tokens a second: the median of the points of the curve. Padding does not count, the first point is left out. "At the
  end" is the median of the last quarter, where most micro batches are of a shape that was recorded before.
- the share of the measured rate of matrix products in bfloat16 that the arithmetic of those tokens comes to: 2 FLOP a
  weight forward, 2 to pass gradients on, 2 for weights that learn; what is computed again does not count.
- memory that torch's allocator has reserved at the last step; what the studio tells afterwards, with the context and
  with the answers of base and result; and what it estimated before the start.
- seconds in all, those of the steps, and the rest. No answer takes any: each ends with its first token, which the
  estimate does not know.
"""

import argparse
import csv
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

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
ORDER = (
    "studio:llama-3b:lora",
    "studio:llama-3b:lora:graphs",
    "trl:llama-3b:lora",
    "liger:llama-3b:lora",
    "liger:llama-3b:lora:equal",
    "studio:qwen3-0.6b:full",
    "trl:qwen3-0.6b:full",
    "liger:qwen3-0.6b:full",
    "studio:qwen3-0.6b:full:graphs",
    "studio:llama-3b:lora:recompute",
    "studio:llama-3b:lora:batch32",
    "studio:llama-3b:qlora",
    "studio:llama-3b:frozen",
    "studio:llama-3b:prefix",
    "studio:llama-3b:adapter",
    "studio:qwen3-0.6b:qat",
    "studio:qwen3-0.6b:peft",
    "studio:qwen3-0.6b:lora:waits",
    "studio:qwen3-0.6b:frozen:padded",
    "studio:qwen3-0.6b:frozen:packed",
    "studio:llama-3b:lora:padded",
    "studio:llama-3b:lora:packed",
    "loading:llama-3b:base",
    "loading:qwen3-0.6b:base",
)
ENGINES = ("studio", "trl", "liger", "loading")
BATCH, LENGTH = 8, 512
# What a variant changes of the plan's training. Packed rows of TRL's are full: three of them hold about as many
# tokens as eight texts of gsm8k (equal).
VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "recompute": {"gradient_checkpointing": True},
    "graphs": {"cuda_graphs": True},
    "batch32": {"batch_size": 32},
    "equal": {"batch_size": 3},
    "padded": {"padding_free": False},
    "packed": {"padding_free": True},
    "waits": {},  # torch tells of each wait of a step for the card
}
# Quantisation-aware training alone, without the one at full precision that it is compared with.
SETTINGS = {"qat": {"compare": False}}
WAIT = "called a synchronizing CUDA operation"
MARK_SECONDS = 0.5  # between two points of a curve, as in the studio
TRL_SECONDS = 10  # of TRL's steps, whose speed changes no more
WATCHED_FILE = "card.json"  # in the run's folder: what `train` saw
COLUMNS = {"prompt": "prompt", "response": "response"}
HEADER = (
    "run|tokens/s|at the end|share of the rate|GB reserved in training|GB told|GB estimated|s|s estimated|s of steps"
    "|s of steps estimated|s outside the steps|level|chosen"
)


class Failed(Exception):
    """A run did not end well: the last lines of what it said."""


class Arm(NamedTuple):
    """What one row is about."""

    engine: str
    shape: str
    method: str
    variant: str = ""

    @classmethod
    def parse(cls, text):
        arm = cls(*text.split(":"))
        if arm.engine not in ENGINES or arm.shape not in SHAPES or arm.variant not in VARIANTS:
            raise ValueError(text)
        return arm

    @property
    def batch(self):
        return VARIANTS[self.variant].get("batch_size", BATCH)


@dataclass
class Trained:
    """What came of a training.

    Attributes:
        rates: Tokens a second at each point of the curve.
        step_seconds: Of all steps.
        reserved_gb: By torch's allocator, at the last step.
        trainable: Parameters that learn.
        total: Parameters in all.
        told_gb: The peak that the studio tells.
        estimate: The studio's, as it is saved; empty where there is none.
        waits: Of a step for the card; None where nobody counted.
        refusal: Why steps are not replayed as graphs; empty where nothing speaks against it.
    """

    rates: list[float]
    step_seconds: float
    reserved_gb: float
    trainable: int
    total: int
    told_gb: float | None = None
    estimate: dict[str, Any] = field(default_factory=dict)
    waits: float | None = None
    refusal: str = ""


class Bench:
    """The folder, the time that is left, and how this script starts itself for a part of the work."""

    def __init__(self, options):
        self.folder, self.tiny, self.epochs = options.folder, options.tiny, options.epochs
        self.seconds_each = options.seconds_each
        self.ends_at = time.monotonic() + options.seconds

    @property
    def rows(self):
        return self.folder / "rows.jsonl"

    def model(self, shape):
        return self.folder / ("toys" if self.tiny else "shapes") / shape

    def is_over(self):
        return time.monotonic() >= self.ends_at

    def start(self, part, *arguments, warnings="ignore"):
        """A part of the work in a process of its own: what it printed, and its errors; raises Failed."""
        command = [sys.executable, "-W", warnings, __file__, str(self.folder), "--part", part]
        seconds = max(1.0, min(self.seconds_each, self.ends_at - time.monotonic()))
        try:
            result = subprocess.run(
                [*command, *map(str, arguments)],
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"ended after {seconds:.0f} s, which was its time") from None
        if result.returncode:
            lines = result.stderr.strip().splitlines()[-4:]
            raise Failed(" / ".join([f"exit code {result.returncode}", *lines])[-600:])
        return result.stdout, result.stderr


def set_up(folder, *models):
    """Make the models that are missing; print the device, and the rate of matrix products in bfloat16 (FLOP/s)."""
    import torch

    from studio.models import device

    kind = device.device_type()
    size = 8192 if kind == "cuda" else 512
    left, right = torch.randn(2, size, size, device=kind, dtype=torch.bfloat16)
    for n_products in (3, 10):  # the first ones to warm up
        device.synchronize()
        clock = time.perf_counter()
        for _ in range(n_products):
            left @ right
        device.synchronize()
        rate = n_products * 2 * size**3 / (time.perf_counter() - clock)
    del left, right
    for path in map(Path, models):
        if not (path / "tokenizer.json").exists():  # which is written last
            make_model(folder, path, kind)
    print(json.dumps({"device": device.describe(), "size": size, "rate": rate}))


def make_model(folder, path, kind):
    """A model of a shape with random weights, in bfloat16, and a tokenizer: FOLDER/tokenizer, else SmolLM2's.

    Random weights would never end an answer, so any token ends it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from studio.models import load
    from studio.models.fetch import fetch

    carried = folder / "tokenizer"
    tokenizer = load.tokenizer(carried if carried.is_dir() else fetch("smollm2-135m").folder)
    config = AutoConfig.for_model(**(SHAPES[path.name] | (TINY if path.parent.name == "toys" else {})))
    torch.manual_seed(0)
    with torch.device(kind):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = list(range(config.vocab_size))
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def write_rows(path, source, count):
    """Questions and answers: the first two columns of a JSON-lines file, else of the sample, two replies in each."""
    from studio import presets

    if source:
        with source.open(encoding="utf-8") as file:
            pairs = [list(json.loads(line).values())[:2] for line in itertools.islice(file, count)]
    else:
        card = presets.samples()["support-tone"]
        with card.path.open(encoding="utf-8", newline="") as file:
            sample = [[row[card.columns[role]] for role in COLUMNS] for row in csv.DictReader(file)]
        pairs = []
        for index in range(count):
            question, reply = sample[index % len(sample)]
            _, other = sample[(index + 1 + index // len(sample)) % len(sample)]
            pairs.append((question, f"{reply}\n{other}"))
    lines = (json.dumps(dict(zip(COLUMNS, pair, strict=True))) for pair in pairs)
    path.write_text("\n".join(lines), encoding="utf-8")


def create_run(bench, arm):
    """The studio's run of an arm, before anything is estimated."""
    from studio import runs
    from studio.plan import Data, MethodChoice, Plan, Training

    training = {
        "epochs": bench.epochs,
        "batch_size": BATCH,
        "max_length": LENGTH,
        "eval_count": 1,
        "retention": "none",
        "learning_rate": 1e-4,
    }
    return runs.create(
        Plan(
            name=f"{arm.method} on {arm.shape} {arm.variant}",
            task="chat",
            model=str(bench.model(arm.shape)),
            data=Data(source=str(bench.rows), columns=COLUMNS, validation_share=0.05, test_share=0),
            method=MethodChoice(name=arm.method, settings=SETTINGS.get(arm.method, {})),
            training=Training(**training | VARIANTS[arm.variant]),
        )
    )


def estimate(folder, run_id):
    """Estimate a run, its steps traced, and save that where the run looks for it."""
    from studio import runs
    from studio.estimate import all_methods, history
    from studio.estimate.machines import catalogue

    run, machine = runs.get(run_id), catalogue.local_machine()
    history.save_estimate(run, all_methods.estimate_chosen_method(run.plan, machine, wait=True), machine)


def train(folder, run_id, counts_waits=""):
    """The studio's worker, watched: what is reserved at the last step; torch may tell of each wait in a step."""
    import torch

    from studio.training import callback, worker

    def tell_waits(mode):
        if counts_waits and torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode(mode)

    class Watched(callback.MonitorCallback):
        def on_train_begin(self, *args, **values):
            super().on_train_begin(*args, **values)  # which asks the base
            tell_waits("warn")

        def on_step_end(self, args, state, control, **values):
            if state.global_step >= state.max_steps:  # a validation follows
                tell_waits("default")
                watched = {"reserved_gb": torch.cuda.memory_reserved() / 1e9}
                (self.run.folder / WATCHED_FILE).write_text(json.dumps(watched))
            super().on_step_end(args, state, control, **values)

    callback.MonitorCallback = Watched
    sys.argv[1:] = [run_id]
    sys.exit(worker.main())


def train_studio(bench, arm, run):
    """One training as the page starts it, by the worker in a process with a worker's environment."""
    from studio import processes, runs
    from studio.estimate import history

    counts_waits = arm.variant == "waits"
    options = {"warnings": "always"} if counts_waits else {}
    with processes.worker_environment():
        _, errors = bench.start("train", run.id, *(["waits"] if counts_waits else []), **options)
    points = [point for point in runs.read_points(run) if "tokens" in point and point["stage"] == "train"]
    n_tokens = [
        late["tokens"] - early["tokens"] for early, late in itertools.pairwise([{"tokens": 0}, *points])
    ]
    rates = [point["tokens_per_second"] for point in points]  # of the steps alone, without a validation
    report = runs.report(run)
    return Trained(
        rates,
        sum(n / rate for n, rate in zip(n_tokens, rates, strict=True)),
        json.loads((run.folder / WATCHED_FILE).read_text())["reserved_gb"],
        report["parameters"]["trainable"],
        report["parameters"]["total"],
        report["peak_memory_gb"],
        history.load_estimate(run),
        errors.count(WAIT) / points[-1]["step"] if counts_waits else None,
        report["method"].get("cuda_graphs", ""),
    )


def train_trl(bench, arm):
    """One training with TRL as its README has it, or with Liger and packing."""
    printed, _ = bench.start("trl", arm.engine, bench.model(arm.shape), arm.method, arm.batch, bench.epochs)
    return Trained(**json.loads(printed.splitlines()[-1]))


def trl(folder, engine, model, method, batch, epochs):
    """What `train_trl` starts: prints the fields of Trained."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    on_gpu = torch.cuda.is_available()
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    batch_tokens, marks = [], []

    class Clock(TrainerCallback):
        """Notes the time and the tokens so far: before the first step, after it, and then as the studio does."""

        def on_step_begin(self, args, state, control, **_):
            if not marks:
                marks.append((time.perf_counter(), 0))

        def on_step_end(self, args, state, control, **_):
            now = time.perf_counter()
            control.should_training_stop |= now - marks[0][0] >= TRL_SECONDS
            is_last = control.should_training_stop or state.global_step >= state.max_steps
            if is_last or len(marks) == 1 or now - marks[-1][0] >= MARK_SECONDS:
                wait()
                marks.append((time.perf_counter(), sum(batch_tokens[: state.global_step])))

    def role(name, text):
        return [{"role": name, "content": text}]

    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    talks = [
        {"prompt": role("user", row["prompt"]), "completion": role("assistant", row["response"])}
        for row in rows
    ]
    config = SFTConfig(
        str(folder / "trl"),
        num_train_epochs=float(epochs),
        per_device_train_batch_size=int(batch),
        max_length=LENGTH,
        learning_rate=1e-4,
        use_cpu=not on_gpu,
        bf16=on_gpu,  # emulated, a toy would take minutes
        model_init_kwargs={"dtype": "bfloat16" if on_gpu and method == "lora" else "float32"},
        save_strategy="no",
        report_to="none",
        logging_steps=10,
        disable_tqdm=True,
        **({"packing": True, "use_liger_kernel": True} if engine == "liger" else {}),
    )
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model,
        args=config,
        train_dataset=Dataset.from_list(talks),
        peft_config=lora if method == "lora" else None,
        callbacks=[Clock()],
    )
    collate = trainer.data_collator

    def count_tokens(examples):
        """The batch, its tokens counted before it travels to the card; packed texts come without a mask."""
        collated = collate(examples)
        batch_tokens.append(int(collated.get("attention_mask", collated["input_ids"] >= 0).sum()))
        return collated

    trainer.data_collator = count_tokens
    trainer.train()
    sizes = [(value.numel(), value.requires_grad) for value in trainer.model.parameters()]
    trained = Trained(
        [(late[1] - early[1]) / (late[0] - early[0]) for early, late in itertools.pairwise(marks)],
        marks[-1][0] - marks[0][0],
        torch.cuda.memory_reserved() / 1e9 if on_gpu else 0.0,
        sum(size for size, learns in sizes if learns),
        sum(size for size, _ in sizes),
    )
    print(json.dumps(vars(trained)))


def loading(folder, model):
    """Print how long a model takes to its device, what main memory holds for it, and both kinds of checksum."""
    import torch

    from studio.models import device, load

    torch.zeros(1, device=device.torch_device())  # the context
    clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = load.base_model(Path(model), "chat")
    device.synchronize()
    seconds = [time.perf_counter() - clock]
    grown_gb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9
    model_gb = sum(tensor.nbytes for tensor in model.parameters()) / 1e9
    for digits in (load.DEVICE_DIGITS, load.HOST_DIGITS):
        clock = time.perf_counter()
        load.fingerprint(model, "0" * digits)
        seconds.append(time.perf_counter() - clock)
    loaded, checksum, sha256 = seconds
    print(
        f"{model_gb:.2f} GB in {loaded:.2f} s, main memory grew by {grown_gb:.2f} GB,"
        f" checksum {checksum:.2f} s, SHA-256 {sha256:.2f} s"
    )


PARTS = {"set-up": set_up, "estimate": estimate, "train": train, "trl": trl, "loading": loading}


def flop_per_token(arm, trained, model):
    """The arithmetic of a token; the table of words is looked up, and below frozen blocks nothing is computed."""
    config = json.loads((model / "config.json").read_text())
    total = trained.total - config["vocab_size"] * config["hidden_size"]
    learning = min(trained.trainable, total)
    return 6 * learning if arm.method == "frozen" else 4 * total + 2 * learning


def in_range(values, factor=1, digits=0):
    """A range of an estimate: likely (low to high)."""
    figures = [f"{factor * values[name]:.{digits}f}" for name in ("likely", "low", "high")]
    return "{} ({} to {})".format(*figures)


def row(arm, trained, seconds, bench, rate):
    """The cells of a training behind its name."""
    speed = statistics.median(trained.rates[1:] or trained.rates)
    guess = trained.estimate
    share = speed * flop_per_token(arm, trained, bench.model(arm.shape)) / rate
    at_end = statistics.median(trained.rates[-max(1, len(trained.rates) // 4) :])
    cells = [f"{speed:,.0f}", f"{at_end:,.0f}", f"{share:.1%}", f"{trained.reserved_gb:.2f}"]
    cells += [f"{trained.told_gb:.2f}" if trained.told_gb else ""]
    cells += [in_range(guess["memory_gb"], digits=2) if guess.get("memory_gb") else ""]
    cells += [f"{seconds:.0f}", in_range(guess["minutes"], 60) if guess.get("minutes") else ""]
    cells += [f"{trained.step_seconds:.1f}"]
    cells += [f"{60 * guess['stretches']['train']:.1f}" if "train" in guess.get("stretches", {}) else ""]
    choices = {
        "recomputes": guess.get("gradient_checkpointing"),
        f"in {guess.get('gradient_accumulation_steps')}": guess,
        "packs": guess.get("packs_texts"),
        f"{trained.waits or 0:.1f} waits a step": trained.waits is not None,
        f"no graphs: {trained.refusal}": trained.refusal,
    }
    chosen = ", ".join(name for name, holds in choices.items() if holds)
    return [*cells, f"{seconds - trained.step_seconds:.0f}", guess.get("level", ""), chosen]


def report_arm(bench, arm, run, rate):
    """The cells of an arm behind its name."""
    clock = time.perf_counter()
    if arm.engine == "loading":
        return [bench.start("loading", bench.model(arm.shape))[0].strip()]
    trained = train_studio(bench, arm, run) if run else train_trl(bench, arm)
    return row(arm, trained, time.perf_counter() - clock, bench, rate)


def say(cells):
    print("|", " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells), "|", flush=True)


def estimate_all(bench, runs):
    """Estimate all runs at once, each in a process: none learns from another, and a trace takes one core."""

    def estimate_one(name):
        try:
            bench.start("estimate", runs[name].id)
        except Failed as failure:
            print(f"No estimate of {name}: {failure}\n", flush=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(estimate_one, runs))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default=",".join(ORDER), help="the arms, in this order")
    parser.add_argument("--rows", type=Path, help="JSON lines; the first two values are question and answer")
    parser.add_argument("--count", type=int, default=320, help="rows to train on")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=420.0, help="all in all")
    parser.add_argument(
        "--seconds-each", type=float, default=120.0, help="the most that a single run may take"
    )
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, *arguments = options.part
        PARTS[part](options.folder, *arguments)
        return
    started_at, bench = time.monotonic(), Bench(options)
    arms = {text: Arm.parse(text) for text in options.only.split(",")}
    write_rows(bench.rows, options.rows, options.count)
    machine = json.loads(bench.start("set-up", *{bench.model(arm.shape) for arm in arms.values()})[0])
    print(f"# {machine['device']}\n", flush=True)
    print(f"Products of {machine['size']}² in bfloat16: {machine['rate'] / 1e12:.3g} TFLOP/s\n", flush=True)
    if options.measure:
        subprocess.run([sys.executable, "-m", "studio", "measure"], check=False)
    studio_runs = {text: create_run(bench, arm) for text, arm in arms.items() if arm.engine == "studio"}
    estimate_all(bench, studio_runs)
    print(f"Models and estimates took {time.monotonic() - started_at:.0f} s.\n", flush=True)
    say(HEADER.split("|"))
    say(["---"] * len(HEADER.split("|")))
    for text, arm in arms.items():
        if bench.is_over():
            say([text, "left out for time"])
            continue
        try:
            say([text, *report_arm(bench, arm, studio_runs.get(text), machine["rate"])])
        except Exception as error:  # the next one may go well
            say([text, str(error) if isinstance(error, Failed) else repr(error)])
    print(f"\nAll in all {time.monotonic() - started_at:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
