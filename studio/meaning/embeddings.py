"""Embeddings of the texts of a data set, computed once and kept with it."""

import io
import os
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from studio.data.store import Dataset
from studio.storage import ProgressCallback, home

Array = NDArray[Any]
# A key is a hash of the text: the text itself stands in no further file.
KEY_BYTES = 16
# Texts that are embedded between two saves, so that little is lost where somebody stops.
SAVE_EVERY = 2_000


def path(dataset: Dataset) -> Path:
    """The file of a data set's embeddings: in its folder, or in the studio's home for a sample or a file."""
    if dataset.is_editable:
        return dataset.folder / "embeddings.npz"
    return home() / "embeddings" / f"{sha256(dataset.source.encode()).hexdigest()[:32]}.npz"


def read(dataset: Dataset, encoder: str) -> dict[bytes, Array]:
    """Text key -> embedding of unit length, of the texts embedded before; a damaged file holds none."""
    try:
        content = io.BytesIO(path(dataset).read_bytes())
        with np.load(content, allow_pickle=False) as stored:
            if str(stored["encoder"]) != encoder:
                return {}
            keys, vectors = stored["keys"], stored["vectors"].astype(np.float32)
            return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def write(dataset: Dataset, encoder: str, embeddings: dict[bytes, Array]) -> None:
    """Keep embeddings, in half precision."""
    file = path(dataset)
    file.parent.mkdir(exist_ok=True)
    keys = np.frombuffer(b"".join(embeddings), dtype=np.uint8).reshape(-1, KEY_BYTES)
    vectors = np.stack(list(embeddings.values())).astype(np.float16)
    buffer = io.BytesIO()
    np.savez(buffer, encoder=np.array(encoder), keys=keys, vectors=vectors)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(buffer.getvalue())
    draft.replace(file)


def text_key(text: str) -> bytes:
    """The key of a text."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()


def find(dataset: Dataset, encoder: str, texts: Sequence[str]) -> Array | None:
    """The embeddings of texts, texts x width; None where one of them was not embedded yet."""
    return _stack(read(dataset, encoder), texts)


def _stack(embeddings: dict[bytes, Array], texts: Sequence[str]) -> Array | None:
    keys = [text_key(text) for text in texts]
    if not keys or any(key not in embeddings for key in keys):
        return None
    return np.stack([embeddings[key] for key in keys])


def _report_after(on_progress: ProgressCallback, start: int, total: int, done: float, _of: float) -> None:
    on_progress(start + done, total)


def compute(
    dataset: Dataset, encoder: str, folder: Path, texts: Sequence[str], on_progress: ProgressCallback
) -> Array:
    """The embeddings of texts; those of an earlier call are taken from the file, all others are added to it.

    Args:
        dataset: The data set that the texts are from.
        encoder: The name of the encoder, under which the embeddings are kept.
        folder: Where it is.
        texts: At least one text.
        on_progress: Called with the texts that are embedded and those to embed.

    Returns:
        Texts x width, each of unit length.
    """
    embeddings = read(dataset, encoder)
    missing = {text_key(text): text for text in texts}
    missing = {key: text for key, text in missing.items() if key not in embeddings}
    if missing:
        from studio.meaning.encoder import Encoder  # noqa: PLC0415 - loads torch, and only where it computes

        encode = Encoder(folder).encode
        # The longest first: the progress is then no more optimistic than the end.
        keys = sorted(missing, key=lambda key: -len(missing[key]))
        for start in range(0, len(keys), SAVE_EVERY):
            batch = keys[start : start + SAVE_EVERY]
            report = partial(_report_after, on_progress, start, len(keys))
            vectors = encode([missing[key] for key in batch], report)
            embeddings.update(zip(batch, vectors, strict=True))
            write(dataset, encoder, embeddings)
    stacked = _stack(embeddings, texts)
    assert stacked is not None
    return stacked
