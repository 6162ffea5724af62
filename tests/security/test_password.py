"""Without the password nobody gets further than its field, and guessing it takes too long."""

import logging

import pytest
from open_page import NAME, PASSWORD, PROXY

from studio.ui import security

UPLOAD = {"files": ("rows.csv", b"text,label\na,b\n")}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/queue/join"),
        ("GET", "/gradio_api/queue/data?session_hash=x"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/file=/etc/passwd"),
    ],
)
def test_a_stranger_gets_the_password_field_alone(method, path, connect):
    stranger = connect()
    files = UPLOAD if path.endswith("upload") else None
    body = None if files or method == "GET" else {"data": [], "fn_index": 0, "session_hash": "x"}
    assert stranger.request(method, path, json=body, files=files).status_code in (401, 422)
    page = stranger.get("/").text
    assert '"auth_required":true' in page
    assert "to-method" not in page, "no component of the page"


def log_in(client, password=PASSWORD, **headers):
    """Try to log in; the status of the reply."""
    return client.post("/login", data={"username": "Ann", "password": password}, headers=headers).status_code


def test_the_password_lets_in_and_a_wrong_one_does_not(connect):
    client = connect("127.0.0.65")
    for wrong in ("", "correct horse batter", PASSWORD.upper(), PASSWORD + "\x00", "é" * 100_000):
        assert log_in(client, wrong) in (400, 422)
    assert client.get("/config").status_code == 401
    assert log_in(client) == 200
    assert client.get("/config").status_code == 200


def test_guessing_ends_for_the_one_who_guesses_and_for_nobody_else(connect):
    guesser, other = connect("127.0.0.66"), connect("127.0.0.67")
    limit = security.MAX_LOGINS_PER_MINUTE
    assert [log_in(guesser, "a guess") for _ in range(limit + 1)] == [400] * limit + [429]
    assert log_in(other) == 200


def test_behind_a_proxy_each_visitor_guesses_for_themselves(connect):
    proxy = connect(PROXY)

    def guess(address):
        # What a visitor sends as the header comes first; the proxy adds where it got it from.
        headers = {"x-forwarded-for": f"10.0.0.99, {address}", "x-forwarded-host": NAME}
        return log_in(proxy, "a guess", **headers)

    assert [guess("10.0.0.1") for _ in range(security.MAX_LOGINS_PER_MINUTE + 1)][-1] == 429
    assert guess("10.0.0.2") == 400


def test_the_password_is_in_no_log(connect, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    client = connect("127.0.0.68")
    log_in(client)
    log_in(client, PASSWORD + "x")
    client.get("/config")
    captured = capfd.readouterr()
    assert PASSWORD not in captured.out + captured.err + caplog.text
