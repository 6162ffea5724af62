"""Keeps off every terminal and log what libraries say while all is well; all other warnings still appear.

Each entry is exact: a new warning of a library is seen, and either its cause is mended or it is added here.
"""

import logging
import os
import re
import warnings

# Progress bars of downloads, of loading and of writing weights: the studio shows how far a run is itself.
NO_PROGRESS_BARS = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
# transformers, PEFT and TRL call each other's deprecated functions (transformers 5.23, peft 0.21, trl 1.16).
EXPECTED_WARNINGS = (
    "`is_gradient_checkpointing` is deprecated",
    "`gradient_checkpointing_enable` is deprecated",
    "`gradient_checkpointing_disable` is deprecated",
)
# What is logged of kernels for other machines, on import, and of a 4-bit base that is unpacked to be merged,
# by the name of the logger.
EXPECTED_LOGS = {
    "torchao": r"Failed to load .*\.so|Skipping import of cpp extensions",
    "torch.utils._pytree": r"<enum '\w+'> is an Enum subclass",
    "bitsandbytes.backends.cpu.ops": r"Failed to load CPU gemm_4bit_forward",
    "transformers.integrations.bitsandbytes": r"The modules are dequantized in ",
}
# A model loaded for another task than the one it was saved for gets a new head, in a report of transformers
# that names each parameter with its status.
LOAD_REPORT_ROW = re.compile(r"^(\S+)\s*\| (MISSING|UNEXPECTED|MISMATCH|CONVERSION)", re.MULTILINE)
EXPECTED_ROW = re.compile(
    r"(pre_classifier|classifier|score|head)\.\S+ (MISSING|MISMATCH)"
    r"|((generator_)?lm_head|cls|decoder|vocab_\w+|\w+_predictions|(\w+\.)?pooler)\.\S+ UNEXPECTED"
)
TERMINAL_STYLE = re.compile(r"\x1b\[\d*m")


class DropExpected(logging.Filter):
    """Drops the records whose text begins with a pattern."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self.pattern = re.compile(pattern)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        return not self.pattern.match(record.getMessage())


class DropNewHeadReport(logging.Filter):
    """Drops the load report of a model that differs from its file by the head alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is kept."""
        text = TERMINAL_STYLE.sub("", record.getMessage())
        rows = LOAD_REPORT_ROW.findall(text)
        return not rows or not all(EXPECTED_ROW.fullmatch(" ".join(row)) for row in rows)


def silence_libraries() -> None:
    """Set it up, before any of the libraries is imported."""
    for name, value in NO_PROGRESS_BARS.items():
        os.environ.setdefault(name, value)
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=FutureWarning)
    for logger_name, pattern in EXPECTED_LOGS.items():
        logging.getLogger(logger_name).addFilter(DropExpected(pattern))
    logging.getLogger("transformers.modeling_utils").addFilter(DropNewHeadReport())
