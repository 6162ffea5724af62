"""A no-code training studio: one plan goes in, one folder comes out, every screen is a view of those two."""

import logging
import warnings

__version__ = "0.1.0"

# What libraries say of themselves that nobody here can act on, silenced before any of them is imported, in
# every process: on import which kernels are for other machines, and that transformers, PEFT and TRL call each
# other's deprecated functions (transformers 5.23, peft 0.21, trl 1.16).
for _logger_name in ("torchao", "torch.utils._pytree", "bitsandbytes.backends.cpu.ops"):
    logging.getLogger(_logger_name).setLevel(logging.ERROR)
for _message in (
    "`is_gradient_checkpointing` is deprecated",
    "`gradient_checkpointing_enable` is deprecated",
    "`gradient_checkpointing_disable` is deprecated",
):
    warnings.filterwarnings("ignore", message=_message, category=FutureWarning)
