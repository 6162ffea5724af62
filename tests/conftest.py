"""What all tests share: a studio home of the test's own, two tiny real models, toy data, and runs that have
ended.

Imports nothing heavy at module level: torch, transformers, trl and the studio's modules that need them are
imported by the fixtures that use them, so that a test of pure code starts in under three seconds.
"""

import os

os.environ.update(
    {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "TOKENIZERS_PARALLELISM": "false",
        # One thread computes, in this process and in those it starts.
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # Every machine computes the same; tests of bfloat16 ask for it.
        "STUDIO_PRECISION": "float32",
    }
)

import dataclasses
import gc
import json
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ways import TrainedJob

    from studio.methods.spec import TrainingContext
    from studio.plan import Plan
    from studio.runs import Run

# Collecting the tests imports all libraries: see pytest_collection_finish.
gc.disable()

# A tiny model bears far more than a real one, and tests have no time for less.
TINY_TRAINING: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "max_length": 64,
    "eval_count": 3,
    "validation_share": 0.2,
}
# Where that does not suit a task or a method.
TRAINING_OVERRIDES: dict[str, dict[str, Any]] = {
    "classify": {"epochs": 10},
    "prefix": {"epochs": 12},
    "adapter": {"epochs": 12},
    "upft": {"epochs": 2, "learning_rate": 2e-3, "max_length": 256},
}

# Settings of trainings that tests share, by method and task: practice takes longer than all else by default.
SHORT_PRACTICE: dict[str, Any] = {"steps": 8, "max_completion_length": 16}
SHORT_SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("rlhf", "chat"): SHORT_PRACTICE,
    ("rlhf", "prefer"): SHORT_PRACTICE,
    # All that it learns it learns by practice, in these few steps.
    ("rlhf", "prompts"): {**SHORT_PRACTICE, "last_rate": 1e-2},
}
# Columns beside those a task needs: practice on questions alone is judged by their known answers.
EXTRA_ROLES: dict[tuple[str, str], tuple[str, ...]] = {("rlhf", "prompts"): ("answer",)}


# On a machine with an NVIDIA GPU the tests that take a model from `bases` run on processor and GPU; `-m cuda`
# takes those on the GPU alone.
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)] if Path("/dev/nvidia0").exists() else None


def choose_columns(method: str, task: str) -> dict[str, str]:
    """Role -> column of the toy data, whose columns have the names of their roles."""
    from studio.plan import REQUIRED_ROLES

    return {role: role for role in (*REQUIRED_ROLES[task], *EXTRA_ROLES.get((method, task), ()))}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `way` every method with every task it trains, a sample of them in CI.

    A new method is tested by being listed.
    """
    has_its_own = any("way" in marker.args[0] for marker in metafunc.definition.iter_markers("parametrize"))
    if "way" in metafunc.fixturenames and not has_its_own:
        from ways import WAYS, mark_sample

        ways = mark_sample(WAYS)
        # Files that run beside each other begin with other trainings: else one waits for each of the other's.
        first = zlib.crc32(metafunc.module.__name__.encode()) % len(ways)
        metafunc.parametrize("way", [*ways[first:], *ways[:first]])


def pytest_collection_finish() -> None:
    """Keep what collecting has made from Python's search for what is no longer used.

    Every training begins with such a search, which would walk through all libraries and tests: half a second.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def studio_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A studio home of the test's own."""
    from studio.storage import home

    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    return home()


@pytest.fixture(autouse=True)
def tracing_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimator's server answers in this process: each home, and so each test, would start a child.

    That it answers as a child, the tests of its client prove, which have a fixture of this name.
    """
    from studio.estimate.tracing.client import TracingClient

    def fetch(client: TracingClient, request: dict[str, Any]) -> Any:
        from studio.estimate.tracing import server

        return json.loads(json.dumps(server.handle_request(json.loads(json.dumps(request)))))

    monkeypatch.setattr(TracingClient, "_fetch", fetch)


@pytest.fixture
def untraced_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run starts with the closed form: each test has a home of its own, and a trace there takes seconds."""
    from studio.estimate import all_methods

    estimate_with_traces = all_methods.estimate_chosen_method

    def estimate_at_once(plan: "Plan", machine: Any, wait: bool = False) -> Any:
        return estimate_with_traces(plan, machine, wait=False)

    monkeypatch.setattr(all_methods, "estimate_chosen_method", estimate_at_once)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`set_clock(module, sleep=…)` gives that module a clock of its own.

    A function of `time` itself would be another one for every thread that earlier tests have left.
    """

    def set_for(module: ModuleType, **functions: Callable[..., float | None]) -> None:
        monkeypatch.setattr(module, "time", SimpleNamespace(**{**vars(time), **functions}))

    return set_for


@pytest.fixture(autouse=True)
def default_compute() -> Iterator[None]:
    """A training chooses its number of threads and its precision; the next test starts with the defaults."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "studio.models.device" in sys.modules:
        sys.modules["studio.models.device"].set_precision("auto")


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """`build_once(name, build)`: a folder that `build` fills once, however many processes of pytest-xdist ask
    for it.
    """
    from filelock import FileLock

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def get(name: str, build: Callable[[Path], None]) -> Path:
        path = folder / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{name}.lock")):
            built_marker = path.with_name(f".{name}.built")
            if not built_marker.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                build(path)
                built_marker.touch()
        return path

    return get


@pytest.fixture(scope="session")
def tiny_chat(build_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A folder with a real 2-layer Llama (grouped attention, tied embeddings) that has read a little, and its
    tokenizer.
    """
    from toys import save_tiny_llama

    return build_once("tiny-chat", save_tiny_llama)


@pytest.fixture(scope="session")
def tiny_bert(build_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A folder with a real 2-layer BERT without a head, and a WordPiece tokenizer."""
    from toys import save_tiny_bert

    return build_once("tiny-bert", save_tiny_bert)


@pytest.fixture(scope="session")
def tiny_pooled_bert(build_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The tiny BERT as a model of sentence-transformers, whose embeddings are the mean of the tokens."""
    from toys import save_tiny_sentence_model

    return build_once("tiny-pooled-bert", save_tiny_sentence_model)


@pytest.fixture(scope="session")
def toys(build_once: Callable[[str, Callable[[Path], None]], Path]) -> dict[str, Path]:
    """A small CSV for each task, whose pattern a tiny model learns in seconds."""
    from toys import write_toy_files

    folder = build_once("toys", write_toy_files)
    return {path.stem: path for path in folder.glob("*.csv")}


@pytest.fixture
def chat_csv(toys: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the toy conversations (40 rows: prompt, response) that the test may change or upload."""
    return Path(shutil.copy(toys["chat"], tmp_path / "chat.csv"))


@pytest.fixture
def classify_csv(toys: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the toy texts (60 rows: text, label; three labels of 20) that a test may change."""
    return Path(shutil.copy(toys["classify"], tmp_path / "classify.csv"))


@pytest.fixture(scope="session", params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of device that models are put on."""
    if DEVICES is None:
        yield "cpu"
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_DEVICE", request.param)
        if request.param == "cuda":  # points come after each step there too, and not twice a second
            patch.setattr("studio.training.callback.STATUS_INTERVAL_SECONDS", 0.0)
        yield request.param


@pytest.fixture
def on_processor(device: str) -> None:
    """Skip what is said of a processor alone."""
    if device != "cpu":
        pytest.skip("said of a processor alone")


@pytest.fixture(scope="session")
def bases(request: pytest.FixtureRequest, device: str) -> Callable[[str], Path]:
    """The tiny model on which a task is trained, on the device of the tests."""
    return lambda task: request.getfixturevalue("tiny_bert" if task == "classify" else "tiny_chat")


@pytest.fixture(scope="session")
def make_plan(bases: Callable[[str], Path], toys: dict[str, Path]) -> Callable[..., "Plan"]:
    """`make_plan(method, task, settings={}, **training)`: a short training of a tiny model."""
    from studio.plan import Data, MethodChoice, Plan, Training

    def make(
        method: str = "lora", task: str = "chat", settings: dict[str, Any] | None = None, **training: Any
    ) -> Plan:
        training = {
            **TINY_TRAINING,
            **TRAINING_OVERRIDES.get(task, {}),
            **TRAINING_OVERRIDES.get(method, {}),
            **training,
        }
        validation_share = training.pop("validation_share")
        return Plan(
            name=f"{method} on toys",
            task=task,
            model=str(bases(task)),
            data=Data(
                source=str(toys[task]),
                columns=choose_columns(method, task),
                validation_share=validation_share,
            ),
            method=MethodChoice(name=method, settings=settings or {}),
            training=Training(**training),
        )

    return make


@pytest.fixture(scope="session")
def make_short_plan(make_plan: Callable[..., "Plan"]) -> Callable[[str, str], "Plan"]:
    """`make_short_plan(method, task)`: the training whose result tests share."""
    return lambda method, task: make_plan(method, task, SHORT_SETTINGS.get((method, task)))


@pytest.fixture(scope="session")
def make_job(
    make_plan: Callable[..., "Plan"],
    bases: Callable[[str], Path],
    toys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., "TrainingContext"]:
    """`make_job(method, task, settings={}, rows=24, folder=…, **training)`.

    A training of toy rows with its method attached, ready to go.

    `job.create_monitor` makes a new SilentMonitor for each stage, kept in `job.notes["monitors"]`.
    """
    import torch
    from silent_monitor import SilentMonitor

    from studio import methods
    from studio.data import examples as data_examples
    from studio.data.readers.read import read_table
    from studio.estimate.machines import hardware
    from studio.evaluate import held_out
    from studio.methods.spec import TrainingContext
    from studio.models import load

    def make(
        method_name: str,
        task: str,
        settings: dict[str, Any] | None = None,
        rows: int = 24,
        folder: Path | None = None,
        **training: Any,
    ) -> TrainingContext:
        plan = make_plan(method_name, task, settings, **{"epochs": 1, "warmup_ratio": 0.0, **training})
        method = methods.get(method_name)
        columns = choose_columns(method_name, task)
        examples, _ = data_examples.build_examples(read_table(toys[task]), task, columns)
        examples = examples[:: max(len(examples) // rows, 1)][:rows]
        labels = data_examples.collect_labels(examples) if task == "classify" else []
        tokenizer = load.tokenizer(bases(task))
        encoded = data_examples.encode_examples(examples, task, tokenizer, plan.training.max_length, labels)
        resolved = method.resolve_settings(plan.method.settings)
        storage = load.WeightStorage(method.weights == "nf4", plan.training.disk_offload)
        base = load.base_model(bases(task), task, labels, plan.training.seed, storage)
        torch.manual_seed(plan.training.seed)
        monitors: list[SilentMonitor] = []

        def create_monitor(stage: str, model: Any, measure: Any) -> SilentMonitor:
            monitors.append(SilentMonitor())
            return monitors[-1]

        job = TrainingContext(
            model=method.attach(base, resolved, task),
            tokenizer=tokenizer,
            plan=plan,
            settings=resolved,
            train=encoded,
            validation=encoded[: len(encoded) // 4],
            folder=folder or tmp_path_factory.mktemp("job"),
            create_monitor=create_monitor,
            measure_rows=lambda model, rows: held_out.evaluate(model, rows, tokenizer, task, 8),
            free_memory=hardware.free_memory,
            examples=(examples, examples[: len(examples) // 4]),
            base_folder=bases(task),
            packs_texts=True,
            notes={"monitors": monitors},
        )
        if method.generate_rows:
            train, validation = method.generate_rows(job)
            job = dataclasses.replace(job, train=train, validation=validation)
        return job

    return make


@pytest.fixture(scope="session")
def trained_job(
    make_job: Callable[..., "TrainingContext"], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., "TrainedJob"]:
    """`trained_job(method, task, settings={}, **training)`: a training that has ended and was saved.

    It is trained once for all tests that only look at it.
    """
    from ways import TrainedJob

    from studio import methods

    trained: dict[str, TrainedJob] = {}

    def train(
        method_name: str, task: str, settings: dict[str, Any] | None = None, **training: Any
    ) -> TrainedJob:
        key = repr((method_name, task, settings, training))
        if key not in trained:
            job = make_job(method_name, task, settings or SHORT_SETTINGS.get((method_name, task)), **training)
            method = methods.get(method_name)
            before = {name: value.detach().clone() for name, value in job.model.named_parameters()}
            trainable = {name for name, value in job.model.named_parameters() if value.requires_grad}
            model = method.train(job)
            folder = tmp_path_factory.mktemp("trained") / "model"
            method.save(model, folder, "someone/base")
            trained[key] = TrainedJob(job, before, trainable, model, folder)
        return trained[key]

    return train


@pytest.fixture(scope="session")
def train_once(
    build_once: Callable[[str, Callable[[Path], None]], Path], device: str
) -> Callable[[str, "Plan"], Path]:
    """`train_once(name, plan)`: the folder of a run that has ended well, trained once per session."""

    def get(name: str, plan: "Plan") -> Path:
        from studio import runs

        def train(home: Path) -> None:
            from studio.training import worker

            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("STUDIO_HOME", str(home))
                worker.run(runs.create(plan).id)

        home = build_once(f"{name}-{device}", train)
        (folder,) = (home / "runs").iterdir()
        return folder

    return get


@pytest.fixture
def finished_plan(
    train_once: Callable[[str, "Plan"], Path], studio_home: Path
) -> Callable[[str, "Plan"], "Run"]:
    """`finished_plan(name, plan)`: a run of a plan that has ended well, copied into this test's home."""
    from studio import runs

    def copy_run(name: str, plan: "Plan") -> runs.Run:
        folder = train_once(name, plan)
        shutil.copytree(folder, runs.folder() / folder.name, dirs_exist_ok=True)
        return runs.get(folder.name)

    return copy_run


@pytest.fixture
def finished(
    finished_plan: Callable[[str, "Plan"], "Run"], make_short_plan: Callable[[str, str], "Plan"]
) -> Callable[..., "Run"]:
    """`finished(method, task)`: a run on toy data that has ended well, copied into this test's home."""

    def copy_run(method: str = "lora", task: str = "chat") -> "Run":
        return finished_plan(f"{method}-{task}", make_short_plan(method, task))

    return copy_run
