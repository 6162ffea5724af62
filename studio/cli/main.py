"""The command line: `studio` opens the page; `studio data`, `choose`, `train`, `estimate`, `measure`, `methods`, `runs`, `ask`, `export` and `doctor` do the same jobs without one."""

import argparse
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any, get_args

from studio import __version__, presets
from studio.errors import BadPlan, StudioError, explain
from studio.i18n import format_value, languages
from studio.plan import Task

EXIT_OK, EXIT_FAILED, EXIT_INVALID_PLAN = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failed (one sentence on stderr), 2 the plan or the call is wrong."""
    options = _build_parser().parse_args(arguments)
    if options.home:
        os.environ["STUDIO_HOME"] = str(Path(options.home).expanduser().resolve())
    try:
        return int(options.work(options))
    except BadPlan as error:
        print(error, file=sys.stderr)
        return EXIT_INVALID_PLAN
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:
        print(_format_error(explain(error)), file=sys.stderr)
        return EXIT_FAILED


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="studio",
        description="Fine-tune a language model without writing code. Without a command, the page opens.",
    )
    parser.add_argument("--version", action="version", version=f"studio {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--home",
        default=argparse.SUPPRESS,
        help="where runs, data sets and models are kept (default: STUDIO_HOME, else ~/.studio)",
    )
    parser.add_argument("--home", default="", help=argparse.SUPPRESS)
    # A Space says through these two variables where its page must listen.
    host, port = (
        os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1",
        int(os.environ.get("GRADIO_SERVER_PORT") or 7860),
    )
    parser.add_argument(
        "--host", default=host, help="address the page listens on (default 127.0.0.1: this machine alone)"
    )
    parser.add_argument("--port", type=int, default=port, help="port of the page (default 7860)")
    parser.set_defaults(work=_serve_page)
    method_count = format_value(presets.spelled_method_count(), "en")
    commands = parser.add_subparsers(title="the same jobs without a browser", metavar="COMMAND")
    _add_data_command(commands, shared)
    _add_choose_command(commands, shared)
    train = commands.add_parser("train", parents=[shared], help="train a plan in the foreground")
    train.add_argument("plan", nargs="?", default="", help="a plan file (YAML), or the name of a recipe")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key, such as method.settings.rank=16",
    )
    train.add_argument(
        "--resume", default="", metavar="RUN", help="go on with a stopped run instead: its id, or `last`"
    )
    train.add_argument(
        "--insist", action="store_true", help="start a run that is estimated not to fit into memory"
    )
    train.set_defaults(work=_train)
    estimate = commands.add_parser(
        "estimate", parents=[shared], help="say what a plan needs in memory, time and money, before it starts"
    )
    estimate.add_argument("plan", help="a plan file (YAML), or the name of a recipe")
    estimate.add_argument(
        "--machine", default="", help="a machine of presets/machines.yaml (default: this one)"
    )
    estimate.add_argument(
        "--all", action="store_true", help=f"all {method_count} methods instead of the plan's own"
    )
    estimate.add_argument("--json", action="store_true", help="every figure with its range, as JSON")
    estimate.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one key, such as training.batch_size=4",
    )
    estimate.set_defaults(work=_estimate)
    measure = commands.add_parser(
        "measure", parents=[shared], help="measure how fast this machine is, in under a minute"
    )
    measure.add_argument(
        "--model", default="smollm2-135m", help="the model whose kind is measured (default smollm2-135m)"
    )
    measure.set_defaults(work=_measure)
    methods = commands.add_parser("methods", parents=[shared], help=f"list the {method_count} methods")
    methods.add_argument(
        "--json", action="store_true", help="with every setting, its range, default and explanation, as JSON"
    )
    methods.set_defaults(work=_list_methods)
    commands.add_parser("runs", parents=[shared], help="list all runs").set_defaults(work=_list_runs)
    ask = commands.add_parser("ask", parents=[shared], help="ask the base and the tuned model the same")
    ask.add_argument("run", help="a run's id, its beginning, or `last`")
    ask.add_argument("prompt")
    ask.add_argument("--temperature", type=float, default=0.0, help="0 = always the likeliest word (default)")
    ask.add_argument("--length", type=int, default=120, help="longest answer in tokens (default 120)")
    ask.add_argument("--seed", type=int, default=0)
    ask.set_defaults(work=_ask)
    export = commands.add_parser(
        "export", parents=[shared], help="write what a run learned, with a model card"
    )
    export.add_argument("run")
    export.add_argument(
        "--to",
        nargs=2,
        required=True,
        metavar=("FORM", "DIR"),
        help="a form such as adapter, merged or packed, and a new folder",
    )
    export.add_argument(
        "--language", choices=languages(), default="en", help="the language of the model card (default en)"
    )
    export.set_defaults(work=_export)
    commands.add_parser("doctor", parents=[shared], help="say what this machine can do").set_defaults(
        work=_run_doctor
    )
    return parser


def _add_data_command(commands: Any, shared: argparse.ArgumentParser) -> None:
    data = commands.add_parser("data", parents=[shared], help="say what a file holds, and how healthy it is")
    data.add_argument("file", help="a file (CSV, Excel, JSON, JSONL, Parquet, text, zip), or sample:NAME")
    data.add_argument("--sheet", default="", help="the sheet of a workbook (default: the first with rows)")
    data.add_argument(
        "--task",
        default="",
        choices=["", *get_args(Task)],
        metavar="TASK",
        help="chat, complete, classify, prefer or prompts (default: as it looks)",
    )
    data.add_argument("--method", default="", help="say whether it is enough for this method")
    data.add_argument("--json", action="store_true", help="task, roles, rows, skipped and problems as JSON")
    data.set_defaults(work=_inspect_data)


def _serve_page(options: argparse.Namespace) -> int:
    from studio.data import store  # noqa: PLC0415
    from studio.estimate.tracing import client as tracing_client  # noqa: PLC0415
    from studio.ui import app  # noqa: PLC0415 - the page's libraries, which the commands do without

    store.remove_stale_drafts()
    tracing_client.remove_legacy_texts()

    return app.serve(options.host, options.port)


def _add_choose_command(commands: Any, shared: argparse.ArgumentParser) -> None:
    chooser = commands.add_parser(
        "choose", parents=[shared], help="ask six questions and say which method suits, or not to train"
    )
    chooser.add_argument(
        "--data", default="", metavar="FILE", help="a file, sample:NAME or dataset:ID; answers what it can"
    )
    chooser.add_argument(
        "--machine", default="", help="a machine of presets/machines.yaml (default: this one)"
    )
    chooser.add_argument("--model", default="", help="the base model (default: one that suits)")
    chooser.add_argument(
        "--answers",
        default="",
        metavar="FILE.yaml",
        help="the answers, such as `change: tone`, instead of asking",
    )
    chooser.add_argument(
        "--json", action="store_true", help="everything that was decided, in both languages, as JSON"
    )
    chooser.add_argument(
        "--write", default="", metavar="PLAN.yaml", help="write the plan here; never over another file"
    )
    chooser.set_defaults(work=_choose)


def _inspect_data(options: argparse.Namespace) -> int:
    from studio.cli import data as data_command  # noqa: PLC0415 - only this command

    return data_command.report_data(
        options.file, options.sheet, options.task or None, options.method, options.json
    )


def _choose(options: argparse.Namespace) -> int:
    from studio.cli import choose as choose_command  # noqa: PLC0415 - only this command

    return choose_command.run_chooser(
        options.data, options.machine, options.model, options.answers, options.json, options.write
    )


def _train(options: argparse.Namespace) -> int:
    from studio.cli import train as train_command  # noqa: PLC0415 - only this command

    if bool(options.plan) == bool(options.resume) or (options.resume and options.set):
        raise BadPlan(
            ["name either a plan (with --set KEY=VALUE) or --resume RUN, whose plan stays as it is"]
        )
    return (
        train_command.resume(options.resume)
        if options.resume
        else train_command.train(options.plan, tuple(options.set), options.insist)
    )


def _estimate(options: argparse.Namespace) -> int:
    from studio.cli import estimate as estimate_command  # noqa: PLC0415 - only this command

    return estimate_command.run_estimate(
        options.plan, options.machine, options.all, options.json, tuple(options.set)
    )


def _measure(options: argparse.Namespace) -> int:
    from studio.cli import estimate as estimate_command  # noqa: PLC0415 - only this command

    return estimate_command.run_measure(options.model)


def _list_methods(options: argparse.Namespace) -> int:
    from studio.cli import methods as methods_command  # noqa: PLC0415 - only this command

    print(methods_command.as_json() if options.json else methods_command.as_table())
    return EXIT_OK


def _list_runs(options: argparse.Namespace) -> int:
    from studio import runs  # noqa: PLC0415 - only this command

    all_runs = runs.all_runs()
    if not all_runs:
        print(f"No runs yet in {runs.folder()}. Start one: studio train support-tone-lora")
    for run in all_runs:
        status, report = runs.status(run), runs.report(run)
        losses = [(report.get(side) or {}).get("loss") for side in ("before", "after")]
        summary = (
            f"loss {losses[0]:.3f} -> {losses[1]:.3f}"
            if all(isinstance(loss, float | int) for loss in losses)
            else status.message.render()[:60]
            if status.message
            else ""
        )
        suffix = "; goes on with --resume" if runs.is_resumable(run) else ""
        print(f"{run.id}  {status.state:<10} {runs.describe(run)[:-11]}  {summary}{suffix}")
    return EXIT_OK


def _ask(options: argparse.Namespace) -> int:
    from studio import runs  # noqa: PLC0415 - only this command
    from studio.playground import session as playground_session  # noqa: PLC0415

    run = runs.find(options.run)
    question = playground_session.Question(options.prompt, options.temperature, options.length, options.seed)
    with playground_session.ModelSession(run) as model_session:
        final = deque(model_session.ask(question), maxlen=1).pop()
        for refusal in final.errors.values():
            print(refusal.render(), file=sys.stderr)
            return EXIT_FAILED
        for side, text in (("base", final.base), ("tuned", final.tuned)):
            badge = getattr(model_session.self_test, side)
            probabilities = final.scores.get(side, {})
            text = text or ", ".join(
                f"{name} {share:.0%}"
                for name, share in sorted(probabilities.items(), key=lambda item: -item[1])
            )
            print(f"{side} ({badge.name}, weights {badge.checksum})\n{text.strip()}\n")
    return EXIT_OK


def _export(options: argparse.Namespace) -> int:
    from studio import export, runs  # noqa: PLC0415 - only this command

    export_format, folder = options.to
    print(export.save_result(runs.find(options.run), export_format, Path(folder), options.language))
    return EXIT_OK


def _run_doctor(options: argparse.Namespace) -> int:
    from studio.cli import doctor  # noqa: PLC0415 - only this command

    for line in doctor.describe_machine():
        print(line)
    return EXIT_OK


def _format_error(error: StudioError) -> str:
    return " ".join(str(error).split())
