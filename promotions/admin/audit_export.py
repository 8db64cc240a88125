"""The audit as a CSV file: streamed page by page, so that its length costs neither memory nor a long query."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections
from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext

from promotions.admin.audit_lines import Change, Line, describe
from promotions.logic.spreadsheets import make_row
from promotions.models import AuditRecord

PAGE_ROWS = 500


def stream_csv(request: HttpRequest, records: QuerySet[AuditRecord]) -> StreamingHttpResponse:
    """Return the records as a file, newest first, as they are when each page is read."""
    rows = _Rows(records)
    # A server that is asynchronous would collect a synchronous iterator before it sends anything.
    content = _read_async(rows) if isinstance(request, ASGIRequest) else _read(rows)
    answer = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return answer


class _Rows:
    """The pages of the file, each read by its position."""

    def __init__(self, records: QuerySet[AuditRecord]) -> None:
        self._records = records.order_by("-recorded_at", "-pk")
        self._last: AuditRecord | None = None

    def read_head(self) -> str:
        """Return the headings, after the mark by which spreadsheets recognize UTF-8."""
        headings = [
            "UTC", gettext("actor"), gettext("kind of actor"), gettext("action"), gettext("kind of row"),
            gettext("row"), gettext("operation"), gettext("changes"), gettext("reason"), gettext("request"),
        ]  # fmt: skip
        return "\ufeff" + make_row(headings)

    def read_page(self) -> str:
        """Return the next lines; empty at the end."""
        records = self._records
        if self._last is not None:
            at, pk = self._last.recorded_at, self._last.pk
            records = records.filter(Q(recorded_at__lt=at) | Q(recorded_at=at, pk__lt=pk))
        page = list(records[:PAGE_ROWS])
        if page:
            self._last = page[-1]
        return "".join(_make_line(line) for line in describe(page))


def _make_line(line: Line) -> str:
    record = line.record
    return make_row(
        [
            f"{record.recorded_at:%Y-%m-%d %H:%M:%S.%f}",
            line.actor,
            line.actor_kind,
            line.action,
            line.subject_kind,
            line.subject,
            line.operation,
            "; ".join(_join(change) for change in line.changes),
            record.reason,
            record.request_id,
        ]
    )


def _join(change: Change) -> str:
    return f"{change.name}: {gettext('changed') if change.is_sealed else f'{change.before} → {change.after}'}"


def _read(rows: _Rows) -> Iterator[str]:
    yield rows.read_head()
    while page := rows.read_page():
        yield page


async def _read_async(rows: _Rows) -> AsyncIterator[str]:
    yield rows.read_head()
    while page := await sync_to_async(_read_and_release)(rows):
        yield page


def _read_and_release(rows: _Rows) -> str:
    # The request has ended for Django, which would have returned the connection to its pool.
    try:
        return rows.read_page()
    finally:
        close_old_connections()
