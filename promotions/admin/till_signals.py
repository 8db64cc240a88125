"""The page “Till signals”: tills and members of a partner's stores with unusual shares. Tills never show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from geofence.models import Store
from promotions import clock
from promotions.admin.base import tenancy_of
from promotions.logic.till_signals import RULES, STANDARD_ERRORS, Signal
from promotions.services.accounts.tenancy import filter_editable
from promotions.services.till.signals import CLOSING_GRACE, PRESENT_WITHIN, Line, Period, list_signals

# Visits, which show that a customer was in the store, are kept for 30 days.
PERIODS_DAYS = (7, 28)
# Marked rows come first; a longer list is not read.
LINES_SHOWN = 200

HEADINGS = {
    Signal.VOIDED: _("Voided"),
    Signal.CLOSED: _("While closed"),
    Signal.ABSENT: _("No phone in store"),
    Signal.TYPED: _("Typed"),
    Signal.VOUCHED: _("Vouched"),
    Signal.GUESSED: _("Wrong codes"),
}
_MINUTE = timedelta(minutes=1)
_MINUTES = {Signal.CLOSED: CLOSING_GRACE // _MINUTE, Signal.ABSENT: PRESENT_WITHIN // _MINUTE}
MEANINGS = {
    Signal.VOIDED: _("redemptions voided at this till or by this member"),
    Signal.CLOSED: _("redemptions more than {minutes} minutes before opening or after closing"),
    Signal.ABSENT: _("redemptions without a sign of the customer’s phone in the store within {minutes} minutes"),
    Signal.TYPED: _("codes typed, not scanned"),
    Signal.VOUCHED: _("redemptions for which staff vouched, because the coupon requires the phone’s presence"),
    Signal.GUESSED: _("codes that match no coupon, in addition to the redemptions; counted for tills only"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure; `usual_percent` is set if the figure is marked."""

    count: int
    percent: int | None
    usual_percent: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    line: Line
    cells: tuple[Cell, ...]


def show_signals(request: HttpRequest, *, page: ModelAdmin) -> HttpResponse:
    """Render the page for users who may see redemptions, with their own stores."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    requested = request.GET.get("days", "")
    days = int(requested) if requested in {str(each) for each in PERIODS_DAYS} else PERIODS_DAYS[-1]
    now = clock.now()
    stores = list(filter_editable(rows=Store.objects.order_by("name", "pk"), tenancy=tenancy_of(request)))
    lines = list_signals(stores=stores, period=Period(now - timedelta(days=days), now))
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": _("Till signals"),
        "days": days,
        "periods": PERIODS_DAYS,
        "headings": list(HEADINGS.values()),
        "rows": [Row(line, tuple(_list_cells(line))) for line in lines[:LINES_SHOWN]],
        "hidden": max(0, len(lines) - LINES_SHOWN),
        "marked": sum(bool(line.marks) for line in lines),
        "rules": [
            (HEADINGS[signal], _explain(signal), rule.least, round(100 * rule.margin)) for signal, rule in RULES.items()
        ],
        "standard_errors": round(STANDARD_ERRORS),
    }
    return TemplateResponse(request, "admin/promotions/till_signals.html", context)


def _explain(signal: Signal) -> str:
    return str(MEANINGS[signal]).format(minutes=_MINUTES.get(signal))


def _list_cells(line: Line) -> Iterator[Cell]:
    for signal in HEADINGS:
        share, mark = line.figures.share(signal), line.mark_of(signal)
        yield Cell(
            count=line.figures.count(signal),
            percent=None if share is None else round(100 * share),
            usual_percent=None if mark is None else round(100 * mark.usual),
        )
