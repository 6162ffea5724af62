"""Of the data sets called sure, how many are read right: the field cases and the layouts of public data sets.

`python tests/bench/certainty.py`.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from field_cases import CASES
from public_layouts import LAYOUTS
from readings import is_right

from studio.errors import BadData


def count(cases, folder):
    """The names of the sets that are called sure and right, sure and wrong, and doubted."""
    sure, wrong, doubted = [], [], []
    for name, (file_name, content, readings) in cases.items():
        (folder / file_name).write_bytes(content)
        try:
            right, guess, built = is_right(folder / file_name, readings)
        except BadData as error:
            print(f"refused: {name}: {error}")
            doubted.append(name)
            continue
        if guess.is_confident:
            (sure if right else wrong).append(name)
        else:
            doubted.append(name)
        if not right:
            verdict = "WRONG" if guess.is_confident else "doubted, and wrong"
            print(f"{verdict}: {name}: {guess.task} {guess.columns} {str(built[1])[:200]}")
    return sure, wrong, doubted


def main():
    field = {
        name: (file_name, content, [(expected.task, expected.example, expected.index)])
        for name, (file_name, content, expected) in CASES.items()
        if expected.example is not None
    }
    public = {
        name: (file_name, content, [(task, example, 1) for task, example in readings])
        for name, (file_name, content, readings) in LAYOUTS.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        for title, cases in (("field cases", field), ("public layouts", public)):
            sure, wrong, doubted = count(cases, Path(folder))
            print(
                f"{title}: {len(sure) + len(wrong)} called sure, {len(sure)} of them right; {len(doubted)} doubted or refused"
            )


if __name__ == "__main__":
    main()
