"""Of the data sets called sure, how many are read right: the field cases, public data sets, and help desks.

`python tests/bench/certainty.py`.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from composed_tables import compose
from desk_layouts import DESKS
from field_cases import CASES
from public_layouts import LAYOUTS
from readings import is_right

from studio.data.readers.read import read_table
from studio.data.schema import infer_roles
from studio.errors import BadData

N_COMPOSED = 500


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
        if right and not guess.is_confident:
            print(f"doubted, but right: {name}: {guess.columns}")
        if not right:
            verdict = "WRONG" if guess.is_confident else "doubted, and wrong"
            print(f"{verdict}: {name}: {guess.task} {guess.columns} {str(built[1])[:200]}")
    return sure, wrong, doubted


def count_composed(number, folder):
    """Of so many tables composed by chance, how many are called sure, and how many of these are right."""
    sure = right_count = doubted_right = 0
    for seed in range(number):
        file_name, content, (task, roles), is_rated = compose(seed)
        (folder / file_name).write_bytes(content)
        guess = infer_roles.guess_roles(read_table(folder / file_name))
        has_roles = all(guess.columns.get(role) == column for role, column in roles.items())
        is_right = guess.task == task and has_roles and not is_rated
        if is_rated and guess.task == "prefer":  # rated answers are compared, and none is learned as good
            is_right = guess.columns["completion"] == roles["response"]
        sure += guess.is_confident
        right_count += guess.is_confident and is_right
        doubted_right += is_right and not guess.is_confident
        if guess.is_confident and not is_right:
            first_line = content.decode().splitlines()[0]
            print(f"WRONG: {seed}: {first_line}: {guess.task} {guess.columns}")
    return sure, right_count, doubted_right


def main():
    field = {
        name: (file_name, content, [(expected.task, expected.example, expected.index)])
        for name, (file_name, content, expected) in CASES.items()
        if expected.example is not None
    }
    public, desks = (
        {
            name: (file_name, content, [(task, example, 1) for task, example in readings])
            for name, (file_name, content, readings) in layouts.items()
        }
        for layouts in (LAYOUTS, DESKS)
    )
    groups = (("field cases", field), ("public layouts", public), ("help desks", desks))
    with tempfile.TemporaryDirectory() as folder:
        for title, cases in groups:
            sure, wrong, doubted = count(cases, Path(folder))
            n_sure = len(sure) + len(wrong)
            print(
                f"{title}: {n_sure} called sure, {len(sure)} of them right; {len(doubted)} doubted or refused"
            )
        n_sure, n_right, n_doubted = count_composed(N_COMPOSED, Path(folder))
        print(
            f"composed: {n_sure} of {N_COMPOSED} called sure, {n_right} right; {n_doubted} right but doubted"
        )


if __name__ == "__main__":
    main()
