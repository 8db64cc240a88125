"""What is written down agrees with the code."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.test import Client

from promotions.conf import SETTINGS
from promotions.http.lane import dialects as ingest
from promotions.http.lane.fixes import REJECTIONS
from promotions.http.problems import CATALOGUE
from promotions.logic.events import EventKind
from promotions.management.commands import write_docs
from tests.contract.openapi import description

DOCS = Path(django_settings.BASE_DIR) / "docs"


def test_the_generated_documents_are_up_to_date() -> None:
    call_command("write_docs", "--check")


def test_a_stale_document_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(write_docs.DOCUMENTS, "problems.md", lambda: "something else")  # type: ignore[arg-type]

    with pytest.raises(CommandError, match=r"Out of date: docs/problems\.md"):
        call_command("write_docs", "--check")


def test_every_problem_has_an_anchor_on_the_page_its_type_points_at(client: Client) -> None:
    page = client.get("/problems").content.decode()

    assert set(re.findall(r'id="([a-z_]+)"', page)) == set(CATALOGUE)
    assert "<code>nearest_store</code>" in page
    assert "`" not in page
    assert set(re.findall(r"^## (\w+)$", (DOCS / "problems.md").read_text(encoding="utf-8"), re.MULTILINE)) == set(
        CATALOGUE
    )


def test_every_setting_is_described() -> None:
    named = set(
        re.findall(r"^\| (?:\*\*)?`([A-Z_]+)`", (DOCS / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert named == set(SETTINGS)


def test_every_kind_of_event_is_described() -> None:
    section = (
        (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## The event log")[2].partition("\n## ")[0]
    )

    assert re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE) == [kind.value for kind in EventKind]


def test_every_reason_hidden_from_a_stock_phone_is_explained() -> None:
    parsers = "".join(path.read_text(encoding="utf-8") for path in Path(ingest.__path__[0]).glob("*.py"))
    reasons = {*REJECTIONS, *re.findall(r'\.reject\(\w+, "(\w+)"\)', parsers), "unreadable"}

    table = (DOCS / "stock-phones.md").read_text(encoding="utf-8").partition("| `outcome` |")[2].partition("\n\n")[0]

    assert set(re.findall(r"`(\w+)`(?=.* \| )", table)) == reasons


def test_the_description_is_served_as_it_is_written(client: Client) -> None:
    response = client.get("/v1/openapi.yaml")

    assert response["Content-Type"] == "application/yaml"
    assert response.content == (DOCS / "openapi.yaml").read_bytes()
    assert yaml.safe_load(response.content)["openapi"].startswith("3.1")


def test_every_operation_names_its_problems_and_no_fault_of_ours() -> None:
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            statuses = set(operation["responses"])
            assert "500" not in statuses, f"{method} {path}"
            assert any(status[0] in "45d" for status in statuses), f"{method} {path}"


class _Addresses(HTMLParser):
    """Every address a page loads something from."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href"}]


@pytest.mark.django_db
def test_the_swagger_page_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/v1/docs/")

    addresses = _Addresses()
    addresses.feed(page.content.decode())
    assert page.status_code == 200
    assert addresses.found
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses.found)
    assert "/v1/openapi.yaml" in page.content.decode()
    for address in addresses.found:
        assert finders.find(address.removeprefix("/static/")) or not address.startswith("/static/"), address


@pytest.mark.parametrize("method", ["get", "post", "delete"])
@pytest.mark.parametrize("debug", [True, False])
def test_an_address_that_is_none_is_a_problem(client: Client, settings: Any, debug: bool, method: str) -> None:
    settings.DEBUG = debug
    client.handler.enforce_csrf_checks = True

    response = getattr(client, method)("/v1/nothing", secure=True)

    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "not_found"
