"""Cursors: an opaque, signed position in a list that is ordered by an instant and an id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from django.core import signing
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers

from promotions.errors import Fault, InvalidInput
from promotions.http.serializers import CountField, StrictSerializer

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_MAX_CURSOR_CHARS = 300

M = TypeVar("M", bound=Model)


class PageQuery(StrictSerializer):
    """Query parameters of every paginated list."""

    limit = CountField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="Entries per page.")
    cursor = serializers.CharField(
        max_length=_MAX_CURSOR_CHARS,
        required=False,
        help_text="`next` of the previous page; leave it out for the first page.",
    )


@dataclass(frozen=True, slots=True)
class Keyset:
    """Order of a list, newest first, and its owner: the cursor of one list is not valid for another."""

    scope: str
    instant_field: str

    def page(self, rows: QuerySet[M], query: dict[str, Any]) -> tuple[Sequence[M], str | None]:
        """One page of rows and the cursor of the next, None at the end. Errors: `invalid_input` at `?cursor`."""
        if "cursor" in query:
            instant, row_id = self._read(query["cursor"])
            rows = rows.filter(
                Q(**{f"{self.instant_field}__lt": instant}) | Q(**{self.instant_field: instant, "pk__lt": row_id})
            )
        limit = query["limit"]
        found = list(rows.order_by(f"-{self.instant_field}", "-pk")[: limit + 1])
        if len(found) <= limit:
            return found, None
        return found[:limit], self._write(found[limit - 1])

    def _write(self, row: Model) -> str:
        instant: datetime = getattr(row, self.instant_field)
        return signing.dumps([instant.astimezone(UTC).isoformat(), str(row.pk)], salt=self._salt)

    def _read(self, cursor: str) -> tuple[datetime, UUID]:
        try:
            instant, row_id = signing.loads(cursor, salt=self._salt)
        except (signing.BadSignature, UnicodeError) as error:
            raise InvalidInput([Fault("?cursor", "invalid_format", "Not a cursor of this list.")]) from error
        return datetime.fromisoformat(instant), UUID(row_id)

    @property
    def _salt(self) -> str:
        return f"cursor:{self.scope}"
