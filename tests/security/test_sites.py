"""Other sites, other names and headers that anybody can write get nowhere, at any address of the page."""

from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest
from open_page import NAME, PROXY, STRANGER
from starlette.routing import Route

# Any other site, and another program on the machine of the page.
FOREIGN_ORIGINS = ("https://evil.example", "http://127.0.0.2:9")
# What Gradio fills into its addresses, for each kind of them.
PATH_VALUES = {"api_name": "predict", "path": "x", "path_or_url": "x", "url_path": "x", "session_hash": "x"}


def every_route(router):
    """The routes of a router, and of those within it, which FastAPI keeps in one object each."""
    for route in router.routes:
        nested = getattr(route, "original_router", None)
        yield from every_route(nested) if nested else [route]


def every_request(page):
    """Method and path of everything that the page's server answers, with something filled in."""
    for route in every_route(page.app):
        if isinstance(route, Route):
            path = route.path
            for name in route.param_convertors:
                path = path.replace(f"{{{name}}}", PATH_VALUES.get(name, "x"))
                path = path.replace(f"{{{name}:path}}", PATH_VALUES.get(name, "x"))
            yield from ((method, path) for method in route.methods)
    yield from (("POST", f"/vote/x/{action}") for action in ("next", "cast", "result"))
    yield "GET", "/report/x"


def test_no_address_of_the_page_answers_another_site(page, visitor):
    requests = list(every_request(page))
    assert len(requests) > 80, "Gradio's own and those of the studio"
    for method, path in requests:
        for origin in FOREIGN_ORIGINS:
            headers = {"origin": origin, "x-forwarded-host": origin.rpartition("/")[2]}
            reply = visitor.request(method, path, headers=headers)
            assert reply.status_code == 403, (method, path, origin)
            assert not [name for name in reply.headers if name.startswith("access-control")]


def test_no_address_acts_for_a_form_of_another_site(page, visitor):
    for method, path in every_request(page):
        if method not in ("GET", "HEAD", "OPTIONS"):
            reply = visitor.request(method, path, headers={"sec-fetch-site": "cross-site"})
            assert reply.status_code == 403, (method, path)


@pytest.mark.parametrize(
    "host", ["evil.example", "", "[", "[::1", ":", "a b", "127.0.0.2@evil.example", "x" * 5_000]
)
def test_a_page_beyond_this_machine_answers_to_its_own_names(host, visitor):
    assert visitor.get("/config", headers={"host": host}).status_code == 400
    assert visitor.get("/config", headers={"host": NAME}).status_code == 200


def test_forwarded_headers_count_from_the_named_proxy_alone(connect, visitor):
    headers = {"host": "10.0.0.7", "x-forwarded-host": NAME, "x-forwarded-proto": "https"}
    # Also from the address of the visitor, which Uvicorn would take for where the request came from.
    forwarded = {**headers, "x-forwarded-for": "10.0.0.99", "origin": f"https://{NAME}"}
    assert connect(PROXY).get("/", headers=forwarded).status_code == 200
    assert f"https://{NAME}" in connect(PROXY).get("/", headers=forwarded).text
    assert visitor.get("/", headers=forwarded).status_code == 403
    assert NAME not in visitor.get("/", headers=headers).text
    pretending = {**forwarded, "x-forwarded-for": PROXY}
    assert connect(STRANGER).get("/", headers=pretending).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/dev/reload",
        "/gradio_api/openapi.json",
        "/gradio_api/token",
        "/gradio_api/token/",
        "/openapi.json",
        "/docs",
        "/redoc",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/runs",
        "/gradio_api/vibe-code",
        "/gradio_api/deep_link",
        "/gradio_api/proxy=http://127.0.0.1:22/",
        "/gradio_api/file=http://127.0.0.1:22/",
    ],
)
def test_what_the_page_does_not_need_is_closed(path, visitor):
    assert visitor.get(path).status_code == 403
    assert visitor.post(path).status_code == 403


def test_every_reply_says_what_a_browser_may_do_with_it(visitor):
    for path, headers in (
        ("/", {}),
        ("/config", {}),
        ("/docs", {}),
        ("/nothing", {}),
        ("/", {"host": "x.example"}),
    ):
        reply = visitor.get(path, headers=headers)
        assert "object-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"


TEXT_FOR_A_FILE = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\na\r\n--x--'


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("multipart/form-data; boundary=" + "x" * 100_000, b""),
        ("multipart/form-data; boundary=" + "x" * 150, b"--" + b"x" * 150),
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=x", b"no part at all"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\na\r\n--x--',
        ),
        ("text/plain", b"x"),
        ("application/json", b"{" * 100_000),
        ("application/json", b"[" * 900_000),
    ],
)
@pytest.mark.parametrize("path", ["upload", "queue/join", "component_server", "run/predict"])
def test_a_body_of_another_kind_breaks_nothing(path, content_type, content, visitor, capfd):
    reply = visitor.post(f"/gradio_api/{path}", headers={"content-type": content_type}, content=content)
    assert reply.status_code < 500, reply.text
    assert "Traceback" not in capfd.readouterr().err


def uploaded_files(surroundings):
    """All files that uploads have left."""
    return {file for file in Path(surroundings["GRADIO_TEMP_DIR"]).rglob("*") if file.is_file()}


def wait_until(is_reached, seconds=20.0):
    """Wait for what the server does after the client has gone."""
    deadline = monotonic() + seconds
    while not is_reached():
        assert monotonic() < deadline
        sleep(0.05)


def test_what_breaks_off_or_is_refused_leaves_nothing_on_the_disk(visitor, surroundings, monkeypatch):
    monkeypatch.setattr("studio.ui.security.MAX_UPLOAD_BYTES", 3_000_000)
    whole = visitor.post("/gradio_api/upload", files={"files": ("kept.csv", b"text\na\n")})
    assert whole.status_code == 200, "an upload that is accepted waits for the tab"
    before = uploaded_files(surroundings)
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    chunks = iter([head, *[b"a" * 1_000_000] * 4])
    assert visitor.post("/gradio_api/upload", headers=headers, content=chunks).status_code == 413
    assert visitor.post("/gradio_api/upload", headers=headers, content=head + b"no end").status_code < 500
    elsewhere = {"other": ("rows.csv", b"text\na\n")}
    assert visitor.post("/gradio_api/upload", files=elsewhere).json() == []

    def break_off():
        yield head + b"a" * 1_000_000
        raise ConnectionError

    with pytest.raises((ConnectionError, httpx.TransportError)):
        visitor.post("/gradio_api/upload", headers=headers, content=break_off())
    wait_until(lambda: uploaded_files(surroundings) == before)


def test_no_file_of_the_machine_can_be_fetched(visitor, studio_home):
    secret = studio_home / "datasets" / "secret.csv"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("canary", encoding="utf-8")
    around = f"{studio_home}/../{studio_home.name}/datasets/secret.csv"
    paths = ("/etc/passwd", str(secret), around, "../../etc/passwd", "%2e%2e/%2e%2e%2fetc%2fpasswd")
    for path in paths:
        for prefix in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/svelte/"):
            reply = visitor.get(prefix + path)
            assert reply.status_code in (403, 404), prefix + path
            assert "canary" not in reply.text
