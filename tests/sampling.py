"""Which cases of a parametrised test CI tries; `pytest -m exhaustive` tries the others."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sample(cases: Iterable[Any], in_ci: Collection[Any]) -> list[Any]:
    """Cases for `parametrize`, of which CI tries those in `in_ci`; the others are marked exhaustive.

    Raises:
        ValueError: One of the sample is no case.
    """
    cases = list(cases)
    if missing := [case for case in in_ci if case not in cases]:
        raise ValueError(f"no cases: {missing}")
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if case in in_ci else pytest.mark.exhaustive,
        )
        for case in cases
    ]
