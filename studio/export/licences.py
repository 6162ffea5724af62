"""What a licence allows, as far as it matters to whoever takes a tuned model home or to others."""

import re
from typing import NamedTuple

from studio.i18n import Message


class Licence(NamedTuple):
    """A licence of a base model.

    Attributes:
        hub_id: What the hub calls it.
        terms: What it allows and asks for.
    """

    hub_id: str
    terms: Message


LICENCES = {
    "Apache-2.0": Licence(
        "apache-2.0",
        Message("Commercial use, changes and passing on are allowed; licence and notices go along."),
    ),
    "MIT": Licence(
        "mit", Message("Commercial use, changes and passing on are allowed; the licence goes along.")
    ),
    "Llama 3.2 Community License": Licence(
        "llama3.2",
        Message(
            "Commercial use is allowed to companies with fewer than 700 million monthly users. Say “Built "
            "with Llama”, let the model's name begin with “Llama”, and pass licence and use policy on."
        ),
    ),
    "Gemma Terms of Use": Licence(
        "gemma",
        Message(
            "Commercial use is allowed. Pass the terms and the list of prohibited uses on with the model."
        ),
    ),
}
UNKNOWN = Licence(
    "other",
    Message(
        "What the licence of the base allows is not known here: read it before anyone else gets the model."
    ),
)
# How licences that exclude commercial use are written, such as CC BY-NC 4.0.
NON_COMMERCIAL = re.compile(r"\bNC\b|non[- ]?commercial", re.IGNORECASE)
DATA_EXCLUDES_COMMERCE = Message(
    "The data is licensed as {licence}, which excludes commercial use: use the model in research and at home "
    "only, or ask a lawyer."
)


def find(name: str) -> Licence:
    """The licence of this name."""
    return LICENCES.get(name, UNKNOWN)


def list_terms(base_licence: str, data_licence: str) -> list[Message]:
    """What the licences of base and data mean for the use of a model.

    Args:
        base_licence: The name of the base's licence; "" where nobody has said.
        data_licence: The licence of the data, as a person typed it.
    """
    terms = [find(base_licence).terms]
    if NON_COMMERCIAL.search(data_licence):
        terms.append(DATA_EXCLUDES_COMMERCE.format(licence=data_licence))
    return terms
