"""A hub on this machine for the real client: accounts, repositories, commits, and the ways to be refused."""

import base64
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field

import stand_in_jobs
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

TOKEN, READ_TOKEN, OTHERS_TOKEN = "hf_a_token_that_writes", "hf_a_token_that_reads", "hf_of_somebody_else"
ACCOUNTS = {TOKEN: ("ada", "write"), READ_TOKEN: ("ada", "read"), OTHERS_TOKEN: ("bob", "write")}


@dataclass
class Repo:
    kind: str
    private: bool
    asked: dict
    files: dict[str, bytes] = field(default_factory=dict)
    # Of a repository with terms: the accounts that have accepted them.
    accepted: set[str] | None = None
    commits: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What the stand-in holds, and how it misbehaves.

    Args:
        refusals: what a request is answered with: (method, part of the path) -> (status, sentence, code).
        broken_commits: the numbers of commits that break off, counted from 1.
        anonymous: whether it answers who has no token.
        jobs: its jobs by their ids.
        holds_jobs: whether jobs wait for a machine.
        cut_logs: behind which lines a log breaks off, once each.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    refusals: dict[tuple[str, str], tuple[int, str, str]] = field(default_factory=dict)
    broken_commits: set[int] = field(default_factory=set)
    n_commits: int = 0
    anonymous: bool = False
    jobs: dict = field(default_factory=dict)
    holds_jobs: bool = False
    cut_logs: set[int] = field(default_factory=set)
    sent_tokens: list[str] = field(default_factory=list)
    asked_paths: list[str] = field(default_factory=list)
    address: str = ""

    def refuse(self, method, path_part, status, sentence="no", code=""):
        self.refusals[method, path_part] = (status, sentence, code)


def refused(status, sentence, code=""):
    headers = {"X-Error-Message": sentence, **({"X-Error-Code": code} if code else {})}
    return JSONResponse({"error": sentence}, status, headers=headers)


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def build_app(hub: Hub) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next):
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        hub.sent_tokens.append(token)
        hub.asked_paths.append(request.url.path)
        for (method, part), (status, sentence, code) in hub.refusals.items():
            if request.method == method and part in request.url.path:
                return refused(status, sentence, code)
        if not token and hub.anonymous:
            request.state.account = ("", "read")
            return await call_next(request)
        if token not in ACCOUNTS:
            return refused(401, "Invalid credentials in Authorization header")
        request.state.account = ACCOUNTS[token]
        return await call_next(request)

    stand_in_jobs.add_routes(app, hub)

    @app.get("/api/whoami-v2")
    async def whoami(request: Request):
        name, role = request.state.account
        return {"type": "user", "name": name, "auth": {"accessToken": {"displayName": "t", "role": role}}}

    @app.post("/api/validate-yaml")
    async def validate_yaml():
        return {"errors": [], "warnings": []}

    @app.post("/api/repos/create")
    async def create(request: Request):
        asked = await request.json()
        owner = asked.get("organization") or request.state.account[0]
        if owner != request.state.account[0]:
            return refused(403, "You don't have the rights to create a model under this namespace")
        kind = asked.get("type", "model")
        repo_id = f"{owner}/{asked['name']}"
        url = f"{hub.address}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        if repo_id in hub.repos:
            return JSONResponse({"error": "You already created this repo", "url": url}, 409)
        hub.repos[repo_id] = Repo(kind, asked.get("visibility") == "private", asked)
        return {"url": url}

    @app.get("/api/{kind}/{owner}/{name}")
    @app.get("/api/{kind}/{owner}/{name}/revision/{revision}")
    async def info(kind: str, owner: str, name: str, request: Request):
        repo = hub.repos.get(f"{owner}/{name}")
        if not repo or (repo.private and request.state.account[0] != owner):
            return refused(404, "Repository not found", "RepoNotFound")
        oid = hashlib.sha1(str(repo.commits).encode()).hexdigest()
        siblings = [{"rfilename": path, "size": len(content)} for path, content in repo.files.items()]
        return {
            "id": f"{owner}/{name}",
            "_id": "1",
            "sha": oid,
            "private": repo.private,
            "siblings": siblings,
        }

    @app.post("/api/{kind}/{owner}/{name}/preupload/{revision}")
    async def preupload(kind: str, owner: str, name: str, request: Request):
        repo = hub.repos[f"{owner}/{name}"]
        paths = [file["path"] for file in (await request.json())["files"]]
        oids = {path: git_oid(content) for path, content in repo.files.items()}
        files = [
            {"path": path, "uploadMode": "regular", "shouldIgnore": False, "oid": oids.get(path)}
            for path in paths
        ]
        return {"files": files}

    @app.post("/api/{kind}/{owner}/{name}/commit/{revision}")
    async def commit(kind: str, owner: str, name: str, request: Request):
        hub.n_commits += 1
        if hub.n_commits in hub.broken_commits:
            return refused(400, "It broke off")
        repo = hub.repos[f"{owner}/{name}"]
        for line in (await request.body()).splitlines():
            entry = json.loads(line)
            if entry["key"] == "header":
                repo.commits.append(entry["value"]["summary"])
            elif entry["key"] == "file":
                repo.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                repo.files.pop(entry["value"]["path"], None)
        oid = hashlib.sha1(str(repo.commits).encode()).hexdigest()
        return {"success": True, "commitOid": oid, "commitUrl": f"{hub.address}/{owner}/{name}/commit/{oid}"}

    return app


def start(hub: Hub) -> uvicorn.Server:
    """Serve the stand-in on a free port from a thread; its address is `hub.address`."""
    server = uvicorn.Server(uvicorn.Config(build_app(hub), host="127.0.0.1", port=0, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    hub.address = f"http://127.0.0.1:{port}"
    return server
