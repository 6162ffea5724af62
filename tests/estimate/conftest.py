"""Fixtures of the estimator's tests."""

import json

import pytest


@pytest.fixture
def in_process_server(monkeypatch):
    """The tracing server answers within this process; that it does as a child, test_tracing_client proves."""
    from studio.estimate.tracing import server
    from studio.estimate.tracing.client import TracingClient

    def fetch(client, request):
        return json.loads(json.dumps(server.handle_request(json.loads(json.dumps(request)))))

    monkeypatch.setattr(TracingClient, "_fetch", fetch)
