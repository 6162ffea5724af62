"""What every test stands on: a home of its own, two tiny real models, toy data anyone can learn, and runs that have ended."""

import os

os.environ.update(
    {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
)

import csv
import dataclasses
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ways import WAYS, Taught, Unwatched

from studio import methods, runs
from studio.data import examples as data_examples
from studio.data.readers.read import read_table
from studio.estimate.machines import hardware
from studio.evaluate import held_out
from studio.methods.spec import TrainingContext
from studio.models import load
from studio.plan import REQUIRED_ROLES, Data, MethodChoice, Plan, Training
from studio.storage import home
from studio.training import worker

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# What the tiny models have read: the words of the toy data, in an order the toy data does not have.
CORPUS = (
    "I want to send the lamp back because the chair is blue",
    "the invoice says twelve and I paid for the desk with a card",
    "the parcel with the chair has not arrived since Monday",
    "please tell me where the shelf is and what the sofa costs",
    "Thanks for asking about it. We will look after it. Yours, the shop.",
)
THINGS = ("lamp", "chair", "desk", "shelf", "sofa", "clock", "rug", "mirror", "stool", "vase")
COLOURS = ("blue", "old", "late", "broken")
ASKED = ("where is my {}", "what does the {} cost", "is the {} blue", "can I return the {}")
TOLD = {
    "delivery": (
        "the parcel with the {} has not arrived",
        "my {} is late again",
        "when does the {} arrive",
        "the courier lost the {}",
    ),
    "billing": (
        "the invoice for the {} is wrong",
        "I paid for the {} with a card",
        "you charged the {} twice",
        "the price of the {} is wrong",
    ),
    "returns": (
        "I want to send the {} back",
        "please take the {} back",
        "how do I return the {}",
        "the {} is broken, I return it",
    ),
}
# A tiny model bears far more than a real one, and tests have no time for less.
TINY_TRAINING: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "max_length": 64,
    "eval_count": 3,
    "validation_share": 0.2,
}
# Where that does not suit a task or a method.
SUITED: dict[str, dict[str, Any]] = {
    "classify": {"epochs": 12},
    "prefix": {"epochs": 18},
    "adapter": {"epochs": 18},
    "upft": {"epochs": 2, "learning_rate": 2e-3, "max_length": 128},
}


def pytest_configure() -> None:
    """One thread computes, in this process and (by OMP_NUM_THREADS) in those it starts."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def studio_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A studio home of the test's own."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    return home()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A training chooses its own number of threads; the next test starts with one again."""
    import torch

    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real 2-layer Llama (grouped attention, tied embeddings) that has read a little, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-chat"
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<pad>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"]
    raw.train_from_iterator(
        CORPUS * 3,
        trainers.BpeTrainer(
            vocab_size=384, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    lines = [
        tokenizer(f"<|user|>{one}</s><|assistant|>{other}</s>", return_tensors="pt").input_ids
        for one, other in itertools.permutations(CORPUS, 2)
    ]
    for ids in lines * 2:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real 2-layer BERT without a head, and a WordPiece tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer, raw.decoder = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
    )
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    texts = [text.format(thing) for family in TOLD.values() for text in family for thing in THINGS]
    raw.train_from_iterator(
        [*texts, *CORPUS], trainers.WordPieceTrainer(vocab_size=256, special_tokens=special)
    )
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    tokenizer.save_pretrained(folder)

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small CSV for each task, whose pattern a tiny model learns in seconds."""
    folder = tmp_path_factory.mktemp("toys")
    chats = [("prompt", "response")]
    chats += [
        (ask.format(thing), f"Thanks for asking about the {thing}. Yours, the shop.")
        for thing in THINGS
        for ask in ASKED
    ]
    told = [("text", "label")]
    told += [
        (text.format(thing), label) for label, texts in TOLD.items() for text in texts for thing in THINGS[:5]
    ]
    texts = [
        ("text",),
        *(
            (f"Thanks for asking about the {thing}. It is {colour}. Yours, the shop.",)
            for thing in THINGS
            for colour in COLOURS
        ),
    ]
    pairs = [("prompt", "chosen", "rejected")]
    pairs += [
        (ask.format(thing), f"Thanks for asking about the {thing}.", f"the {thing} is wrong again")
        for thing in THINGS
        for ask in ASKED
    ]
    asked = [("prompt", "answer"), *((ask.format(thing), thing) for thing in THINGS for ask in ASKED)]
    found = {}
    for task, rows in (
        ("chat", chats),
        ("classify", told),
        ("complete", texts),
        ("prefer", pairs),
        ("prompts", asked),
    ):
        found[task] = folder / f"{task}.csv"
        with found[task].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    return found


@pytest.fixture
def chat_csv(toys: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the toy conversations (40 rows: prompt, response) that the test may change or upload."""
    return Path(shutil.copy(toys["chat"], tmp_path / "chat.csv"))


@pytest.fixture
def classify_csv(toys: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the toy texts (60 rows: text, label; three labels of 20) that the test may change or upload."""
    return Path(shutil.copy(toys["classify"], tmp_path / "classify.csv"))


@pytest.fixture(scope="session")
def bases(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """The tiny model on which a task is trained."""
    return lambda task: request.getfixturevalue("tiny_bert" if task == "classify" else "tiny_chat")


@pytest.fixture(scope="session")
def make_plan(bases: Callable[[str], Path], toys: dict[str, Path]) -> Callable[..., Plan]:
    """`make_plan(method, task, settings={}, **training)`: a short training of a tiny model on the toy data."""

    def make(
        method: str = "lora", task: str = "chat", settings: dict[str, Any] | None = None, **training: Any
    ) -> Plan:
        chosen = {**TINY_TRAINING, **SUITED.get(task, {}), **SUITED.get(method, {}), **training}
        share = chosen.pop("validation_share")
        return Plan(
            name=f"{method} on toys",
            task=task,
            model=str(bases(task)),
            data=Data(
                source=str(toys[task]),
                columns={role: role for role in REQUIRED_ROLES[task]},
                validation_share=share,
            ),
            method=MethodChoice(name=method, settings=settings or {}),
            training=Training(**chosen),
        )

    return make


@pytest.fixture(scope="session")
def make_job(
    make_plan: Callable[..., Plan],
    bases: Callable[[str], Path],
    toys: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., TrainingContext]:
    """`make_job(method, task, settings={}, rows=24, folder=…, **training)`: a training of toy rows with its method attached, ready to go.

    `job.create_monitor` is a fresh Unwatched for each stage, kept in `job.notes["watches"]`.
    """

    def make(
        method: str,
        task: str,
        settings: dict[str, Any] | None = None,
        rows: int = 24,
        folder: Path | None = None,
        **training: Any,
    ) -> TrainingContext:
        plan = make_plan(method, task, settings, **{"epochs": 1, "warmup_ratio": 0.0, **training})
        base, way = bases(task), methods.get(method)
        examples, _ = data_examples.build_examples(
            read_table(toys[task]), task, {role: role for role in REQUIRED_ROLES[task]}
        )
        examples = examples[:: max(len(examples) // rows, 1)][:rows]
        labels = data_examples.collect_labels(examples) if task == "classify" else []
        tokenizer = load.tokenizer(base)
        encoded = data_examples.encode_examples(examples, task, tokenizer, plan.training.max_length, labels)
        settled = way.resolve_settings(plan.method.settings)
        model = load.base_model(base, task, labels, plan.training.seed, way.weights == "nf4")
        torch.manual_seed(plan.training.seed)
        watches: list[Unwatched] = []

        def watch(stage: str, model: Any, measure: Any) -> Any:
            watches.append(Unwatched())
            return watches[-1]

        job = TrainingContext(
            model=way.attach(model, settled, task),
            tokenizer=tokenizer,
            plan=plan,
            settings=settled,
            train=encoded,
            validation=encoded[: len(encoded) // 4],
            folder=folder or tmp_path_factory.mktemp("job"),
            create_monitor=watch,
            measure=lambda model, rows: held_out.evaluate(model, rows, tokenizer, task, 8),
            free_memory=hardware.free_memory,
            examples=(examples, examples[: len(examples) // 4]),
            base_folder=base,
            notes={"watches": watches},
        )
        if way.generate_rows:
            train, validation = way.generate_rows(job)
            job = dataclasses.replace(job, train=train, validation=validation)
        return job

    return make


@pytest.fixture(scope="session")
def taught(
    make_job: Callable[..., TrainingContext], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Taught]:
    """`taught(method, task, settings={}, **training)`: a job that has been trained and saved, once for all tests that only look at it."""
    known: dict[str, Taught] = {}

    def teach(method: str, task: str, settings: dict[str, Any] | None = None, **training: Any) -> Taught:
        key = repr((method, task, settings, training))
        if key not in known:
            job, way = make_job(method, task, settings, **training), methods.get(method)
            before = {name: value.detach().clone() for name, value in job.model.named_parameters()}
            learning = {name for name, value in job.model.named_parameters() if value.requires_grad}
            made = way.train(job)
            folder = tmp_path_factory.mktemp("taught") / "model"
            way.save(made, folder, "someone/base")
            known[key] = Taught(job, before, learning, made, folder)
        return known[key]

    return teach


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Every method with every task it trains; a new method is tested by being listed."""
    return request.param


@pytest.fixture(scope="session")
def _ended(
    make_plan: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], runs.Run]:
    folder, found = tmp_path_factory.mktemp("ended"), {}

    def ended(method: str, task: str) -> runs.Run:
        if (method, task) not in found:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("STUDIO_HOME", str(folder))
                run = runs.create(make_plan(method, task))
                worker.run(run.id)
                found[method, task] = run
        return found[method, task]

    return ended


@pytest.fixture
def finished(_ended: Callable[[str, str], runs.Run], studio_home: Path) -> Callable[..., runs.Run]:
    """`finished(method, task)`: a run that has ended well, trained once per session, copied into this test's home."""

    def copy(method: str = "lora", task: str = "chat") -> runs.Run:
        run = _ended(method, task)
        shutil.copytree(run.folder, runs.folder() / run.id, dirs_exist_ok=True)
        return runs.get(run.id)

    return copy
