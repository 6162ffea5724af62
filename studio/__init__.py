"""A no-code training studio: one plan goes in, one folder comes out, every screen is a view of those two."""

import logging

__version__ = "0.1.0"

# On import torchao, torch and bitsandbytes log which kernels are for other machines, and which of their calls
# are deprecated, which nobody here can act on. Set before any of them is imported, in every process.
for _name in ("torchao", "torch.utils._pytree", "bitsandbytes.backends.cpu.ops"):
    logging.getLogger(_name).setLevel(logging.ERROR)
