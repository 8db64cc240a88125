"""The pages themselves: their headers, and the sandbox that exists in development only."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from pytest_django import Settings

from geofence.models import Store
from promotions.http import pages
from tests import factories

PAGES = ["/staff/", "/staff/manifest.webmanifest", "/staff/sw.js"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_allows_no_foreign_code(path: str) -> None:
    response = Client().get(path)

    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"'unsafe|https?:|\*", policy)
    assert "camera=(self)" in response.headers["Permissions-Policy"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_takes_no_post(path: str) -> None:
    response = Client().post(path)

    assert response.status_code == 405


def test_the_page_holds_nothing_inline_and_nothing_from_elsewhere() -> None:
    html = Client().get("/staff/").content.decode()

    assert not re.search(r"\sstyle=|\son\w+=|<style", html)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)
    assert re.findall(r"<script([^>]*)>", html) == [
        ' type="module" src="/static/staff/till.js"',
        ' id="strings" type="application/json"',
    ]


def test_the_address_without_its_slash_leads_to_the_till() -> None:
    response = Client().get("/staff")

    assert (response.status_code, response.headers["Location"]) == (302, "/staff/")


def test_the_till_can_be_installed() -> None:
    manifest = Client().get("/staff/manifest.webmanifest", headers={"Accept-Language": "fr"}).json()

    assert (manifest["start_url"], manifest["display"], manifest["short_name"]) == ("/staff/", "standalone", "Caisse")
    icons = {icon["sizes"]: finders.find(icon["src"].removeprefix("/static/")) for icon in manifest["icons"]}
    for size in (192, 512):
        head = Path(icons[f"{size}x{size}"]).read_bytes()[:24]
        assert (head[1:4], int.from_bytes(head[16:20], "big")) == (b"PNG", size)


def test_the_worker_keeps_every_file_the_page_needs() -> None:
    worker = Client().get("/staff/sw.js")

    assert worker.headers["Content-Type"].startswith("text/javascript")
    kept = set(re.findall(r'"/static/([\w./-]+)"', worker.content.decode()))
    folder = Path(str(finders.find("staff/till.js"))).parent
    shell = {f"staff/{file.name}" for file in folder.iterdir() if file.suffix in {".js", ".css", ".svg"}}
    assert kept == shell | {"decoder/index.js", "decoder/zxing_reader.wasm"}


def test_webassembly_is_permitted_only_where_the_decoder_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with_decoder = Client().get("/staff/")
    worker = Client().get("/staff/sw.js")
    monkeypatch.setattr(pages, "DECODER", {"script": "decoder/none.js"})
    without = Client().get("/staff/")

    assert "script-src 'self' 'wasm-unsafe-eval';" in with_decoder.headers["Content-Security-Policy"]
    assert 'data-decoder="/static/decoder/index.js"' in with_decoder.content.decode()
    for response in (worker, without):
        assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    assert 'data-decoder=""' in without.content.decode()


def test_there_is_no_sandbox_outside_development(settings: Settings) -> None:
    settings.DEBUG = False

    response = Client().get("/")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_sandbox_draws_the_stores_and_their_fences(db: None, settings: Settings) -> None:
    settings.DEBUG = True
    store = factories.store()
    factories.store(name="closed for good", is_active=False)

    response = Client().get("/")

    assert response.status_code == 200
    assert [row["name"] for row in response.context["stores"]] == ["République"]
    fence = response.context["stores"][0]["fences"][0]
    assert (fence["role"], fence["radius_m"], fence["ring"]) == ("store", 150.0, None)
    assert response.context["stores"][0]["id"] == str(Store.objects.get(pk=store.pk).uuid)
