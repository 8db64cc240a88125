"""Search that ignores accents."""

import unicodedata
from typing import Any, ClassVar

from django.db.models import Func, QuerySet, TextField, Value
from django.db.models.functions import Concat
from django.http import HttpRequest


class Unaccented(Func):
    """Removes accents in PostgreSQL, without an extension, in the same way as `unaccent`."""

    template = r"regexp_replace(normalize(%(expressions)s, NFKD), '[\u0300-\u036f]', '', 'g')"
    output_field = TextField()


class AccentlessSearch:
    """A page whose search ignores accents and covers all `searched_texts` together."""

    searched_texts: ClassVar[tuple[str, ...]]
    search_fields: ClassVar[list[str]] = ["searched"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows that contain every word in any of the texts."""
        first, *others = self.searched_texts
        texts = [first, *(part for name in others for part in (Value(" "), name))]
        rows = queryset.alias(searched=Unaccented(Concat(*texts)))
        found: tuple[QuerySet[Any], bool] = super().get_search_results(  # type: ignore[misc]
            request, rows, unaccent(search_term)
        )
        return found


def unaccent(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not "\u0300" <= sign <= "\u036f")
