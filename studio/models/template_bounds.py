"""Chat templates are code from elsewhere: one that never comes to an end is stopped, however its loops nest.

The sandbox in which transformers renders them limits what a template reaches, and a single range, not time.
"""

import secrets
import time
from typing import Any

from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils import chat_template_utils

from studio.errors import ModelUnavailable
from studio.i18n import Message

# A template of a hub model renders a long conversation in milliseconds.
MAX_SECONDS = 10.0
MAX_REPEATED, MAX_BITS = 1_000_000, 10_000
TOO_LONG = Message(
    "The chat template of this model does not come to an end; it was stopped after {seconds:.0f} s."
)
TOO_LARGE = Message("The chat template of this model computes something far too large.")
CHOOSE_OTHER = Message("Choose another model; do not trust this one.")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, with a clock that every turn of a loop and every call of a macro looks at."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # No template can know these names, and so wind the clock.
        self._start_name, self._turn_name = (f"clock_{secrets.token_hex(16)}" for _ in range(2))
        self._deadline = 0.0
        self.globals[self._start_name] = self._start
        self.globals[self._turn_name] = self._check_time

    def _start(self) -> bool:
        self._deadline = time.monotonic() + MAX_SECONDS
        return True

    def _check_time(self) -> bool:
        if time.monotonic() > self._deadline:
            raise ModelUnavailable(TOO_LONG, CHOOSE_OTHER, seconds=MAX_SECONDS)
        return True

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """The template's tree, with a look at the clock in every loop, condition of a loop, and macro."""
        tree = super()._parse(source, name, filename)
        looping: list[Any] = list(tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock)))
        for node in looping:
            node.body.insert(0, nodes.ExprStmt(_call(self._turn_name), lineno=node.lineno))
            if getattr(node, "test", None):
                node.test = nodes.And(_call(self._turn_name), node.test, lineno=node.lineno)
        tree.body.insert(0, nodes.ExprStmt(_call(self._start_name), lineno=1))
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Any, operator: str, first: Any, second: Any) -> Any:
        """Multiply or raise to a power, unless one result alone would fill the memory."""
        is_too_large = _power_bits(first, second) > MAX_BITS if operator == "**" else False
        for text, count in ((first, second), (second, first)):
            is_repeated = isinstance(text, str | list | tuple) and isinstance(count, int)
            is_too_large = is_too_large or (is_repeated and len(text) * count > MAX_REPEATED)
        if is_too_large:
            raise ModelUnavailable(TOO_LARGE, CHOOSE_OTHER)
        return super().call_binop(context, operator, first, second)


def _power_bits(base: Any, exponent: Any) -> float:
    """The bits of a power of whole numbers; of others Python itself says that they are too large."""
    is_whole = isinstance(base, int) and isinstance(exponent, int)
    return base.bit_length() * abs(exponent) if is_whole else 0.0


def _call(name: str) -> nodes.Call:
    return nodes.Call(nodes.Name(name, "load", lineno=1), [], [], None, None, lineno=1)


def install() -> None:
    """Let transformers render every chat template of this process within these bounds."""
    chat_template_utils.ImmutableSandboxedEnvironment = BoundedEnvironment
