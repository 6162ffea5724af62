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

from studio.data import apart, hub_files, rows
from studio.data.hub_files import Part
from studio.errors import BadData
from studio.home import Progress, arriving, check_room
from studio.words import Words

# The id of a model, and up to two words for the part that is meant.
ID = re.compile(r"([\w.-]{1,96}/[\w.-]{1,96})((?::[^:/]{1,96}){0,2})")
PAGE = re.compile(r"https?://[^/]+/datasets/")
CONVERTED = "refs/convert/parquet"
MAX_DOWNLOAD = 500_000_000  # bytes of a first Parquet file, of which as many rows are kept as a data set may have


def fetch(dataset: str, folder: Path, tell: Progress = lambda done, of: None) -> Path:
    """One file in `folder` with the rows of a hub data set: `owner/name`, and after a colon the configuration or split that is meant.

    The training part is taken where none is named. Where only a part fits into what a data set may hold, the file's name says how
    much. `tell` is told megabytes. Raises BadData with what to do instead, or OutOfRoom.
    """
    found = ID.fullmatch(PAGE.sub("", dataset.strip()).rstrip("/"))
    if not found:
        raise _unknown(dataset)
    repo, wanted = found[1], found[2].split(":")
    reached = False
    try:
        revision, part = _part(repo, wanted)
        reached = True
        files, whole = _fitting(part, repo)
        check_room(folder, 2 * sum(files.values()))
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as draft:
            with _quietly(), arriving(Path(draft), sum(files.values()), tell):
                paths = [_file(repo, file, revision, draft) for file in files]
            return _finish(paths, repo, part, whole and part.whole, folder, Path(draft))
    except GatedRepoError:
        raise _kept_back(repo, Words("its terms must be accepted first", "要先接受它的使用条款")) from None
    except RepositoryNotFoundError:
        raise _kept_back(repo, Words("it is not there, or it is private", "不存在或为私有")) from None
    except HFValidationError:
        raise _unknown(dataset) from None
    except HfHubHTTPError as error:
        raise _broke_off(repo, error) from None
    except (HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if reached:
            raise _broke_off(repo, error) from None
        raise BadData(
            Words("The hub does not answer from here, so “{hub}” cannot be fetched.", "此处无法访问 Hub，因此无法获取“{hub}”。"),
            Words(
                "Connect this machine, or download the file elsewhere and drop it here.",
                "请让这台机器联网，或在别处下载文件，再上传到这里。",
            ),
            hub=repo,
        ) from None
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None):  # of this machine's disk
            raise
        raise _broke_off(repo, error) from None


def _part(repo: str, wanted: list[str]) -> tuple[str, Part]:
    """Where the rows lie: the revision, and the files of one part of the data set."""
    try:
        parts = hub_files.converted(_sizes(repo, CONVERTED))
    except RevisionNotFoundError:
        parts = []
    if parts:
        return CONVERTED, hub_files.chosen(parts, wanted, repo)
    parts = hub_files.own(_sizes(repo, constants.DEFAULT_REVISION))
    if not parts:
        raise BadData(
            Words(
                "“{hub}” offers no table that can be read without running a script of its own.",
                "“{hub}”里没有可以直接读取的表格，要运行它自带的脚本才行。",
            ),
            Words("Choose a data set with Parquet, CSV or JSON files.", "请选择带有 Parquet、CSV 或 JSON 文件的数据集。"),
            hub=repo,
        )
    return constants.DEFAULT_REVISION, hub_files.chosen(parts, wanted, repo)


def _sizes(repo: str, revision: str) -> dict[str, int]:
    """The files of a revision that say how large they are, in bytes."""
    info = HfApi(endpoint=constants.ENDPOINT).dataset_info(repo, revision=revision, files_metadata=True, timeout=30)
    return {file.rfilename: file.size for file in info.siblings or [] if file.size}


def _file(repo: str, name: str, revision: str, folder: str) -> Path:
    return Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision, local_dir=folder, endpoint=constants.ENDPOINT))


def _fitting(part: Part, repo: str) -> tuple[dict[str, int], bool]:
    """The first files of a part that are not too large to fetch, and whether these are all."""
    first, size = next(iter(part.files.items()))
    most = MAX_DOWNLOAD if first.endswith(".parquet") else rows.MAX_BYTES
    if size > most:
        raise BadData(
            Words(
                "The first file of “{hub}” has {size:,.0f} MB; the limit is {limit:,.0f} MB.",
                "“{hub}”的第一个文件有 {size:,.0f} MB，上限为 {limit:,.0f} MB。",
            ),
            Words(
                "Choose another part after a colon ({split}:…), or a smaller data set.",
                "请在冒号后选择其他部分（{split}:…），或换一个较小的数据集。",
            ),
            hub=repo,
            size=size / 1e6,
            limit=most / 1e6,
            split=repo,
        )
    files: dict[str, int] = {}
    total = 0
    for name, size in part.files.items():
        if files and total + size > rows.MAX_BYTES:
            break
        files[name] = size
        total += size
    return files, len(files) == len(part.files)


def _finish(paths: list[Path], repo: str, part: Part, whole: bool, folder: Path, draft: Path) -> Path:
    """The fetched files as one, under a name that says what of the data set it is."""
    ending = paths[0].suffix.lower()
    called = repo.split("/")[1] + (f" ({part.name})" if part.name else "")
    if ending == ".parquet":
        made = draft / "joined"
        kept, total = apart.cut(paths, made, called)
        said = "" if whole and kept == total else f" first {kept} rows"
    elif len(paths) > 1:
        ending, made = ".zip", draft / "joined"
        with zipfile.ZipFile(made, "w") as packed:
            for path in paths:
                packed.write(path, path.relative_to(draft).as_posix().replace("/", "-"))
        said = "" if whole else f" first {len(paths)} of {len(part.files)} files"
    else:
        made = paths[0]
        said = "" if whole else f" first of {len(part.files)} files"
    target = folder / (re.sub(r"[^\w .()-]+", "-", called)[:80] + said + ending)
    shutil.move(made, target)
    return target


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the hub client's own bars."""
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


def _unknown(dataset: str) -> BadData:
    return BadData(
        Words("“{dataset}” is not the name of a data set on the hub.", "“{dataset}”不是 Hub 上数据集的名称。"),
        Words(
            "Type it as owner/name, such as tatsu-lab/alpaca; a part of it may follow after a colon.",
            "请按“所有者/名称”填写，如 tatsu-lab/alpaca；后面可用冒号写上其中一部分。",
        ),
        dataset=dataset.strip()[:120],
    )


def _broke_off(repo: str, error: Exception) -> BadData:
    return BadData(
        Words("The hub broke off while “{hub}” was fetched: {error}", "获取“{hub}”时 Hub 中断：{error}"),
        Words("Try again in a while.", "请稍后再试。"),
        hub=repo,
        error=next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200],
    )


def _kept_back(repo: str, why: Words) -> BadData:
    return BadData(
        Words("The hub does not hand out “{hub}”: {why}.", "Hub 不提供“{hub}”：{why}。"),
        Words(
            "Check the spelling, or accept the terms on its page and log in with `hf auth login`.",
            "请检查拼写，或在其页面接受条款后用 `hf auth login` 登录。",
        ),
        hub=repo,
        why=why,
    )
