"""A data set of the hub becomes one file here: its converted Parquet, else its own tables; no script of it ever runs."""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from studio.data.readers import hub_files, rows, sandbox
from studio.data.readers.hub_files import DatasetPart
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, download_progress, no_progress, require_disk_space

# The id of a model, and up to two words for the part that is meant.
DATASET_ID = re.compile(r"([\w.-]{1,96}/[\w.-]{1,96})((?::[^:/]{1,96}){0,2})")
DATASET_PAGE = re.compile(r"https?://[^/]+/datasets/")
CONVERTED_REVISION = "refs/convert/parquet"
MAX_DOWNLOAD_BYTES = (
    500_000_000  # bytes of a first Parquet file, of which as many rows are kept as a data set may have
)


def fetch(dataset: str, folder: Path, on_progress: ProgressCallback = no_progress) -> Path:
    """One file in `folder` with the rows of a hub data set: `owner/name`, and after a colon the configuration or split that is meant.

    The training part is taken where none is named. Where only a part fits into what a data set may hold, the file's name says how
    much. `tell` is told megabytes. Raises BadData with what to do instead, or OutOfRoom.
    """
    match = DATASET_ID.fullmatch(DATASET_PAGE.sub("", dataset.strip()).rstrip("/"))
    if not match:
        raise _invalid_name(dataset)
    repo, wanted = match[1], match[2].split(":")
    is_reachable = False
    try:
        revision, part = _select_part(repo, wanted)
        is_reachable = True
        files, is_complete = _files_within_limit(part, repo)
        require_disk_space(folder, 2 * sum(files.values()))
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temp_folder:
            with (
                _without_progress_bars(),
                download_progress(Path(temp_folder), sum(files.values()), on_progress),
            ):
                paths = [_download_file(repo, file, revision, temp_folder) for file in files]
            return _combine_files(
                paths, repo, part, is_complete and part.is_complete, folder, Path(temp_folder)
            )
    except GatedRepoError:
        raise _access_denied(repo, Message("its terms must be accepted first")) from None
    except RepositoryNotFoundError:
        raise _access_denied(repo, Message("it is not there, or it is private")) from None
    except HFValidationError:
        raise _invalid_name(dataset) from None
    except HfHubHTTPError as error:
        raise _download_failed(repo, error) from None
    except (HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if is_reachable:
            raise _download_failed(repo, error) from None
        raise BadData(
            Message("The hub does not answer from here, so “{hub}” cannot be fetched."),
            Message("Connect this machine, or download the file elsewhere and drop it here."),
            hub=repo,
        ) from None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None):  # of this machine's disk
            raise
        raise _download_failed(repo, error) from None


def _select_part(repo: str, wanted: list[str]) -> tuple[str, DatasetPart]:
    """Where the rows lie: the revision, and the files of one part of the data set."""
    try:
        parts = hub_files.converted_parts(_file_sizes(repo, CONVERTED_REVISION))
    except RevisionNotFoundError:
        parts = []
    if parts:
        return CONVERTED_REVISION, hub_files.choose_part(parts, wanted, repo)
    parts = hub_files.repo_parts(_file_sizes(repo, constants.DEFAULT_REVISION))
    if not parts:
        raise BadData(
            Message("“{hub}” offers no table that can be read without running a script of its own."),
            Message("Choose a data set with Parquet, CSV or JSON files."),
            hub=repo,
        )
    return constants.DEFAULT_REVISION, hub_files.choose_part(parts, wanted, repo)


def _file_sizes(repo: str, revision: str) -> dict[str, int]:
    """The files of a revision that say how large they are, in bytes."""
    info = HfApi(endpoint=constants.ENDPOINT).dataset_info(
        repo, revision=revision, files_metadata=True, timeout=30
    )
    return {file.rfilename: file.size for file in info.siblings or [] if file.size}


def _download_file(repo: str, name: str, revision: str, folder: str) -> Path:
    return Path(
        hf_hub_download(
            repo, name, repo_type="dataset", revision=revision, local_dir=folder, endpoint=constants.ENDPOINT
        )
    )


def _files_within_limit(part: DatasetPart, repo: str) -> tuple[dict[str, int], bool]:
    """The first files of a part that are not too large to fetch, and whether these are all."""
    first_file, size = next(iter(part.files.items()))
    max_bytes = MAX_DOWNLOAD_BYTES if first_file.endswith(".parquet") else rows.MAX_BYTES
    if size > max_bytes:
        raise BadData(
            Message("The first file of “{hub}” has {size:,.0f} MB; the limit is {limit:,.0f} MB."),
            Message("Choose another part after a colon ({split}:…), or a smaller data set."),
            hub=repo,
            size=size / 1e6,
            limit=max_bytes / 1e6,
            split=repo,
        )
    files: dict[str, int] = {}
    total_bytes = 0
    for name, size in part.files.items():
        if files and total_bytes + size > rows.MAX_BYTES:
            break
        files[name] = size
        total_bytes += size
    return files, len(files) == len(part.files)


def _combine_files(
    paths: list[Path], repo: str, part: DatasetPart, is_complete: bool, folder: Path, temp_folder: Path
) -> Path:
    """The fetched files as one, under a name that says what of the data set it is."""
    extension = paths[0].suffix.lower()
    title = repo.split("/")[1] + (f" ({part.name})" if part.name else "")
    if extension == ".parquet":
        combined = temp_folder / "joined"
        row_count, total_rows = sandbox.merge_parquet(paths, combined, title)
        suffix = "" if is_complete and row_count == total_rows else f" first {row_count} rows"
    elif len(paths) > 1:
        extension, combined = ".zip", temp_folder / "joined"
        with zipfile.ZipFile(combined, "w") as zip_file:
            for path in paths:
                zip_file.write(path, path.relative_to(temp_folder).as_posix().replace("/", "-"))
        suffix = "" if is_complete else f" first {len(paths)} of {len(part.files)} files"
    else:
        combined = paths[0]
        suffix = "" if is_complete else f" first of {len(part.files)} files"
    target = folder / (re.sub(r"[^\w .()-]+", "-", title)[:80] + suffix + extension)
    shutil.move(combined, target)
    return target


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Without the hub client's own bars."""
    were_enabled = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if were_enabled:
            enable_progress_bars()


def _invalid_name(dataset: str) -> BadData:
    return BadData(
        Message("“{dataset}” is not the name of a data set on the hub."),
        Message("Type it as owner/name, such as tatsu-lab/alpaca; a part of it may follow after a colon."),
        dataset=dataset.strip()[:120],
    )


def _download_failed(repo: str, error: Exception) -> BadData:
    return BadData(
        Message("The hub broke off while “{hub}” was fetched: {error}"),
        Message("Try again in a while."),
        hub=repo,
        error=next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200],
    )


def _access_denied(repo: str, why: Message) -> BadData:
    return BadData(
        Message("The hub does not hand out “{hub}”: {why}."),
        Message("Check the spelling, or accept the terms on its page and log in with `hf auth login`."),
        hub=repo,
        why=why,
    )
