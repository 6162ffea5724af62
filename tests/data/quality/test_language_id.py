"""The language of a text is named where it is sure, by its script or by its words."""

import pytest

from studio.data.quality import language_id


@pytest.mark.parametrize(
    ("text", "script", "language"),
    [
        ("Where is my order?", "latin", "latin"),
        ("Where is my order, and when will it come to my house?", "latin", "en"),
        ("Bonjour, je voudrais retourner ma commande, comment faire ?", "latin", "fr"),
        ("iPhone 14 Pro Max 256GB Space Black, Samsung Galaxy S23 Ultra", "latin", "latin"),
        ("我的 iPhone 15 Pro Max 坏了", "zh", None),
        ("注文をキャンセルしたいです", "ja", None),
        ("Где мой заказ?", "cyrillic", None),
        ("12345 !!", "", None),
    ],
)
def test_a_language_is_only_named_where_it_is_sure(text, script, language):
    assert language_id.detect_script(text) == script
    if language:
        assert language_id.detect_language(text) == language
