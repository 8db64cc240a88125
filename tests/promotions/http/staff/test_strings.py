"""The words of the till page, in every language."""

import re

import pytest
from django.test import Client

from promotions.http.staff.strings import ENGLISH, LANGUAGES, strings_for


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_things(language: str) -> None:
    table = LANGUAGES[language]

    assert table.keys() == ENGLISH.keys()
    assert all(table.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_fills_in_the_same_values(language: str) -> None:
    def blanks(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    for key, text in LANGUAGES[language].items():
        assert blanks(text) == blanks(ENGLISH[key]), key


@pytest.mark.parametrize(("language", "word"), [("fr", "OFFREZ"), ("fr-ca", "OFFREZ"), ("de", "GIVE"), (None, "GIVE")])
def test_a_language_without_a_table_reads_english(language: str | None, word: str) -> None:
    assert strings_for(language)["give"] == word


@pytest.mark.parametrize(("accepted", "language"), [("fr-FR,fr;q=0.9", "fr"), ("de", "en"), ("en-GB", "en")])
def test_the_page_follows_the_browser(accepted: str, language: str) -> None:
    response = Client().get("/staff/", headers={"Accept-Language": accepted})

    assert response.status_code == 200
    assert f'<html lang="{language}">' in response.content.decode()
