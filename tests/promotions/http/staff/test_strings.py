"""The texts of the till page and the catalogues of every language."""

import gettext
import re

import pytest
from django.conf import settings
from django.test import Client
from django.utils import translation

from promotions.http.staff.strings import strings_for_scripts
from promotions.settings import BASE_DIR
from tests.promotions.http.staff.catalogues import FOLDER, read_catalogue

FOREIGN = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
TEMPLATE = (BASE_DIR / "promotions/templates/staff/index.html").read_text(encoding="utf-8")


def texts_of_the_page() -> set[str]:
    with translation.override("en"):
        texts = set(strings_for_scripts().values())
    for double, single in re.findall(r"""{% translate (?:"([^"]+)"|'([^']+)') %}""", TEMPLATE):
        texts.add(double or single)
    return texts


@pytest.mark.parametrize("language", FOREIGN)
def test_every_text_of_the_till_is_translated(language: str) -> None:
    catalogue = read_catalogue(language)

    missing = {text for text in texts_of_the_page() if not catalogue.get(text)}

    assert not missing


@pytest.mark.parametrize("language", FOREIGN)
def test_the_catalogue_is_complete(language: str) -> None:
    assert [english for english, translated in read_catalogue(language).items() if not translated] == []


@pytest.mark.parametrize("language", FOREIGN)
def test_translations_have_the_placeholders_of_their_text(language: str) -> None:
    def placeholders(text: str) -> set[str]:
        return set(re.findall(r"\{\w+\}|%\(\w+\)s", text))

    for english, translated in read_catalogue(language).items():
        text = english if isinstance(english, str) else english[0]
        assert placeholders(translated) == placeholders(text), text


@pytest.mark.parametrize("language", FOREIGN)
def test_the_compiled_catalogue_is_the_written_one(language: str) -> None:
    with (FOLDER / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]

    written = {english: text for english, text in read_catalogue(language).items() if text}
    assert {english: text for english, text in compiled.items() if english} == written


@pytest.mark.parametrize(("language", "word"), [("fr", "OFFREZ"), ("fr-ca", "OFFREZ"), ("de", "GIVE"), ("en", "GIVE")])
def test_a_language_without_a_catalogue_reads_english(language: str, word: str) -> None:
    with translation.override(language):
        assert strings_for_scripts()["give"] == word


@pytest.mark.parametrize(("accepted", "language"), [("fr-FR,fr;q=0.9", "fr"), ("de", "en"), ("en-GB", "en")])
def test_the_page_follows_the_browser(accepted: str, language: str) -> None:
    response = Client().get("/staff/", headers={"Accept-Language": accepted})

    assert response.status_code == 200
    assert f'<html lang="{language}">' in response.content.decode()
