"""A blind vote in a run's folder: two contestants, the questions with both answers, and the votes given."""

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from studio import runs
from studio.errors import NotPossible, StudioError
from studio.i18n import Message
from studio.runs import Run
from studio.storage import read_json, write_json, write_text

# What a vote says: the first contestant's answer is better, the second's, both alike, or neither is good.
Choice = Literal["first", "second", "tie", "bad"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
# A vote's token and a voter's id: 32 hexadecimal digits of the system's random numbers, so not to be guessed.
TOKEN = re.compile(r"[0-9a-f]{32}")
FOLDER, VOTE_FILE, ANSWERS_FILE, VOTES_FILE = "votes", "vote.json", "answers.jsonl", "votes.jsonl"
# A vote takes no more than this, whoever has its link.
MAX_VOTERS, MAX_STORED_VOTES = 500, 50_000
MAX_PASSCODE_CHARS = 100
RELOAD = Message("Reload the page and vote again.")
# Cost of scrypt (RFC 7914): about 10 ms, since each request of a voter is checked.
SCRYPT_COST: dict[str, int] = {"n": 2**12, "r": 8, "p": 1}
# Appends of one process go one after the other, also where the system does not append atomically.
_APPENDING = threading.Lock()


class Contestant(NamedTuple):
    """Who answers: the base or the tuned model of a run (`side`)."""

    run_id: str
    side: str


class BallotQuestion(NamedTuple):
    """A question, and the answer of each contestant.

    Attributes:
        messages: The conversation up to the answer, as `role` and `content`.
        answers: Those of the first and the second contestant.
    """

    messages: list[dict[str, str]]
    answers: tuple[str, str]

    @property
    def prompt(self) -> str:
        """The conversation as one text: of a single question that alone, else a paragraph a message."""
        return "\n\n".join(message["content"] for message in self.messages)


class CastVote(NamedTuple):
    """One line of the votes: who said what of which question (its number), and when (seconds since 1970)."""

    voter: str
    question: int
    choice: Choice
    time: float


@dataclass(frozen=True)
class BlindVote:
    """A vote; everything it needs stands in its folder.

    Attributes:
        token: Its name, which is also the secret part of its link.
        folder: `votes/<token>` in the folder of the run whose held-out questions are asked.
        contestants: The first and the second.
        created: When it was made (seconds since 1970).
        seed: From which each voter's order and sides are drawn; no voter gets to know it.
        n_alike: Questions left out because both gave the same answer.
        passcode: `salt` and `digest` of the passcode; empty for none.
    """

    token: str
    folder: Path
    contestants: tuple[Contestant, Contestant]
    created: float
    seed: str
    n_alike: int
    passcode: dict[str, str]

    @property
    def run_id(self) -> str:
        """The run in whose folder it is."""
        return self.folder.parent.parent.name

    def questions(self) -> list[BallotQuestion]:
        """The questions, by their number."""
        lines = (self.folder / ANSWERS_FILE).read_bytes().splitlines()
        rows = [json.loads(line) for line in lines]
        return [BallotQuestion(row["messages"], tuple(row["answers"])) for row in rows]

    def is_passcode(self, passcode: str) -> bool:
        """Whether this is the passcode; any is where there is none."""
        if not self.passcode:
            return True
        salt = bytes.fromhex(self.passcode["salt"])
        return hmac.compare_digest(_digest(passcode, salt), self.passcode["digest"])


def create(
    run: Run,
    contestants: tuple[Contestant, Contestant],
    questions: Sequence[BallotQuestion],
    passcode: str = "",
) -> BlindVote:
    """Store a new vote in a run's folder; questions with two equal answers are left out.

    Raises:
        NotPossible: Both contestants answer every question alike.
    """
    differing = [question for question in questions if question.answers[0] != question.answers[1]]
    if not differing:
        raise NotPossible(
            Message(
                "Both models gave the same answer to all {count} questions, so there is nothing to vote on."
            ),
            Message("Train longer or with a higher learning rate, or choose another run."),
            count=len(questions),
        )
    token = secrets.token_hex(16)
    root = run.folder / FOLDER
    root.mkdir(mode=0o700, exist_ok=True)
    draft = root / f".new-{token}"
    draft.mkdir(mode=0o700)
    lines = [json.dumps(question._asdict(), ensure_ascii=False) for question in differing]
    write_text(draft / ANSWERS_FILE, "\n".join(lines) + "\n")
    (draft / VOTES_FILE).touch()
    values = {
        "contestants": [contestant._asdict() for contestant in contestants],
        "created": time.time(),
        "seed": secrets.token_hex(16),
        "n_alike": len(questions) - len(differing),
        "passcode": _protect(passcode),
    }
    write_json(draft / VOTE_FILE, values)
    draft.rename(root / token)
    return _read(root / token)


def find(token: str) -> BlindVote:
    """The vote with this token; raises NotPossible where there is none."""
    if TOKEN.fullmatch(token):
        for folder in runs.folder().glob(f"*/{FOLDER}/{token}"):
            return _read(folder)
    raise NotPossible(Message("This vote does not exist."), Message("Ask for a new link."))


def list_votes(run: Run) -> list[BlindVote]:
    """The votes in a run's folder, the newest first."""
    folders = [path for path in (run.folder / FOLDER).glob("*") if TOKEN.fullmatch(path.name)]
    return sorted(map(_read, folders), key=lambda vote: -vote.created)


def cast(vote: BlindVote, voter: str, question: int, choice: Choice) -> None:
    """Append a vote in a single write; of several by one voter on one question the last counts.

    Raises:
        NotPossible: The question, the choice or the voter is none, or the vote takes no more.
    """
    if choice not in CHOICES or not TOKEN.fullmatch(voter) or not 0 <= question < len(vote.questions()):
        raise NotPossible(Message("This vote does not match a question on this list."), RELOAD)
    stored = read_votes(vote)
    voters = {stored_vote.voter for stored_vote in stored}
    if len(stored) >= MAX_STORED_VOTES or (voter not in voters and len(voters) >= MAX_VOTERS):
        raise NotPossible(
            Message("This vote is full: {count} people took part."),
            Message("You can still look at the results."),
            count=len(voters),
        )
    line = json.dumps(CastVote(voter, question, choice, round(time.time(), 3))._asdict())
    with _APPENDING, (vote.folder / VOTES_FILE).open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")


def read_votes(vote: BlindVote) -> list[CastVote]:
    """Every line of the votes in the order they came; one that is being written is left out."""
    content = (vote.folder / VOTES_FILE).read_bytes()
    complete_lines = content[: content.rfind(b"\n") + 1].splitlines()
    return [CastVote(**json.loads(line)) for line in complete_lines]


def latest_votes(votes: Iterable[CastVote]) -> list[CastVote]:
    """The last vote of each voter on each question, in the order of these last votes."""
    latest: dict[tuple[str, int], CastVote] = {}
    for vote in votes:
        latest.pop((vote.voter, vote.question), None)
        latest[vote.voter, vote.question] = vote
    return list(latest.values())


def _read(folder: Path) -> BlindVote:
    raw = read_json(folder / VOTE_FILE)
    try:
        first, second = (Contestant(**contestant) for contestant in raw["contestants"])
        return BlindVote(
            folder.name,
            folder,
            (first, second),
            float(raw["created"]),
            str(raw["seed"]),
            int(raw["n_alike"]),
            dict(raw["passcode"]),
        )
    except (KeyError, TypeError, ValueError):
        raise StudioError(
            Message("The file of this vote cannot be read: {file}."),
            Message("Prepare a new vote."),
            file=folder / VOTE_FILE,
        ) from None


def _protect(passcode: str) -> Mapping[str, str]:
    """What is stored of a passcode."""
    if not passcode:
        return {}
    salt = secrets.token_bytes(16)
    return {"salt": salt.hex(), "digest": _digest(passcode, salt)}


def _digest(passcode: str, salt: bytes) -> str:
    return hashlib.scrypt(passcode[:MAX_PASSCODE_CHARS].encode(), salt=salt, **SCRYPT_COST).hex()
