"""A data set of the hub becomes one file, from its converted Parquet or its tables; its scripts never run."""

import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

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

from studio import credentials
from studio.data.readers import hub_files, rows, sandbox
from studio.data.readers.hub_files import DatasetPart
from studio.errors import BadData
from studio.i18n import Message
from studio.storage import ProgressCallback, download_progress, no_progress, require_disk_space

# The id of a model, and up to two words for the part that is meant.
DATASET_ID = re.compile(r"([\w.-]{1,96}/[\w.-]{1,96})((?::[^:/]{1,96}){0,2})")
DATASET_PAGE = re.compile(r"https?://[^/]+/datasets/")
CONVERTED_REVISION = "refs/convert/parquet"
# A first Parquet file may be larger than a data set: as many of its rows are read as a data set may have.
MAX_DOWNLOAD_BYTES = 500_000_000
REQUEST_TIMEOUT_SECONDS = 30
MAX_NAME_LENGTH = 120
MAX_TITLE_LENGTH = 80
MAX_ERROR_LENGTH = 200
INVALID_NAME = Message("“{dataset}” is not the name of a data set on the hub.")
DOWNLOAD_FAILED = Message("The hub broke off while “{hub}” was fetched: {error}")
ACCESS_DENIED = Message("The hub does not hand out “{hub}”: {why}.")
TERMS_NOT_ACCEPTED = Message("its terms must be accepted first")
MISSING_OR_PRIVATE = Message("it is not there, or it is private")
HUB_UNREACHABLE = Message("The hub does not answer from here, so “{hub}” cannot be fetched.")
NO_TABLES = Message("“{hub}” offers no table that can be read without running a script of its own.")
FIRST_FILE_TOO_LARGE = Message("The first file of “{hub}” has {size:,.0f} MB; the limit is {limit:,.0f} MB.")


class CombinedFile(NamedTuple):
    """The file that a data set's files became.

    Attributes:
        path: Where it lies.
        suffix: How its name ends: what of the data set it is, and the extension.
    """

    path: Path
    suffix: str


def fetch(dataset: str, folder: Path, on_progress: ProgressCallback = no_progress) -> Path:
    """Fetch the rows of a hub data set into one file.

    Args:
        dataset: `owner/name` or the address of its page; after a colon the configuration or the split, or
            both. Where no split is named, the training split is fetched.
        folder: Where the file is written. Where only a part of the rows fits into a data set, the file's name
            tells how many.
        on_progress: Receives how many megabytes have arrived, and how many are expected.

    Raises:
        BadData: There is no such data set, or it cannot be fetched; with what to do instead.
        OutOfDiskSpace: The disk has no space for it.
    """
    match = DATASET_ID.fullmatch(DATASET_PAGE.sub("", dataset.strip()).rstrip("/"))
    if not match:
        raise _invalid_name(dataset)
    repo, wanted = match[1], match[2].split(":")
    is_reachable = False
    try:
        revision, part = _select_part(repo, wanted)
        is_reachable = True
        return _download_part(repo, revision, part, folder, on_progress)
    except GatedRepoError:
        raise _access_denied(repo, TERMS_NOT_ACCEPTED) from None
    except RepositoryNotFoundError:
        raise _access_denied(repo, MISSING_OR_PRIVATE) from None
    except HFValidationError:
        raise _invalid_name(dataset) from None
    except HfHubHTTPError as error:
        raise _download_failed(repo, error) from None
    except (HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if is_reachable:
            raise _download_failed(repo, error) from None
        raise BadData(
            HUB_UNREACHABLE,
            Message("Connect this machine, or download the file elsewhere and drop it here."),
            hub=repo,
        ) from None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None):  # of this machine's disk
            raise
        raise _download_failed(repo, error) from None


def _download_part(
    repo: str, revision: str, part: DatasetPart, folder: Path, on_progress: ProgressCallback
) -> Path:
    """Download the files of a part, as many as a data set may hold, and make one file of them in `folder`."""
    files = _files_within_limit(part, repo)
    total_bytes = sum(files.values())
    require_disk_space(folder, 2 * total_bytes)  # the files, and the one that is made of them
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temp_name:
        temp_folder = Path(temp_name)
        with download_progress(temp_folder, total_bytes, on_progress):
            paths = [_download_file(repo, file, revision, temp_folder) for file in files]
        title = repo.split("/")[1] + (f" ({part.name})" if part.name else "")
        combined = _combine_files(paths, part, title, temp_folder)
        target = folder / (re.sub(r"[^\w .()-]+", "-", title)[:MAX_TITLE_LENGTH] + combined.suffix)
        shutil.move(combined.path, target)
    return target


def _select_part(repo: str, wanted: list[str]) -> tuple[str, DatasetPart]:
    """The revision where the rows are, and one part of the data set.

    Args:
        repo: The data set, as owner/name.
        wanted: The configuration or the split, or both; empty words are ignored.
    """
    try:
        parts = hub_files.converted_parts(_file_sizes(repo, CONVERTED_REVISION))
    except RevisionNotFoundError:
        parts = []
    if parts:
        return CONVERTED_REVISION, hub_files.choose_part(parts, wanted, repo)
    parts = hub_files.repo_parts(_file_sizes(repo, constants.DEFAULT_REVISION))
    if not parts:
        raise BadData(
            NO_TABLES,
            Message("Choose a data set with Parquet, CSV or JSON files."),
            hub=repo,
        )
    return constants.DEFAULT_REVISION, hub_files.choose_part(parts, wanted, repo)


def _file_sizes(repo: str, revision: str) -> dict[str, int]:
    """The files of a revision and their sizes in bytes, without those that tell none."""
    info = HfApi(endpoint=constants.ENDPOINT, token=credentials.hub_token() or None).dataset_info(
        repo, revision=revision, files_metadata=True, timeout=REQUEST_TIMEOUT_SECONDS
    )
    return {file.rfilename: file.size for file in info.siblings or [] if file.size}


def _download_file(repo: str, file: str, revision: str, folder: Path) -> Path:
    path = hf_hub_download(
        repo,
        file,
        repo_type="dataset",
        revision=revision,
        local_dir=folder,
        endpoint=constants.ENDPOINT,
        token=credentials.hub_token() or None,
    )
    return Path(path)


def _files_within_limit(part: DatasetPart, repo: str) -> dict[str, int]:
    """The first files of a part that are not too large to fetch, with their sizes in bytes."""
    first_file, first_size = next(iter(part.files.items()))
    max_bytes = MAX_DOWNLOAD_BYTES if first_file.endswith(".parquet") else rows.MAX_BYTES
    if first_size > max_bytes:
        raise BadData(
            FIRST_FILE_TOO_LARGE,
            Message("Choose another part after a colon ({split}:…), or a smaller data set."),
            hub=repo,
            size=first_size / 1e6,
            limit=max_bytes / 1e6,
            split=repo,
        )
    files: dict[str, int] = {}
    total_bytes = 0
    for file, size in part.files.items():
        if files and total_bytes + size > rows.MAX_BYTES:
            break
        files[file] = size
        total_bytes += size
    return files


def _combine_files(paths: list[Path], part: DatasetPart, title: str, temp_folder: Path) -> CombinedFile:
    """Make one file of those that were fetched."""
    extension = paths[0].suffix.lower()
    is_complete = part.is_complete and len(paths) == len(part.files)
    combined = temp_folder / "joined"
    if extension == ".parquet":
        row_count, source_row_count = sandbox.merge_parquet(paths, combined, title)
        has_all_rows = is_complete and row_count == source_row_count
        return CombinedFile(combined, extension if has_all_rows else f" first {row_count} rows{extension}")
    if len(paths) == 1:
        suffix = extension if is_complete else f" first of {len(part.files)} files{extension}"
        return CombinedFile(paths[0], suffix)
    with zipfile.ZipFile(combined, "w") as zip_file:
        for path in paths:
            zip_file.write(path, path.relative_to(temp_folder).as_posix().replace("/", "-"))
    suffix = ".zip" if is_complete else f" first {len(paths)} of {len(part.files)} files.zip"
    return CombinedFile(combined, suffix)


def _invalid_name(dataset: str) -> BadData:
    return BadData(
        INVALID_NAME,
        Message("Type it as owner/name, such as tatsu-lab/alpaca; a part of it may follow after a colon."),
        dataset=dataset.strip()[:MAX_NAME_LENGTH],
    )


def _download_failed(repo: str, error: Exception) -> BadData:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return BadData(
        DOWNLOAD_FAILED,
        Message("Try again in a while."),
        hub=repo,
        error=(lines[0] if lines else type(error).__name__)[:MAX_ERROR_LENGTH],
    )


def _access_denied(repo: str, reason: Message) -> BadData:
    return BadData(
        ACCESS_DENIED,
        Message(
            "Check the spelling, or accept the terms on its page and type a token of that account under “Your"
            " own machines” on the Method tab (or log in with `hf auth login`)."
        ),
        hub=repo,
        why=reason,
    )
