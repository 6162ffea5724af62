"""wllama, llama.cpp compiled for browsers: an npm package, fetched once, pinned and checked by its hash."""

import base64
import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
from filelock import FileLock

from studio.errors import NotPossible
from studio.i18n import Message
from studio.storage import home

VERSION = "3.13.0"
# The package's `dist.integrity` in the registry.
SHA512 = "ZvoRdQAn+E+18EvQ9qS036gudiI9rbZRBJgG/qNICPPwrA0Y6SMMdbziz/j7K/0WxcbJlhaRraVIYsnEy732NA=="
REGISTRY = "https://registry.npmjs.org"
# The files that a page needs -> what they are called beside it.
FILES = {
    "package/esm/index.min.js": "wllama.js",
    "package/esm/wasm/wllama.wasm": "wllama.wasm",
    "package/LICENCE": "LICENCE",
}
FETCHING = Message("Fetching wllama, once…")
NOT_FETCHED = Message("wllama, which runs models in a browser, could not be fetched from {registry}: {why}")
CONNECT = Message(
    "Connect this machine to its npm registry (NPM_CONFIG_REGISTRY names another one), or take GGUF home, "
    "which needs no browser."
)
WRONG_HASH = Message("what arrived is not wllama {version}: its hash is another")


def fetch(on_progress: Callable[[Message], None]) -> Path:
    """The folder with wllama's files; fetched once for each version.

    Args:
        on_progress: Called with what is being done.

    Raises:
        NotPossible: It cannot be fetched.
    """
    folder = home() / "tools" / f"wllama-{VERSION}"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not folder.is_dir():
            on_progress(FETCHING)
            draft = folder.with_name(f".fetching-{folder.name}")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            _unpack(_download(), draft)
            draft.rename(folder)
    return folder


def _download() -> bytes:
    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY).rstrip("/")
    try:
        reply = httpx.get(
            f"{registry}/@wllama/wllama/-/wllama-{VERSION}.tgz", timeout=120, follow_redirects=True
        )
        reply.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotPossible(NOT_FETCHED, CONNECT, registry=registry, why=str(error) or "no answer") from None
    if base64.b64encode(hashlib.sha512(reply.content).digest()).decode() != SHA512:
        raise NotPossible(NOT_FETCHED, CONNECT, registry=registry, why=WRONG_HASH.format(version=VERSION))
    return reply.content


def _unpack(package: bytes, folder: Path) -> None:
    """Write the files that a page needs, and no others."""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for name, target in FILES.items():
            member = archive.extractfile(name)
            assert member is not None
            (folder / target).write_bytes(member.read())
