"""`studio learning-curve`: would more data help? The same plan on 25, 50 and 100 % of the training rows."""

import argparse
import json
import sys
from dataclasses import asdict

from studio import runs
from studio.cli import EXIT_FAILED, EXIT_OK
from studio.evaluate.learning_curve import ONE_TRAINING_EACH
from studio.runs import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, and what is done about it."""
    parser.add_argument("run", help="a run that has ended: its id, the beginning of it, or `last`")
    parser.add_argument("--dry-run", action="store_true", help="say what it takes, and train nothing")
    parser.add_argument("--json", action="store_true", help="the curve and the projection as JSON")


def run(options: argparse.Namespace) -> int:
    """Train what is missing in the foreground, then say what more rows would bring.

    The first Ctrl-C stops; what has been trained until then is used the next time.

    Raises:
        NotPossible: No learning curve can be made of this run.
    """
    from studio.cli import train
    from studio.training import learning_curve

    full_run = runs.find(options.run)
    learning_curve.check_possible(full_run)
    _print_cost(full_run)
    if options.dry_run:
        return EXIT_OK
    for part in learning_curve.create_missing(full_run):
        if train.run_in_foreground(part) != EXIT_OK or runs.status(part).state != "done":
            return EXIT_FAILED
    return _print_projection(full_run, options.json)


def _print_cost(full_run: Run) -> None:
    """Say on stderr what is trained and how long it takes."""
    from studio.training import learning_curve

    shares, minutes = learning_curve.missing_shares(full_run), learning_curve.estimate_minutes(full_run)
    if not shares:
        return
    time = f"estimated {minutes[0]:.1f} to {minutes[1]:.1f} min" if minutes else "time unknown"
    print(f"to train: {', '.join(f'{share:.0%}' for share in shares)} of the rows; {time}", file=sys.stderr)


def _print_projection(full_run: Run, as_json: bool) -> int:
    from studio.training import learning_curve

    sizes, projection = learning_curve.read_sizes(full_run), learning_curve.read_projection(full_run)
    if not sizes or not projection:
        return EXIT_FAILED
    if as_json:
        curve = [{"rows": size.n_rows, "error": size.error, "n": len(size.errors)} for size in sizes]
        print(json.dumps({"curve": curve, **asdict(projection)}, indent=1))
        return EXIT_OK
    for size in sizes:
        print(size.describe(projection.measure).render())
    print(projection.describe().render())
    print(ONE_TRAINING_EACH.render())
    return EXIT_OK
