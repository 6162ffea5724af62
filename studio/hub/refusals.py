"""What the hub refuses, in sentences: a wrong token, missing rights, terms, payment, and no network."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
)

from studio.errors import StudioError
from studio.i18n import Message

MAX_ERROR_CHARS = 200
TOKEN_PAGE = "https://huggingface.co/settings/tokens"  # noqa: S105 - an address
PRICING_PAGE = "https://huggingface.co/pricing"
MAKE_TOKEN = Message("Make one with write access at {page}.").format(page=TOKEN_PAGE)
KEPT = Message("Try again: what has arrived is kept.")
WRONG_TOKEN = Message("The hub does not know this token.")
NO_RIGHTS = Message("This token may not write to “{repo}”.")
NO_RIGHTS_TO_DO = Message("Give the token write access there ({page}), or choose a name of your account.")
NOT_ACCEPTED = Message("The hub hands out “{repo}” only to those who accepted its terms.")
NOT_ACCEPTED_TO_DO = Message("Accept them on its page, with the account of this token, and try again.")
NOT_PAID = Message("The hub wants a payment for “{repo}”: {reason}")
NOT_PAID_TO_DO = Message("See what your plan includes at {page}, or delete what you no longer need.")
SPACE_NOT_FREE = Message("The hub makes no such Space for “{repo}” without a paid plan: {reason}")
FREE_SPACES = Message(
    "Free are two ZeroGPU Spaces, if your account is older than 30 days and its e-mail address is confirmed, "
    "and any number of static Spaces: studio publish RUN NAME --as static."
)
NO_SUCH_PLACE = Message("The hub has no place “{repo}” that this token can see.")
CHECK_SPELLING = Message("Check the spelling, and whether the token belongs to that account.")
TOO_MANY = Message("The hub has had too many requests from you.")
WAIT = Message("Wait a few minutes, then try again: what has arrived is kept.")
BAD_NAME = Message("“{repo}” cannot be a name on the hub.")
BAD_NAME_TO_DO = Message("Use letters, digits, - _ and ., such as my-model or my-team/my-model.")
NO_NETWORK = Message("The hub does not answer from here.")
CONNECT = Message("Connect this machine, and try again: what has arrived is kept.")
BROKE_OFF = Message("The hub broke off at “{repo}”: {reason}")


class HubRefused(StudioError):
    """The hub did not do what it was asked."""


class HubBusy(HubRefused):
    """The hub does not answer now, or is overloaded: the same question may be answered in a while."""


@contextmanager
def explained(repo: str, is_space: bool = False) -> Iterator[None]:
    """Turn what the hub's client raises within the block into HubRefused.

    Args:
        repo: What is asked of the hub, as a person names it.
        is_space: Whether that is a Space, of which some are free and some are not.
    """
    try:
        yield
    except HFValidationError:
        raise HubRefused(BAD_NAME, BAD_NAME_TO_DO, repo=repo[:MAX_ERROR_CHARS]) from None
    except HfHubHTTPError as error:
        raise explain_response(error, repo, is_space) from None
    except (OfflineModeIsEnabled, HTTPError, ConnectionError, TimeoutError):
        raise HubBusy(NO_NETWORK, CONNECT) from None


def explain_response(error: HfHubHTTPError, repo: str, is_space: bool = False) -> HubRefused:
    """What a refusal of the hub's server means, and what to do."""
    reason = (error.server_message or next(iter(str(error).splitlines()), "")).strip()[:MAX_ERROR_CHARS]
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return HubRefused(NOT_ACCEPTED, NOT_ACCEPTED_TO_DO, repo=repo)
    if status == 401:
        return HubRefused(WRONG_TOKEN, MAKE_TOKEN)
    if status == 402 and is_space:
        return HubRefused(SPACE_NOT_FREE, FREE_SPACES, repo=repo, reason=reason)
    if status == 402:
        return HubRefused(NOT_PAID, NOT_PAID_TO_DO, repo=repo, reason=reason, page=PRICING_PAGE)
    if status == 403:
        return HubRefused(NO_RIGHTS, NO_RIGHTS_TO_DO, repo=repo, page=TOKEN_PAGE)
    if status == 404:
        return HubRefused(NO_SUCH_PLACE, CHECK_SPELLING, repo=repo)
    if status == 429:
        return HubBusy(TOO_MANY, WAIT)
    kind = HubBusy if status >= 500 else HubRefused
    return kind(BROKE_OFF, KEPT, repo=repo, reason=reason or str(status))
