"""The page for the meeting stands at a run's address, in the visitor's language."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.export.meeting import page
from studio.ui.report_page import ReportMiddleware


@pytest.fixture
def client():
    """A browser before a studio of which only reports answer; everything else says "studio"."""
    studio = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("studio"))])
    return TestClient(ReportMiddleware(studio))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_runs_page_is_that_of_the_command_line(client, finished, language):
    run = finished("lora", "classify")
    reply = client.get(f"/report/{run.id}", headers={"cookie": f"studio-lang={language}"})
    assert (reply.status_code, reply.text) == (200, page.render_page(run, language))


@pytest.mark.parametrize("name", ["0" * 32, "<b>x</b>", "..%2f..%2fetc"])
def test_what_is_no_run_has_no_page(client, studio_home, name):
    reply = client.get(f"/report/{name}")
    assert reply.status_code == 404
    assert "<b>" not in reply.text


def test_other_pages_are_the_studios(client):
    assert client.get("/").text == "studio"
    assert client.get("/reports").text == "studio"
