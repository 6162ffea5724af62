"""How tests look at what is refused: by the message and its values, not by its wording."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from studio.errors import BadData, StudioError
from studio.i18n import Message, languages


@contextmanager
def raises_bad_data(message: Message, **values: Any) -> Iterator[pytest.ExceptionInfo[BadData]]:
    """Expect BadData with this message and, among its values, these; it must be told in every language."""
    with pytest.raises(BadData) as caught:
        yield caught
    assert_message(caught.value, message, **values)


def assert_message(error: StudioError, message: Message, **values: Any) -> None:
    """Assert that an error has this message with, among its values, these, and is told in all languages."""
    assert error.message.text == message.text
    assert {name: error.message.values.get(name) for name in values} == values
    assert all(sentence.strip() for language in languages() for sentence in error.sentences(language))
