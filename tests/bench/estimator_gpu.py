"""The cards' part of the estimator's bench.

Runs that other people measured, rehearsed here without a card and held against their figures.

    python tests/bench/estimator_gpu.py [t4] [l40s]

What is estimated comes from the studio's own rehearsal, its replay of CUDA's allocator and its rates; what
the runs were is said in estimator_t4.py and estimator_l40s.py. The L40S rows lie outside the project
(shared/data); without them that part is left out.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import estimator_l40s
import estimator_t4
from estimator_card import Table


def tables(asked: list[str] | None = None) -> list[Table]:
    """All tables, or those of the cards that are asked for ("t4", "l40s")."""
    known: dict[str, Callable[[], list[Table]]] = {"t4": estimator_t4.tables, "l40s": estimator_l40s.tables}
    return [table for name, made in known.items() if not asked or name in asked for table in made()]


def report() -> str:
    """All tables as Markdown keeps them."""
    found = tables()
    return "\n".join(
        ["- " + table.summary for table in found]
        + ["", "```", *("\n".join((table.text(), "")) for table in found), "```", ""]
    )


def main() -> int:
    """Print what is asked for, then all summaries once more."""
    warnings.simplefilter("ignore")
    asked = sys.argv[1:]
    if asked != ["t4"] and not estimator_l40s.ROWS.is_file():
        print(f"The rows of the L40S are not here ({estimator_l40s.ROWS}): that part is left out.\n")
    found = tables(asked)
    for table in found:
        print(table.text(), "\n", flush=True)
    print("\n".join(table.summary for table in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
