"""The adapter: what was learned alone, put on top of the base model by PEFT."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio import methods, models, runs
from studio.export import card_messages as messages
from studio.export.opening import open_in_transformers
from studio.export.spec import ExportFormat, ExportOptions, copy_model, import_from_transformers
from studio.export.usage import Usage, get_problem_type, is_pooled, public_base_name
from studio.i18n import label
from studio.models import fetch
from studio.models.nf4 import NF4_OPTIONS
from studio.runs import Run
from studio.storage import write_json

CONFIG_FILE = "adapter_config.json"
CLASSIFIER_FILE = Path(models.__file__).parent / "pooled_classifier.py"
# On CPUs with AVX512-BF16 bitsandbytes would repack the matrices and round their scales (studio.models.load).
KEEP_AS_READ = ("for module in base.modules():", "    module.support_avx512bf16_for_cpu = False")


def write(run: Run, folder: Path, options: ExportOptions) -> None:
    """Copy the adapter, and add what PEFT has no place for: the method's own code, a classifier's config."""
    copy_model(run, folder)
    report = runs.complete_report(run)
    _name_base(folder / CONFIG_FILE, public_base_name(report))
    if run.plan.task == "classify":
        _write_classifier_config(run, report, folder)
    extra_files = [methods.get(run.plan.method.name).extra_file]
    if is_pooled(report):
        extra_files.append(CLASSIFIER_FILE)
    for extra_file in filter(None, extra_files):
        shutil.copyfile(extra_file, folder / f"{_extra_module(extra_file)}.py")


def _name_base(config_path: Path, base_name: str) -> None:
    """Name the base in PEFT's config: where it was a folder, that has the path on this machine."""
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_name
    if config.get("tokenizer_name_or_path"):
        config["tokenizer_name_or_path"] = base_name
    write_json(config_path, config)


def _write_classifier_config(run: Run, report: Mapping[str, Any], folder: Path) -> None:
    """Write the config of the base as a classifier, with the names of the classes."""
    from transformers import AutoConfig  # noqa: PLC0415 - slow to import

    base_folder = fetch.fetch(run.plan.model).folder
    config = AutoConfig.from_pretrained(base_folder, trust_remote_code=False)
    labels = report["labels"]
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: index for index, name in enumerate(labels)}
    config.problem_type = get_problem_type(report)
    config.pad_token_id = _read_pad_token_id(folder)
    if is_pooled(report):
        config.virtual_tokens = _count_virtual_tokens(folder)
    config.save_pretrained(folder)


def _count_virtual_tokens(folder: Path) -> int:
    """The virtual tokens that stand before a text as embeddings; a prefix of keys and values does not."""
    adapter = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    is_prefix = adapter["peft_type"] == "PREFIX_TUNING"
    return 0 if is_prefix else int(adapter.get("num_virtual_tokens", 0))


def _read_pad_token_id(folder: Path) -> int:
    """The token that rows are padded with: it tells a decoder where each text ends."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - slow to import

    return int(AutoTokenizer.from_pretrained(folder, trust_remote_code=False).pad_token_id)


def import_lines(usage: Usage) -> list[str]:
    """PEFT, what opens the base, and the method's own code."""
    names = [] if usage.is_pooled else [usage.auto_class]
    if usage.problem_type:
        names.append("AutoConfig")
    if usage.method.weights == "nf4":
        names.append("BitsAndBytesConfig")
    lines = ["from peft import PeftModel", import_from_transformers(*names)]
    if usage.method.extra_file:
        comment = messages.EXTRA_FILE_COMMENT.render(usage.language)
        lines.append(f"import {_extra_module(usage.method.extra_file)}  # {comment}")
    if usage.is_pooled:
        comment = messages.CLASSIFIER_FILE_COMMENT.render(usage.language)
        lines.append(f"from {_extra_module(CLASSIFIER_FILE)} import PooledClassifier  # {comment}")
    return lines


def load_lines(usage: Usage) -> list[str]:
    """The base as it was in the training, from the hub or its folder, with the adapter of this folder."""
    in_4_bits = usage.method.weights == "nf4"
    lines, arguments = [], [f'"{usage.base}"', f'dtype="{usage.dtype}"']
    if usage.problem_type:
        lines.append('config = AutoConfig.from_pretrained(".")')
        arguments.append("config=config")
    if in_4_bits:
        lines += _quantization_lines(usage)
        arguments.append("quantization_config=quantization")
    if usage.is_base_local:
        lines.append(f"# {messages.LOCAL_BASE_COMMENT.render(usage.language, base=usage.base)}")
    lines.append(f"base = {_class_name(usage)}.from_pretrained({', '.join(arguments)})")
    if in_4_bits:
        lines += [f"# {messages.KEEP_AS_READ_COMMENT.render(usage.language)}", *KEEP_AS_READ]
    return [*lines, 'model = PeftModel.from_pretrained(base, ".")']


def _quantization_lines(usage: Usage) -> list[str]:
    """The 4-bit config the base was trained with, as Python."""
    options = {**NF4_OPTIONS, "bnb_4bit_compute_dtype": usage.dtype}
    return [
        f"# {messages.TRAINED_ON_4_BIT_BASE.render(usage.language)}",
        "quantization = BitsAndBytesConfig(",
        *(f"    {name}={value!r}," for name, value in options.items()),
        ")",
    ]


def _class_name(usage: Usage) -> str:
    return "PooledClassifier" if usage.is_pooled else usage.auto_class


def _extra_module(extra_file: Path) -> str:
    """The name under which code of the studio's own lies beside the adapter."""
    return f"studio_{extra_file.stem}"


FORMAT = ExportFormat(
    name="adapter",
    label=label("Adapter: small file, loaded on top of the base model"),
    write=write,
    open_runtime=open_in_transformers,
    library="peft",
    relation="adapter",
    import_lines=import_lines,
    load_lines=load_lines,
)
