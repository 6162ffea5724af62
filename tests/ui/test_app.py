"""The page can be built: each wire ends somewhere, each label is translated."""

import re
import warnings

from studio import i18n, presets
from studio.ui import app


def test_every_wire_of_the_page_ends_somewhere():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        page = app.build_page()
    assert len(page.fns) > 15
    names = {block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)}
    assert {
        "upload",
        "methods",
        "start",
        "live",
        "ask",
        "base",
        "tuned",
        "prepare",
        "download",
    } <= names


def test_every_label_of_the_page_exists_in_english_and_chinese():
    app.build_page()
    english, chinese = i18n.labels("en"), i18n.labels("zh")
    assert english.keys() == chinese.keys()
    untranslated = [
        text
        for key, text in english.items()
        if chinese[key] == text and re.search("[a-z]{3}", text) and text != "LoRA"
    ]
    assert untranslated == []


def test_the_shipped_files_are_where_the_page_looks():
    assert all((presets.ASSETS / name).is_file() for name in app.STYLE_SHEETS)
    assert (presets.ASSETS / "run.js").is_file()
