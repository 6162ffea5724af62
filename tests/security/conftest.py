"""One page that others can reach, with a password, for all attacks of this folder."""

import socket
import sys

import httpx
import pytest
from open_page import HOST, NAME, PASSWORD, PROXY, VISITOR

from studio.storage import home
from studio.ui import access, app
from studio.ui.security import Access


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory):
    """The environment of the page: a home that all its visitors share."""
    return {
        "STUDIO_HOME": str(tmp_path_factory.mktemp("home")),
        "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio")),
        access.OPEN_TO_OTHERS_ENV: "1",
    }


@pytest.fixture(autouse=True)
def studio_home(surroundings, monkeypatch):
    """The page's home: what the page does it does in this process."""
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    return home()


@pytest.fixture(scope="session")
def page(surroundings):
    """The page, open on a free port."""
    if sys.platform == "darwin":
        pytest.skip("macOS has one loopback address")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    allowed = Access(hosts=(HOST, NAME), any_address=True, proxies=(PROXY,))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in surroundings.items():
            patch.setenv(name, value)
        page, _ = app.launch(HOST, port, block=False, allowed=allowed, password=PASSWORD)
    yield page
    page.close()


@pytest.fixture(scope="session")
def connect(page):
    """`connect(from_address)` is a client of the page that comes from there and is not logged in."""
    clients = []

    def build(from_address=VISITOR):
        transport = httpx.HTTPTransport(local_address=from_address)
        clients.append(httpx.Client(base_url=page.local_url, transport=transport, timeout=60))
        return clients[-1]

    yield build
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def visitor(connect):
    """A client that has logged in."""
    client = connect()
    reply = client.post("/login", data={"username": "Ann", "password": PASSWORD})
    assert reply.status_code == 200
    return client
