"""The kiosk page: nothing inline, nothing from other origins, installable, cached for an offline restart."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils import translation

from promotions.http.staff.kiosk import STRINGS
from promotions.settings import BASE_DIR
from tests.promotions.http.staff.catalogues import read_catalogue

PAGES = ["/kiosk/", "/kiosk/manifest.webmanifest", "/kiosk/sw.js"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_allows_no_foreign_code_and_no_post(path: str) -> None:
    response = Client().get(path)

    policy = response.headers["Content-Security-Policy"]
    assert (response.status_code, Client().post(path).status_code) == (200, 405)
    assert "default-src 'none'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)


def test_the_page_holds_nothing_inline_and_nothing_from_elsewhere() -> None:
    html = Client().get("/kiosk/").content.decode()

    assert not re.search(r"\sstyle=|\son\w+=|<style", html)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)
    assert re.findall(r"<script([^>]*)>", html) == [
        ' type="module" src="/static/kiosk/kiosk.js"',
        ' id="strings" type="application/json"',
    ]


def test_the_page_needs_no_database_and_sets_no_cookie() -> None:
    assert not Client().get("/kiosk/").cookies


def test_the_address_without_its_slash_leads_to_the_kiosk() -> None:
    response = Client().get("/kiosk")

    assert (response.status_code, response.headers["Location"]) == (302, "/kiosk/")


def test_the_kiosk_can_be_installed_over_the_whole_screen() -> None:
    manifest = Client().get("/kiosk/manifest.webmanifest").json()

    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/kiosk/", "/kiosk/", "fullscreen")
    assert all(finders.find(icon["src"].removeprefix("/static/")) for icon in manifest["icons"])


def test_the_worker_keeps_every_file_the_page_needs() -> None:
    worker = Client().get("/kiosk/sw.js")

    assert worker.headers["Content-Type"].startswith("text/javascript")
    kept = set(re.findall(r'"/static/kiosk/([\w.-]+)"', worker.content.decode()))
    folder = Path(str(finders.find("kiosk/kiosk.js"))).parent
    assert kept == {file.name for file in folder.iterdir()}


def test_every_text_of_the_kiosk_is_translated() -> None:
    template = (BASE_DIR / "promotions/templates/kiosk/index.html").read_text(encoding="utf-8")
    with translation.override("en"):
        output = {str(text) for text in STRINGS.values()} | set(re.findall(r'{% translate "([^"]+)" %}', template))
    catalogue = read_catalogue("fr")

    assert len(output) > 12
    assert not {text for text in output if not catalogue.get(text)}
