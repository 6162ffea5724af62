"""Toy data anyone can learn, and the tiny models that learn it in seconds."""

import csv
import itertools
import json
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}{% endfor "
    "%}"
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
QUESTIONS = ("where is my {}", "what does the {} cost", "is the {} blue", "can I return the {}")
TEXTS_BY_LABEL = {
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
# What the tiny models say now and then: practice finds some of its answers right, and others wrong.
KNOWN_ANSWER = "the"
RATINGS = {"delivery": 20, "billing": 10, "returns": 50}
FRAGILE = THINGS[:2]


def save_tiny_llama(folder: Path) -> None:
    """Save a 2-layer Llama (grouped attention, tied embeddings) that has read CORPUS a little, and its
    tokenizer.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _train_bpe_tokenizer()
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
    conversations = [
        tokenizer(f"<|user|>{prompt}</s><|assistant|>{response}</s>", return_tensors="pt").input_ids
        for prompt, response in itertools.permutations(CORPUS, 2)
    ]
    for ids in conversations * 2:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def save_tiny_bert(folder: Path) -> None:
    """Save a 2-layer BERT without a head, and a WordPiece tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    tokenizer = _build_wordpiece_tokenizer()
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
        # The texts of a random model differ by little, so a head that tells them apart would magnify dropout.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)


def save_tiny_sentence_model(folder: Path) -> None:
    """Save the tiny BERT as sentence-transformers does: a text means the mean of its tokens."""
    save_tiny_bert(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    pooling = {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    (folder / "1_Pooling").mkdir()
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")


def save_in_16_bits(source: Path, folder: Path) -> None:
    """Save a model again in bfloat16, as most models on the hub are."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def _train_bpe_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<pad>", "</s>", "<|user|>", "<|assistant|>", "<|system|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator(CORPUS * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _build_wordpiece_tokenizer():
    """Its pieces are the words of the toys and their letters: a trainer would find others each time."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer, pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    texts = [text.format(thing) for family in TEXTS_BY_LABEL.values() for text in family for thing in THINGS]
    words = {
        word
        for text in [*texts, *CORPUS]
        for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))
    }
    letters = set("".join(words))
    pieces = sorted(words | letters | {f"##{letter}" for letter in letters})
    vocabulary = {piece: number for number, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces])}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer, raw.decoder = normalizer, pre_tokenizer, decoders.WordPiece()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def write_toy_files(folder: Path) -> dict[str, Path]:
    """Write one CSV for each task, with a header, and return their paths by task."""
    thanks = "Thanks for asking about the {}. Yours, the shop."
    questions = [(question.format(thing), thing) for thing in THINGS for question in QUESTIONS]
    labelled = [
        (text.format(thing), label)
        for label, texts in TEXTS_BY_LABEL.items()
        for text in texts
        for thing in THINGS[:5]
    ]
    texts = [
        (f"Thanks for asking about the {thing}. It is {colour}. Yours, the shop.",)
        for thing in THINGS
        for colour in COLOURS
    ]
    pairs = [
        (question, f"Thanks for asking about the {thing}.", f"the {thing} is wrong again")
        for question, thing in questions
    ]
    rows_by_task = {
        "chat": [
            ("prompt", "response"),
            *((question, thanks.format(thing)) for question, thing in questions),
        ],
        "classify": [("text", "label"), *labelled],
        "complete": [("text",), *texts],
        "prefer": [("prompt", "chosen", "rejected"), *pairs],
        "prompts": [("prompt", "answer"), *((question, KNOWN_ANSWER) for question, _ in questions)],
    }
    paths = {}
    for task, rows in rows_by_task.items():
        paths[task] = folder / f"{task}.csv"
        with paths[task].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    return paths


def write_problem_table(path: Path, role: str) -> None:
    """Write the labelled texts with several labels each (`labels`), or with a number (`rating`).

    Those about a fragile thing have a second label, and count ten more.
    """
    rows = []
    for label, texts in TEXTS_BY_LABEL.items():
        for text in texts:
            for thing in THINGS[:5]:
                labels = f"{label}; fragile" if thing in FRAGILE else label
                rating = RATINGS[label] + 10 * (thing in FRAGILE)
                rows.append((text.format(thing), labels if role == "labels" else rating))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", role), *rows])
