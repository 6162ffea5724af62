"""Pushes a run to the hub: its result in one form, or the data that it learned from; private unless said."""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from huggingface_hub import CommitOperationDelete

from studio import export, processes, runs
from studio.errors import NotPossible, StudioError
from studio.export import registry
from studio.hub import dataset_folder
from studio.hub.account import Account
from studio.hub.refusals import HubRefused, explained
from studio.i18n import SENTENCE_SEPARATOR, Message, join_messages, label
from studio.runs import Run
from studio.storage import ProgressCallback, home, no_progress, read_json, write_json, write_text

RepoType = Literal["model", "dataset", "space"]
# The data of a run beside the forms of its result.
DATA_FORM = "data"
DATA_LABEL = label("Data: the rows that the run learned from and was tested on")
# Larger files are uploaded one by one, each in a commit of its own, so that an upload goes on behind them.
LARGE_FILE_BYTES = 10_000_000
KEEP_SECONDS = 7 * 86_400
COMMIT_TITLE = "Upload from the training studio"
# What the studio uploads of a model and of rows: a library takes what it finds. GGUF files stand alone.
MODEL_FILES = re.compile(
    r"(result/)?(adapter_config\.json|adapter_model\.safetensors|config\.json|generation_config\.json"
    r"|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?)"
)
ROW_FILES = re.compile(r"(train|validation|test)\.jsonl")
PRIVATE, PUBLIC = Message("Private: only you see it."), Message("Public: everyone can see and download it.")
PRIVATE_TO_TEAM = Message("Private: you and the members of {team} see it.")
CONSENT = Message(
    "{content}. {count} {count:file|files}, {size}, to {address}. {visibility} A model or rows that the "
    "studio put there before are replaced."
)
DATA_LEAVES = Message("These are your rows as they are, personal data among them.")
IS_PUBLIC = Message("“{repo}” is there already, and public.")
IS_PUBLIC_TO_DO = Message("Choose another name, or make it private on its page first.")
NOT_WRITTEN = Message("The result could not be written: {why}")
TRY_AGAIN = Message("Try again.")
# In an exported folder: the plan, and what came of checking the export.
PLAN_FILE, CHECK_FILE = "plan.yaml", "export.json"
UNKNOWN_FORM = Message("This run cannot be uploaded as “{form}”.")
OFFERED_FORMS = Message("Available: {offered}.")


@dataclass(frozen=True)
class Upload:
    """A folder that is ready to go to the hub.

    Attributes:
        folder: What is uploaded.
        content: What that is, for people.
        repo: Where to, as `owner/name`.
        repo_type: What kind of repository that is.
        is_private: Whether nobody else may see it; a new repository is made so, and a public one is refused.
        warning: What else to know before it is uploaded.
        sdk: Of a Space, what runs it: "gradio" or "static".
        hardware: Of a Space, what it runs on; "" for none.
    """

    folder: Path
    content: Message
    repo: str
    repo_type: RepoType = "model"
    is_private: bool = True
    warning: Message | None = None
    sdk: str = ""
    hardware: str = ""

    @property
    def files(self) -> list[Path]:
        """Its files, the smallest first."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(paths, key=lambda path: (path.stat().st_size, path.name))

    @property
    def size_bytes(self) -> int:
        """How large they are together."""
        return sum(path.stat().st_size for path in self.files)

    def consent(self, account: Account) -> Message:
        """What is uploaded, where to, how large it is, and who will see it."""
        return CONSENT.format(
            content=self.content,
            count=len(self.files),
            size=format_size(self.size_bytes),
            address=repo_address(account, self.repo, self.repo_type),
            visibility=self._describe_visibility(account),
        )

    def _describe_visibility(self, account: Account) -> Message:
        team = self.repo.partition("/")[0]
        if not self.is_private:
            return PUBLIC
        return PRIVATE if team == account.name else PRIVATE_TO_TEAM.format(team=team)


def format_size(n_bytes: int) -> str:
    """A size in kB or MB."""
    return f"{n_bytes / 1e3:,.0f} kB" if n_bytes < 1e6 else f"{n_bytes / 1e6:,.1f} MB"


def repo_address(account: Account, repo: str, repo_type: RepoType) -> str:
    """The address of a repository's page."""
    folder = "" if repo_type == "model" else f"{repo_type}s/"
    return f"{account.api.endpoint}/{folder}{repo}"


def available_forms(run: Run) -> tuple[str, ...]:
    """What of a run can be uploaded: the forms of its result, and its data."""
    return (*export.available_formats(run), DATA_FORM)


def form_label(form: str) -> Message:
    """What a form is called on the page."""
    return DATA_LABEL if form == DATA_FORM else registry.get(form).label


def prepare(run: Run, form: str, repo: str, account: Account, language: str = "en") -> Upload:
    """Write what is to be uploaded into a folder, once for each state of the result.

    Args:
        run: The run; it has a result.
        form: One of `available_forms(run)`.
        repo: Where it is to go: a name, or `owner/name`.
        account: Whose repository it will be.
        language: The language of the card.

    Raises:
        HubRefused: The name cannot be one on the hub.
        NotPossible: The run cannot be uploaded in this form.
        StudioError: The folder could not be written.
    """
    if form not in available_forms(run):
        raise NotPossible(UNKNOWN_FORM, OFFERED_FORMS, form=form, offered=available_forms(run))
    full_name = account.full_name(repo)
    folder = uploads_folder(run) / f"{form}-{language}"
    if form == DATA_FORM:
        write_once(run, folder, lambda draft: dataset_folder.write(run, draft))
    else:
        write_once(run, folder, lambda draft: export_result(run, form, draft, language))
    if form == DATA_FORM:
        return Upload(folder, form_label(form), full_name, "dataset", warning=DATA_LEAVES)
    return Upload(folder, form_label(form), full_name, warning=check_warning(folder, form))


def write_once(run: Run, folder: Path, write: Callable[[Path], object]) -> None:
    """Fill a folder with what is uploaded, unless it holds the present result already.

    It is written under another name first: what breaks off halfway is never taken for all of it.

    Args:
        run: The run whose result it is; it may have gone on since.
        folder: Where it is wanted.
        write: Writes it into a folder that is not there yet.
    """
    if folder.is_dir() and folder.stat().st_mtime_ns > runs.result_version(run):
        return
    draft = folder.with_name(f".{folder.name}")
    for path in (draft, folder):
        shutil.rmtree(path, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    write(draft)
    draft.rename(folder)


def check_warning(folder: Path, form: str) -> Message | None:
    """What the check of an exported folder warns of, such as a lower score; None where of nothing."""
    checked = export.read_check(folder)
    warnings = checked.sentences(bool(registry.get(form).precisions))[1] if checked else []
    return join_messages(warnings, SENTENCE_SEPARATOR) if warnings else None


def uploads_folder(run: Run) -> Path:
    """Where a run's uploads wait until they have arrived; the page hands out nothing of it."""
    return home() / "uploads" / run.id


def export_result(run: Run, form: str, folder: Path, language: str) -> None:
    """Write a run's result into a new folder, in a child process: torch stays out of this one.

    Raises:
        StudioError: It could not be written; with the last line of its reason.
    """
    arguments = ("export", run.id, "--to", form, str(folder), "--language", language)
    completed = processes.run_module("studio", *arguments, options=processes.WORKER)
    if completed.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        reason = completed.stderr.strip().splitlines()[-1:] or ["?"]
        raise StudioError(NOT_WRITTEN, TRY_AGAIN, why=reason[0])
    remove_private(folder)


def remove_private(folder: Path) -> None:
    """Take out of an export what is nobody else's business.

    That is where a model or a file lies on this machine, of which the name is left, and the few held-out rows
    with which the check of an export shows what it compared.
    """
    plan = yaml.safe_load((folder / PLAN_FILE).read_text(encoding="utf-8"))
    plan["model"] = _last_name(plan["model"])
    sources = {key: plan["data"].get(key) for key in ("source", "test")}
    plan["data"] |= {key: _last_name(source) for key, source in sources.items() if source}
    write_text(folder / PLAN_FILE, yaml.safe_dump(plan, sort_keys=False, allow_unicode=True))
    check = read_json(folder / CHECK_FILE)
    if check.get("replay"):
        check["replay"]["samples"] = []
        write_json(folder / CHECK_FILE, check)


def _last_name(name: str) -> str:
    return Path(name).name if Path(name).is_absolute() else name


def upload(prepared: Upload, account: Account, on_progress: ProgressCallback = no_progress) -> str:
    """Upload a folder; called again after an interruption, it goes on behind what has arrived.

    Args:
        prepared: The folder, and where it goes.
        account: With whose token.
        on_progress: Called with the megabytes that have arrived, and all.

    Returns:
        The address of the repository.

    Raises:
        HubRefused: The hub refuses it or breaks off, or the repository is there already and public.
    """
    total_mb = prepared.size_bytes / 1e6
    on_progress(0.0, total_mb)
    create(prepared, account)
    if prepared.is_private:
        require_private(prepared, account)
    earlier_files = list_files(prepared, account)
    done_bytes = 0
    for batch in _batches(prepared.files):
        send_files(prepared, batch, account)
        done_bytes += sum(path.stat().st_size for path in batch)
        on_progress(done_bytes / 1e6, total_mb)
    remove_replaced(prepared, earlier_files, account)
    return repo_address(account, prepared.repo, prepared.repo_type)


def create(prepared: Upload, account: Account) -> None:
    """Make the repository, if it is not there; raises HubRefused."""
    with explained(prepared.repo, is_space=prepared.repo_type == "space"):
        account.api.create_repo(
            prepared.repo,
            private=prepared.is_private,
            repo_type=prepared.repo_type,
            exist_ok=True,
            space_sdk=prepared.sdk or None,
            space_hardware=prepared.hardware or None,
        )


def require_private(prepared: Upload, account: Account) -> None:
    """Refuse a repository that was there before and that everyone can see; raises HubRefused."""
    with explained(prepared.repo):
        info = account.api.repo_info(prepared.repo, repo_type=prepared.repo_type)
    if not info.private:
        raise HubRefused(IS_PUBLIC, IS_PUBLIC_TO_DO, repo=prepared.repo)


def list_files(prepared: Upload, account: Account) -> list[str]:
    """The files that lie in the repository by now; raises HubRefused."""
    with explained(prepared.repo):
        info = account.api.repo_info(prepared.repo, repo_type=prepared.repo_type)
    return [file.rfilename for file in info.siblings or []]


def remove_replaced(prepared: Upload, earlier_files: Sequence[str], account: Account) -> None:
    """Remove what an earlier upload has left of the same kind: a library would read it beside the new files.

    An adapter, say, is loaded wherever there is an `adapter_config.json`, whatever model lies beside it.
    """
    names = {path.relative_to(prepared.folder).as_posix() for path in prepared.files}
    kinds = [kind for kind in (MODEL_FILES, ROW_FILES) if any(map(kind.fullmatch, names))]
    earlier = [name for name in earlier_files if any(kind.fullmatch(name) for kind in kinds)]
    replaced = [name for name in earlier if name not in names]
    if not replaced:
        return
    with explained(prepared.repo):
        account.api.create_commit(
            prepared.repo,
            [CommitOperationDelete(name) for name in replaced],
            repo_type=prepared.repo_type,
            commit_message=COMMIT_TITLE,
        )


def send_files(prepared: Upload, files: Sequence[Path], account: Account) -> None:
    """Upload some of a folder's files in one commit; those that have arrived before cost nothing."""
    with explained(prepared.repo):
        account.api.upload_folder(
            repo_id=prepared.repo,
            repo_type=prepared.repo_type,
            folder_path=prepared.folder,
            allow_patterns=[path.relative_to(prepared.folder).as_posix() for path in files],
            commit_message=COMMIT_TITLE,
        )


def _batches(files: Sequence[Path]) -> list[list[Path]]:
    """All small files together, and each large one alone."""
    small = [path for path in files if path.stat().st_size < LARGE_FILE_BYTES]
    large = [[path] for path in files if path.stat().st_size >= LARGE_FILE_BYTES]
    return [small, *large] if small else large


def remove_stale() -> None:
    """Remove what was prepared and then not uploaded for a week."""
    oldest = time.time() - KEEP_SECONDS
    for folder in (home() / "uploads").glob("*/*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def forget(prepared: Upload) -> None:
    """Remove what waited for its upload."""
    shutil.rmtree(prepared.folder, ignore_errors=True)
