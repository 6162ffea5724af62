"""Stands in for the worker at a box, where a test is of the way there and not of training.

It prints events as the real one does and leaves a result. What it does is in the file `mode` in its home.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

N_POINTS = 5


def write_standing(run: Path) -> None:
    """Answer the validation rows: LoRA rightly, frozen layers a row less, all others none of them."""
    rows = (run / "data" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    method = re.search(r"method:\s+name: (\w+)", (run / "plan.yaml").read_text(encoding="utf-8")).group(1)
    n_right = {"lora": len(rows), "frozen": len(rows) - 1}.get(method, 0)
    labels = [json.loads(row)["label"] for row in rows]
    outcomes = {row: {"label": label if row < n_right else "?"} for row, label in enumerate(labels)}
    step = N_POINTS - (run / "stop").exists()
    standing = {"step": step, "steps": N_POINTS, "outcomes": outcomes}
    (run / "standing.json").write_text(json.dumps(standing), encoding="utf-8")


def main() -> None:
    run, seq = Path.cwd(), int(sys.argv[sys.argv.index("--events-from") + 1])
    mode_file = Path(os.environ["HOME"]) / "mode"
    mode = mode_file.read_text(encoding="utf-8") if mode_file.exists() else ""

    if mode == "mute":
        sys.exit(1)

    def send(kind, values):
        nonlocal seq
        sys.stdout.write(json.dumps({"seq": seq, "event": kind, "values": values}) + "\n")
        sys.stdout.flush()
        seq += 1

    def send_status(state, stage="train", **values):
        status = {"state": state, "stage": stage, "steps": N_POINTS, **values}
        if mode in ("hangs", "lingers"):
            status["patience"] = 0.5
        (run / "status.json").write_text(json.dumps(status), encoding="utf-8")
        send("status", status)

    (run / "use.json").write_text('{"seconds": 1.0}', encoding="utf-8")
    send("file", {"name": "use.json", "text": '{"seconds": 1.0}'})
    start = len((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    (run / "checkpoints" / "train" / "checkpoint-1").mkdir(parents=True, exist_ok=True)
    for step in range(start, N_POINTS):
        point = {"seq": step, "time": 1.0, "stage": "train", "step": step + 1, "epoch": 0.1, "loss": 1.0}
        with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        send("point", point)
        send_status("training", step=step + 1)
        time.sleep(0.05)
        (run / "checkpoints" / "train" / "checkpoint-1" / "watch.json").write_text(
            '{"step": 1}', encoding="utf-8"
        )
        if mode == "dies" and step == 1:
            sys.exit(137)
    while mode in ("waits", "lingers", "slow") and not (run / "stop").exists():
        time.sleep(0.05)
    time.sleep(1.5 if mode == "slow" else 0)
    while mode == "hangs":
        time.sleep(0.05)
    (run / "use.json").unlink()  # as after a cap
    if mode in ("bare", "lost"):
        send_status("done", "after", step=N_POINTS)
        if mode == "lost":  # as where the last upload failed: what lies there is that of a checkpoint
            (run / "status.json").write_text('{"state": "training"}', encoding="utf-8")
        return
    (run / "model").mkdir(exist_ok=True)
    (run / "model" / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "base/x"}', encoding="utf-8"
    )
    (run / "report.json").write_text(
        '{"base": {"hub": "there"}, "before": {}, "after": {}, "seconds": 1}', encoding="utf-8"
    )
    if (run / "contender").exists():
        write_standing(run)
    if mode == "links":
        (run / "model" / "link").symlink_to("/etc/passwd")
    send("file", {"name": "../../../escaped", "text": "no"})
    send_status("stopped" if (run / "stop").exists() else "done", "after", step=N_POINTS)
    if mode == "lists":  # as the real one does; the others are quicker without the studio
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from studio.training import file_list

        file_list.write(run)


if __name__ == "__main__":
    main()
