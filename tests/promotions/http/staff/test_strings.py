"""The words of the till page, in every language."""

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


def words_of_the_page() -> set[str]:
    with translation.override("en"):
        output = set(strings_for_scripts().values())
    for double, single in re.findall(r"""{% translate (?:"([^"]+)"|'([^']+)') %}""", TEMPLATE):
        output.add(double or single)
    return output


@pytest.mark.parametrize("language", FOREIGN)
def test_everything_the_till_says_is_translated(language: str) -> None:
    catalogue = read_catalogue(language)

    missing = {text for text in words_of_the_page() if not catalogue.get(text)}

    assert not missing


@pytest.mark.parametrize("language", FOREIGN)
def test_every_language_fills_in_the_same_values(language: str) -> None:
    def blanks(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    for english, translated in read_catalogue(language).items():
        assert not translated or blanks(translated) == blanks(english), english


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
