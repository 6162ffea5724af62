"""The runs of `card.sh`: the studio against TRL on models of real shapes, and its estimates against both.

    python tests/bench/card.py FOLDER [--tiny] [--minutes 7]

`--tiny` takes shapes of toys, to try the script itself where there is no card. After `--minutes` no further run is
started, and the runs left out are named. Each row: tokens a second (padding does not count, first step left out),
memory told by the run, memory and minutes that were estimated before it started (traced, after one measurement of
the machine), seconds in all and in the steps.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

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


def studio_run(model, method, rows, columns):
    """One training in the terminal; what was estimated and what it took."""
    from studio import runs
    from studio.estimate import all_methods
    from studio.estimate.machines import catalogue
    from studio.plan import Data, MethodChoice, Plan, Training

    plan = Plan(
        name=f"{method} on {model.name}",
        task="chat",
        model=str(model),
        data=Data(source=str(rows), columns=columns, validation_share=0.05, test_share=0),
        method=MethodChoice(name=method),
        training=Training(
            epochs=1, batch_size=BATCH, max_length=LENGTH, eval_count=1, retention="none", learning_rate=1e-4
        ),
    )
    estimate = all_methods.estimate_before_start(plan, catalogue.local_machine())
    run = runs.create(plan)
    started_at = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "studio.training.worker", run.id], check=True, stderr=subprocess.DEVNULL
    )
    seconds = time.perf_counter() - started_at
    marks = [(point["time"], point["tokens"]) for point in runs.read_points(run) if "tokens" in point]
    return estimate, marks[:-1], runs.peak_memory_gb(run), seconds


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
    parser.add_argument("--trl", nargs=5, metavar=("ARM", "MODEL", "METHOD", "PROMPT", "RESPONSE"))
    options = parser.parse_args()
    if options.trl:
        train_with_trl(options.folder, *options.trl)
        return
    from studio.models import device

    ends_at = time.monotonic() + 60 * options.minutes
    print(f"# {device.describe()}\n", flush=True)
    subprocess.run([sys.executable, "-m", "studio", "measure"], check=False)
    rows, columns = write_rows(options.folder)
    print("\n| run | tokens/s | GB told | GB estimated | s | s of steps | s estimated | level |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    left_out = []
    for shape, method in RUNS:
        if time.monotonic() > ends_at:
            left_out.append(f"{shape} {method}")
            continue
        model = make_model(options.folder, shape, options.tiny)
        estimate, marks, peak_gb, seconds = studio_run(model, method, rows, columns)
        memory, minutes = estimate.memory_gb, estimate.minutes
        print(
            f"| studio, {shape} {method} | {tokens_per_second(marks):,.0f} | {peak_gb:.2f} "
            f"| {memory.likely:.2f} ({memory.low:.2f} to {memory.high:.2f}) | {seconds:.0f} "
            f"| {marks[-1][0] - marks[0][0]:.0f} "
            f"| {60 * minutes.likely:.0f} ({60 * minutes.low:.0f} to {60 * minutes.high:.0f}) | {estimate.level} |",
            flush=True,
        )
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
                f"| TRL {arm}, {shape} {method} | {speed:,.0f} | {result['gb']:.2f} | | | | | |", flush=True
            )
    if left_out:
        print(f"\nLeft out for time: {', '.join(left_out)}")


if __name__ == "__main__":
    main()
