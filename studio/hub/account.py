"""Whose token it is, and what it may do. A token is used where it is given, and kept nowhere."""

from dataclasses import dataclass, field

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError, HTTPError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from studio.hub.refusals import MAKE_TOKEN, WRONG_TOKEN, HubRefused, explained
from studio.i18n import Message

NO_TOKEN = Message("To upload, the hub wants a token of your account.")
READ_ONLY = Message("The token of “{name}” can read, but not write.")
HUB_NAME = "huggingface.co"


@dataclass(frozen=True)
class Account:
    """A person on the hub.

    Attributes:
        name: The name of the account.
        api: The hub's client, which holds the token.
    """

    name: str
    api: HfApi = field(repr=False)

    def full_name(self, repo: str) -> str:
        """`owner/name` of a repository; without an owner it is this account's.

        Raises:
            HubRefused: It cannot be a name on the hub.
        """
        name = repo.strip()
        with explained(name):
            validate_repo_id(name)
        return name if "/" in name else f"{self.name}/{name}"


def sign_in(token: str, may_only_read: bool = False) -> Account:
    """Ask the hub whose token it is.

    Args:
        token: The token; it is sent to the hub and written nowhere.
        may_only_read: Whether one that cannot write will do.

    Raises:
        HubRefused: There is none, the hub does not know it, it cannot write, or the hub does not answer.
    """
    token = token.strip()
    if not token:
        raise HubRefused(NO_TOKEN, MAKE_TOKEN)
    if not token.isascii() or any(char.isspace() for char in token):  # no header can carry it
        raise HubRefused(WRONG_TOKEN, MAKE_TOKEN)
    api = HfApi(endpoint=constants.ENDPOINT, token=token)
    with explained(HUB_NAME):
        answer = api.whoami()
    name = str(answer["name"])
    if not may_only_read and answer.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubRefused(READ_ONLY, MAKE_TOKEN, name=name)
    return Account(name, api)


def is_visible_to_all(repo: str, repo_type: str) -> bool:
    """Whether everyone sees a repository, by asking the hub as nobody; taken to be so where it does not say.

    Args:
        repo: `owner/name`.
        repo_type: "model", "dataset" or "space".
    """
    try:
        HfApi(endpoint=constants.ENDPOINT, token=False).repo_info(repo, repo_type=repo_type, timeout=10)
    except RepositoryNotFoundError:
        return False
    except (HTTPError, OSError, HFValidationError):
        return True
    return True
