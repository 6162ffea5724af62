"""What stands between the page and the network: foreign sites, foreign names and large bodies are refused."""

import socket

import httpx
import pytest
from starlette.testclient import TestClient

from studio.ui import app, security
from studio.ui.security import Access, SecurityMiddleware

LOCAL = Access(hosts=("127.0.0.1",))
OPEN = Access(hosts=("studio.example.org",), any_address=True)
BEHIND_A_PROXY = Access(hosts=("studio.example.org",), proxies=("testclient",))


def build_client(access, base_url="http://127.0.0.1:7860"):
    """A client of an app that answers with the number of bytes it was sent, or the headers it sees."""

    async def app(scope, receive, send):
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        names = b" ".join(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        answer = names if scope["path"] == "/headers" else str(len(body)).encode()
        await send({"type": "http.response.body", "body": answer})

    return TestClient(SecurityMiddleware(app, access), base_url=base_url)


@pytest.fixture
def client():
    return build_client(LOCAL)


def test_the_page_answers_its_own_visitors_with_safe_headers(client):
    response = client.get("/")
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert client.post("/run", content=b"12345", headers={"origin": "http://127.0.0.1:7860"}).text == "5"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:9",  # another program of this machine
        "http://evil@127.0.0.1:7860",
        "http://127.0.0.1:7860.evil.example",
        "http://[",
        "null",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_foreign_site_can_neither_act_nor_read(method, origin, client):
    headers = {"origin": origin, "x-forwarded-host": origin.removeprefix("https://")}
    assert client.request(method, "/run", headers=headers).status_code == 403


def test_a_form_of_another_site_is_refused_and_its_links_lead_to_the_page(client):
    assert client.post("/run", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


FOREIGN_HOSTS = [
    "evil.example",
    "",
    ":7860",
    "[",
    "[::1",
    "127.0.0.1.evil.example",
    "x@127.0.0.1",
    "0x7f000001",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("access", [LOCAL, OPEN], ids=["local", "open"])
def test_the_page_answers_to_its_own_names_alone(access, host):
    assert build_client(access).get("/", headers={"host": host}).status_code == 400


def test_a_page_open_to_others_answers_to_addresses_which_no_name_can_be_turned_to():
    assert build_client(OPEN).get("/", headers={"host": "192.168.1.7:7860"}).status_code == 200
    assert build_client(OPEN).get("/", headers={"host": "Studio.Example.org"}).status_code == 200
    assert build_client(LOCAL).get("/", headers={"host": "192.168.1.7:7860"}).status_code == 400


def test_a_request_without_a_host_is_refused():
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    assert SecurityMiddleware(None, LOCAL).check_request(scope)[0] == 400
    assert SecurityMiddleware(None, OPEN).check_request(scope)[0] == 400


def test_forwarded_headers_count_from_a_named_proxy_alone():
    headers = {
        "host": "10.0.0.1:7860",
        "origin": "https://studio.example.org",
        "x-forwarded-host": "studio.example.org",
        "x-forwarded-proto": "https",
    }
    assert build_client(BEHIND_A_PROXY).post("/run", headers=headers).status_code == 200
    assert "x-forwarded-proto" in build_client(BEHIND_A_PROXY).get("/headers", headers=headers).text
    assert build_client(OPEN).post("/run", headers=headers).status_code == 403
    del headers["origin"]
    assert "forwarded" not in build_client(OPEN).get("/headers", headers=headers).text


def test_the_names_of_the_page_are_the_machines_and_those_that_were_named(monkeypatch):
    monkeypatch.setattr(security.socket, "gethostname", lambda: "Box")
    monkeypatch.setenv("STUDIO_HOSTS", "team.example, ")
    access = security.build_access("0.0.0.0", ("studio.example.org",))
    assert {"box", "box.local", "localhost", "team.example", "studio.example.org"} <= {*access.hosts}
    assert "" not in access.hosts
    assert not access.believes("10.0.0.1")
    monkeypatch.setenv("SPACE_HOST", "me-studio.hf.space")
    assert security.build_access("0.0.0.0").answers_to("me-studio.hf.space")
    assert security.build_access("0.0.0.0").believes("10.0.0.1"), "nothing but its proxy reaches a Space"


@pytest.mark.parametrize("path", ["/gradio_api/dev/reload", "/gradio_api/token", "/gradio_api/openapi.json"])
def test_what_the_page_does_not_use_is_closed(path, client):
    assert client.get(path).status_code == 403


def test_a_content_type_without_end_is_refused(client):
    headers = {"content-type": "multipart/form-data; boundary=" + "x" * 5_000}
    assert client.post("/gradio_api/upload", headers=headers).status_code == 400


def test_the_file_proxy_is_closed(client):
    assert client.get("/gradio_api/file=http://127.0.0.1:22/").status_code == 403


def test_a_body_over_the_limit_is_refused_even_when_it_hides_its_length(client, monkeypatch):
    monkeypatch.setattr("studio.ui.security.MAX_JSON_BYTES", 10)
    assert client.post("/run", content=b"x" * 11).status_code == 413
    assert client.post("/run", content=iter([b"x" * 6, b"x" * 6])).status_code == 413


@pytest.fixture(scope="module")
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    page, address = app.launch("127.0.0.1", port, block=False)
    yield address.rstrip("/")
    page.close()


def test_the_real_page_lets_no_other_port_of_this_machine_in(address):
    headers = {
        "origin": "http://127.0.0.1:9",
        "access-control-request-method": "POST",
        "x-forwarded-host": "127.0.0.1:9",
    }
    preflight = httpx.options(f"{address}/gradio_api/upload", headers=headers)
    assert preflight.status_code == 403
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_the_real_page_does_not_take_its_name_from_a_header(address):
    headers = {"x-forwarded-host": "evil.example", "x-gradio-server": "http://evil.example"}
    assert "evil.example" not in httpx.get(f"{address}/config", headers=headers).text
    assert httpx.get(f"{address}/openapi.json").status_code == 403
