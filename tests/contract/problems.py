"""What every problem document has in common."""

from collections.abc import Sequence
from typing import Any

from promotions.http.problems import CATALOGUE, CONTENT_TYPE

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


def assert_problem(response: Any, code: str, *, pointers: Sequence[str] = ()) -> dict[str, Any]:
    """The body of a problem with this code and, if given, faults at exactly these places."""
    assert response.headers["Content-Type"] == CONTENT_TYPE, response.content
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body.keys() >= MEMBERS
    assert response.status_code == body["status"] == CATALOGUE[code].status
    assert body["type"] == f"/problems#{code}"
    assert body["request_id"] == response.headers["X-Request-Id"]
    if pointers:
        assert sorted({fault["pointer"] for fault in body["errors"]}) == sorted(pointers)
    return body
