"""The overview page: running campaigns and their results, as counts only."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import Count, Model, Q, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from geofence.models import Geofence, Store, Visit
from promotions import clock
from promotions.admin.base import tenancy_of
from promotions.models import Budget, Campaign, DeadLetter, Opportunity, Redemption, Refusal, StaffDevice, Unlock
from promotions.services.accounts.tenancy import Tenancy, filter_visible

M = TypeVar("M", bound=Model)

# Smaller counts of devices are not shown to a brand or partner: a count of one is a person.
SMALLEST_CELL = 10
CAMPAIGNS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign's row; its figures are formatted for the user, small ones hidden."""

    campaign: Campaign
    url: str
    treated: str
    control: str
    unlocks: str
    refusals: str
    redemptions: str
    used: str
    cap: int
    used_percent: int | None


def fill_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context (unfold's hook), with a fixed number of queries."""
    tenancy = tenancy_of(request)
    running = _list_visible(request, Campaign.objects.all())
    running = running.filter(state__in=[Campaign.State.LIVE, Campaign.State.PAUSED]).select_related("brand")
    context["title"] = _("Overview")
    context["stats"] = list(_list_stats(request, tenancy, running))
    context["campaign_rows"] = _list_rows(tenancy, running)
    context["sees_persons"] = tenancy.is_operator
    context["may_add_campaign"] = request.user.has_perm("promotions.add_campaign")
    return context


def show_count(count: int, tenancy: Tenancy) -> str:
    """Format a count of devices; hide a small one from everyone but the operator."""
    if tenancy.is_operator or count == 0 or count >= SMALLEST_CELL:
        return f"{count:,}"
    return f"<{SMALLEST_CELL}"


def _list_visible(request: HttpRequest, rows: QuerySet[M]) -> QuerySet[M]:
    """Return the rows that the user may view: a membership without a role shows none."""
    if not _may_view(request, rows.model):
        return rows.none()
    return filter_visible(rows=rows, tenancy=tenancy_of(request))


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    return request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")


def _list_stats(request: HttpRequest, tenancy: Tenancy, running: QuerySet[Campaign]) -> Any:
    stores = _list_visible(request, Store.objects.filter(is_active=True))
    if _may_view(request, Campaign):
        yield _("Campaigns running"), running.count(), reverse("admin:promotions_campaign_changelist")
    if _may_view(request, Store):
        yield _("Stores"), stores.count(), reverse("admin:geofence_store_changelist")
    if _may_view(request, StaffDevice):
        tills = _list_visible(request, StaffDevice.objects.filter(revoked_at=None))
        yield _("Staff devices"), tills.count(), reverse("admin:promotions_staffdevice_changelist")
    fenced = Geofence.objects.filter(is_active=True, role=Geofence.Role.STORE).values("store_id")
    if unfenced := stores.exclude(pk__in=fenced).count():
        yield _("Stores without a fence"), unfenced, reverse("admin:geofence_store_changelist")
    if tenancy.is_operator:
        since = clock.now() - timedelta(days=7)
        visits = Visit.objects.filter(entered_at__gte=since, confirmed_at__isnull=False)
        yield _("Visits in 7 days"), visits.count(), reverse("admin:geofence_visit_changelist")
        dead_letters = DeadLetter.objects.filter(replayed_at=None)
        yield _("Dead letters"), dead_letters.count(), reverse("admin:promotions_deadletter_changelist")


def _list_rows(tenancy: Tenancy, running: QuerySet[Campaign]) -> list[CampaignRow]:
    campaigns = list(running.order_by("ends_on", "name")[:CAMPAIGNS_SHOWN])
    ids = [campaign.pk for campaign in campaigns]
    mine = Q(campaign_id__in=ids)
    treated = _count(Opportunity.objects.filter(mine, arm=Opportunity.Arm.TREATED), "campaign_id")
    control = _count(Opportunity.objects.filter(mine, arm=Opportunity.Arm.CONTROL), "campaign_id")
    unlocks = _count(Unlock.objects.filter(mine), "campaign_id")
    refusals = _count(Refusal.objects.filter(mine, stage=Refusal.Stage.UNLOCK), "campaign_id")
    redeemed = Redemption.objects.filter(coupon__campaign_id__in=ids, is_live=True)
    redemptions = _count(redeemed, "coupon__campaign_id")
    slots = Budget.objects.filter(mine, scope=Budget.Scope.UNLOCK).order_by().values("campaign_id")
    sums = slots.annotate(used=Sum("used"), cap=Sum("cap"))
    budgets = {row["campaign_id"]: (row["used"], row["cap"]) for row in sums}
    rows = []
    for campaign in campaigns:
        used, cap = budgets.get(campaign.pk, (0, 0))
        rows.append(
            CampaignRow(
                campaign=campaign,
                url=reverse("admin:promotions_campaign_change", args=[campaign.pk]),
                treated=show_count(treated.get(campaign.pk, 0), tenancy),
                control=show_count(control.get(campaign.pk, 0), tenancy),
                unlocks=show_count(unlocks.get(campaign.pk, 0), tenancy),
                refusals=show_count(refusals.get(campaign.pk, 0), tenancy),
                redemptions=show_count(redemptions.get(campaign.pk, 0), tenancy),
                used=show_count(used, tenancy),
                cap=cap,
                used_percent=_percent(used, cap, tenancy),
            )
        )
    return rows


def _percent(used: int, cap: int, tenancy: Tenancy) -> int | None:
    """Return the used share of the cap, None if it would reveal a hidden count."""
    return round(100 * used / cap) if cap and show_count(used, tenancy) == f"{used:,}" else None


def _count(rows: QuerySet[Any], by: str) -> dict[int, int]:
    return {row[by]: row["count"] for row in rows.order_by().values(by).annotate(count=Count("pk"))}
