"""Opens exported folders as anybody would: by the lines of their cards, where there is no studio.

`python -I reader.py` reads a request a line (JSON: `folder`, `texts`) and replies with a line: what the
card's lines print, and of each text the logits and the greedy continuation, by the `model` and the
`tokenizer` that those lines define. One process reads many folders, because loading torch takes longer.
"""

import contextlib
import io
import json
import os
import re
import sys
import traceback
from pathlib import Path

sys.modules["studio"] = None  # importing it fails, wherever it is installed
MAX_NEW_TOKENS = 8


def run_card(folder):
    """The names that the card's lines define, run in their folder as printed, and what they print."""
    (code,) = re.findall(
        r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    names = {}
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "README.md", "exec"), names)
    finally:
        sys.path.remove(str(folder))
        forget_modules(folder)
    return names, printed.getvalue().strip()


def forget_modules(folder):
    """The next folder must bring its own code along."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


def ask(model, tokenizer, text):
    """The logits of a text, and its continuation where the model writes; both are deterministic."""
    import torch

    inputs = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
        if logits.dim() == 2:
            return logits.float().tolist(), ""
        tokens = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
    return logits.float().tolist(), tokenizer.decode(tokens[0])


def answer(request):
    names, printed = run_card(Path(request["folder"]))
    asked = [ask(names["model"], names["tokenizer"], text) for text in request["texts"]]
    return {
        "printed": printed,
        "logits": [logits for logits, _ in asked],
        "continuations": [continuation for _, continuation in asked],
        "names": sorted(names),
    }


def main():
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
