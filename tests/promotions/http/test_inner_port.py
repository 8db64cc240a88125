"""INNER_LISTEN: pages for operators and developers are at another port than the product."""

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db

INNER = ["/metrics", "/v1/docs/", "/v1/openapi.yaml"]
OUTER = ["/staff/", "/kiosk/", "/problems", "/admin/login/", "/.well-known/jwks.json"]
BOTH = ["/healthz"]


def statuses(client: Client, paths: list[str], port: int) -> set[bool]:
    """Return whether the pages were found."""
    return {client.get(path, SERVER_PORT=str(port)).status_code != 404 for path in paths}


def test_without_the_setting_all_are_at_the_main_port(client: Client) -> None:
    assert statuses(client, INNER + OUTER + BOTH, 8000) == {True}


@pytest.mark.parametrize(("port", "found", "missing"), [(8000, OUTER + BOTH, INNER), (9100, INNER + BOTH, OUTER)])
def test_each_page_is_at_one_port(
    client: Client, settings: object, port: int, found: list[str], missing: list[str]
) -> None:
    settings.INNER_LISTEN = ("127.0.0.1", 9100)  # type: ignore[attr-defined]

    assert statuses(client, found, port) == {True}
    assert statuses(client, missing, port) == {False}


def test_a_client_cannot_choose_the_port_with_a_header(client: Client, settings: object) -> None:
    settings.INNER_LISTEN = ("127.0.0.1", 9100)  # type: ignore[attr-defined]
    headers = {"Host": "testserver:9100", "X-Forwarded-Port": "9100", "X-Forwarded-Host": "testserver:9100"}

    assert client.get("/metrics", SERVER_PORT="8000", headers=headers).status_code == 404
