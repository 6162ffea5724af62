"""The GPUs' part of the estimator's bench: runs that other people measured, traced here without a GPU.

    python tests/bench/estimator_gpu.py [t4] [rtx4080] [l40s] [a100] [h200]

What is estimated comes from the studio's own trace, its replay of CUDA's allocator and its rates; what the
runs were is said in the module of each GPU. The rows of the L40S and the texts of the H200 lie outside the project
(shared/data); without them those parts are left out.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import estimator_a100
import estimator_h200
import estimator_l40s
import estimator_rtx4080
import estimator_t4
from estimator_card import Table


def build_tables(gpus: list[str] | None = None) -> list[Table]:
    """All tables, or those of the named GPUs ("t4", "h200" and so on)."""
    builders: dict[str, Callable[[], list[Table]]] = {
        "t4": estimator_t4.build_tables,
        "rtx4080": estimator_rtx4080.build_tables,
        "l40s": estimator_l40s.build_tables,
        "a100": estimator_a100.build_tables,
        "h200": estimator_h200.build_tables,
    }
    tables = []
    for name, build in builders.items():
        if not gpus or name in gpus:
            tables += build()
    return tables


def report() -> str:
    """All tables as Markdown."""
    tables = build_tables()
    summaries = ["- " + table.summary for table in tables]
    texts = ["\n".join((table.text(), "")) for table in tables]
    return "\n".join([*summaries, "", "```", *texts, "```", ""])


def main() -> int:
    """Print the tables that are asked for, then all summaries once more."""
    warnings.simplefilter("ignore")
    gpus = sys.argv[1:]
    if gpus != ["t4"] and not estimator_l40s.ROWS.is_file():
        print(f"The rows of the L40S are not here ({estimator_l40s.ROWS}): that part is left out.\n")
    tables = build_tables(gpus)
    for table in tables:
        print(table.text(), "\n", flush=True)
    print("\n".join(table.summary for table in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
