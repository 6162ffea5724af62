"""The page for the meeting in the browser: at a run's address, to read and to print."""

import html

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from studio import runs
from studio.errors import StudioError
from studio.export.meeting import page
from studio.ui.language import request_language
from studio.ui.security import ASGIApp, Receive, Scope, Send

PATH = "/report/"


async def show_report(request: Request) -> Response:
    """A run's page; whoever has its address may look at it."""
    lang = request_language(request)
    try:
        text = await run_in_threadpool(_render, request.path_params["run_id"], lang)
    except StudioError as error:
        return HTMLResponse(f"<!doctype html><p>{html.escape(error.render(lang))}</p>", 404)
    return HTMLResponse(text, headers={"cache-control": "no-store"})


def _render(run_id: str, lang: str) -> str:
    return page.render_page(runs.get(run_id), lang)


REPORT_APP = Starlette(routes=[Route(PATH + "{run_id}", show_report)])


class ReportMiddleware:
    """An ASGI middleware that answers what is asked below PATH itself, and passes everything else on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        is_report = scope["type"] == "http" and scope["path"].startswith(PATH)
        await (REPORT_APP if is_report else self.app)(scope, receive, send)
