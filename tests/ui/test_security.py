"""What stands between the page and the network: foreign sites, foreign names and large bodies are refused."""

import pytest
from starlette.testclient import TestClient

from studio.ui.security import SecurityMiddleware


@pytest.fixture
def client():
    async def app(scope, receive, send):
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})

    return TestClient(SecurityMiddleware(app, hosts=("127.0.0.1",)), base_url="http://127.0.0.1:7860")


def test_the_page_answers_its_own_visitors_with_safe_headers(client):
    response = client.get("/")
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert client.post("/run", content=b"12345", headers={"origin": "http://127.0.0.1:7860"}).text == "5"


def test_a_foreign_site_cannot_fire_the_page(client):
    assert client.post("/run", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.post("/run", headers={"sec-fetch-site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "", ":7860", "127.0.0.1.evil.example", "127.0.0.1@evil.example"]
)
def test_only_the_names_of_this_machine_are_answered(host, client):
    assert client.get("/", headers={"host": host}).status_code == 400


def test_a_request_without_a_host_is_refused():
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    assert SecurityMiddleware(None, hosts=("127.0.0.1",)).check_request(scope)[0] == 400
    assert SecurityMiddleware(None).check_request(scope) is None, "a page open to others answers to any name"


def test_the_file_proxy_is_closed(client):
    assert client.get("/gradio_api/file=http://127.0.0.1:22/").status_code == 403


def test_a_body_over_the_limit_is_refused_even_when_it_hides_its_length(client, monkeypatch):
    monkeypatch.setattr("studio.ui.security.MAX_JSON_BYTES", 10)
    assert client.post("/run", content=b"x" * 11).status_code == 413
    assert client.post("/run", content=iter([b"x" * 6, b"x" * 6])).status_code == 413
