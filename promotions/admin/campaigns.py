"""The admin pages of a campaign and of its time windows, prizes, budgets and winning moments."""

import json
from datetime import date, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import display

from geofence.models import Visit
from notifications.logic.rendering import PLACEHOLDER_LIMIT_BYTES
from promotions import clock
from promotions.admin.base import FactAdmin, ReadOnly, ScopedRelatedFilter, TenantAdmin, is_draft, tenancy_of
from promotions.admin.campaign_actions import CampaignActions
from promotions.admin.campaign_form import CampaignForm, TimeWindowForm, read_inlines
from promotions.admin.faults import translate
from promotions.admin.offline_loss import describe_offline_loss
from promotions.admin.recent_unlocks import render_recent_unlocks
from promotions.errors import DomainError, InvalidInput
from promotions.logic.campaign_rules import FROZEN_WHEN_OPENED, OPENED, CampaignValues
from promotions.logic.power import describe_proof
from promotions.models import Budget, Campaign, TimeWindow
from promotions.services.campaigns.editing import create_campaign, delete_draft, edit_campaign
from promotions.services.mechanics import list_mechanics, mechanic_of
from promotions.services.report.arrivals import ArrivalCount, count_arrivals

State = Campaign.State

STATE_COLOURS = {State.DRAFT: "info", State.LIVE: "success", State.PAUSED: "warning", State.ENDED: "default"}
ASSUMED_PHONES_PER_WEEK = 1000
# Smaller counts of devices are not shown to a brand.
SMALLEST_CELL = 10


class TimeWindowInline(TabularInline):
    model = TimeWindow
    form = TimeWindowForm
    extra = 0
    verbose_name = "time window"
    verbose_name_plural = "Hours, in each store's time zone (none: open all day)"


@admin.register(Campaign)
class CampaignAdmin(CampaignActions, TenantAdmin):
    form = CampaignForm
    choose_visible: ClassVar[tuple[str, ...]] = ("stores",)
    # Repeated here because a grouped query ignores the model's ordering.
    ordering = ["-starts_on", "name"]
    list_display = ["name", "brand", "kind", "state_label", "starts_on", "ends_on", "stores_count", "holdout_percent"]
    list_filter = ["state", "kind", ("brand", ScopedRelatedFilter)]
    list_select_related = ["brand"]
    search_fields = ["name", "offer_title", "brand__name"]
    date_hierarchy = "starts_on"
    autocomplete_fields = ["stores"]
    readonly_fields = [
        "uuid",
        "state_shown",
        "recent_unlocks",
        "message_preview",
        "proof",
        "arrivals",
        "opened_at",
        "seed_commitment",
        "offline_loss",
    ]
    warn_unsaved_form = True
    change_form_before_template = "admin/promotions/campaign_version.html"
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("name", "brand"),
                    ("kind", "state_shown"),
                    ("starts_on", "ends_on"),
                    "recent_unlocks",
                    "stores",
                ]
            },
        ),
        ("Offer", {"classes": ["tab"], "fields": ["offer_title", "benefit", "terms", "redeem_within_h"]}),
        (
            "Message",
            {
                "classes": ["tab"],
                "fields": [
                    "trigger",
                    "message_title",
                    "message_body",
                    "message_preview",
                    "message_life_s",
                    "messages_per_device",
                    "priority",
                ],
            },
        ),
        (
            "Limits",
            {
                "classes": ["tab"],
                "fields": [("unlock_cap", "is_flash"), ("redeem_cap", "store_redeem_cap"), "segments"],
            },
        ),
        (
            "Till",
            {
                "classes": ["tab"],
                "fields": [
                    ("units", "value"),
                    "redeems_in_hours",
                    "asks_amount",
                    "allows_vouching",
                    "allows_offline",
                    "offline_loss",
                ],
            },
        ),
        ("Holdout", {"classes": ["tab"], "fields": ["holdout_percent", "proof"]}),
        (
            "Assurance",
            {
                "classes": ["tab"],
                "fields": ["notify_level", "unlock_level", "redeem_level", "max_speed_mps"],
            },
        ),
        ("Arrivals", {"classes": ["tab"], "fields": ["arrivals"]}),
        ("Records", {"classes": ["tab"], "fields": ["uuid", "opened_at", "seed_commitment"]}),
    ]

    class Media:
        js: ClassVar[list[str]] = ["promotions/admin/campaign.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        return super().get_queryset(request).annotate(stores_count=Count("stores"))

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> list[str]:
        """Add the fields that the opening freezes."""
        fields = super().get_readonly_fields(request, obj)
        if obj is None or is_draft(obj):
            return [*fields]
        return [*fields, *sorted(FROZEN_WHEN_OPENED | mechanic_of(obj).frozen_when_opened)]

    def get_inlines(self, request: HttpRequest, obj: Campaign | None) -> list[type[TabularInline]]:
        """Show prizes where the kind can have them; the page's script hides them while another kind is chosen."""
        mechanics = list_mechanics() if obj is None or is_draft(obj) else [mechanic_of(obj)]
        return [TimeWindowInline, *(inline for mechanic in mechanics for inline in mechanic.inlines)]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Forbid changes after the end: reports describe the campaign as it ran."""
        return not _is_over(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow it for drafts only; an opened campaign is ended, not deleted."""
        return is_draft(obj) and super().has_delete_permission(request, obj)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Suggest four weeks from tomorrow, and the user's brand if there is only one."""
        tomorrow = clock.now().date() + timedelta(days=1)
        brand_ids = tenancy_of(request).brand_ids
        return {
            "starts_on": tomorrow,
            "ends_on": tomorrow + timedelta(days=27),
            **({"brand": next(iter(brand_ids))} if len(brand_ids) == 1 else {}),
            **super().get_changeform_initial_data(request),
        }

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the page again with the faults if the service rejects what the page's forms accepted."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except InvalidInput as error:
            request.__dict__["_rejected"] = error.faults
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as error:
            return self._redirect_from_deleted(request, str(object_id), error)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Delete a draft, or show why it can no longer be deleted."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except InvalidInput as error:
            for fault in error.faults:
                messages.error(request, translate(fault))
            return redirect("admin:promotions_campaign_change", object_id)
        except DomainError as error:
            return self._redirect_from_deleted(request, object_id, error)

    def _redirect_from_deleted(self, request: HttpRequest, object_id: str, error: DomainError) -> HttpResponse:
        """Answer as Django does for a missing row: another request deleted it after this one had read it."""
        if error.code != "not_found":
            raise error
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)

    def get_form(
        self, request: HttpRequest, obj: Campaign | None = None, change: bool = False, **given: Any
    ) -> type[ModelForm[Campaign]]:
        form = super().get_form(request, obj, change, **given)
        form.rejected = request.__dict__.get("_rejected", ())
        if "kind" in form.base_fields:
            # The script shows only the inlines of the chosen kind.
            form.base_fields["kind"].widget.attrs["data-kind-of-group"] = json.dumps(_map_inline_groups())
        return form

    def render_change_form(self, request: HttpRequest, context: Any, *given: Any, **named: Any) -> Any:
        """Note on the campaign whether the user may pause it, for the line with the button."""
        campaign = named.get("obj")
        if campaign is not None:
            campaign.__dict__["_may_pause"] = self.has_pause_permission(request, str(campaign.pk))
        return super().render_change_form(request, context, *given, **named)

    def save_model(self, request: HttpRequest, obj: Campaign, form: ModelForm[Campaign], change: bool) -> None:
        """Write nothing yet: `save_related` writes the campaign together with its stores and hours."""

    def save_related(self, request: HttpRequest, form: ModelForm[Campaign], formsets: Any, change: bool) -> None:
        """Create or edit the campaign, its stores, hours and other rows through the service."""
        assert isinstance(form, CampaignForm)
        for formset in formsets:
            # Saves nothing, but lists what was added, changed and deleted, for the log entry.
            formset.save(commit=False)
        values: CampaignValues = {**form.read_values(), **read_inlines(formsets, rows=mechanic_of(form.instance).rows)}
        now = clock.now()
        if change:
            campaign = edit_campaign(
                campaign_id=form.instance.pk, changes=values, now=now, seen_version=form.read_seen_version()
            )
        else:
            campaign = create_campaign(values=values, now=now)
        form.instance.pk = campaign.pk
        form.instance.refresh_from_db()
        if campaign.state in OPENED:
            messages.info(request, "The campaign is open: the change applies at once. Issued coupons keep their terms.")

    def delete_model(self, request: HttpRequest, obj: Campaign) -> None:
        delete_draft(campaign_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Campaign]) -> None:
        """Delete all or none: another user may have opened one of them since the list was shown."""
        with transaction.atomic():
            for campaign_id in queryset.values_list("pk", flat=True):
                try:
                    delete_draft(campaign_id=campaign_id)
                except InvalidInput as error:
                    raise PermissionDenied(translate(error.faults[0])) from error
                except DomainError as error:
                    # Another request deleted it first.
                    if error.code != "not_found":
                        raise

    def get_urls(self) -> list[URLPattern]:
        """Add the view that the holdout field calls."""
        view = self.admin_site.admin_view(self.proof_view)
        return [path("proof/", view, name="promotions_campaign_proof"), *super().get_urls()]

    def proof_view(self, request: HttpRequest) -> JsonResponse:
        """Return the sentence about the holdout for the given numbers; an invalid number is replaced by its default."""
        return JsonResponse(
            {
                "sentence": describe_proof(
                    phones_per_week=_read_count(request, "phones_per_week", ASSUMED_PHONES_PER_WEEK, 10_000_000),
                    holdout_percent=_read_count(request, "holdout_percent", 10, 50),
                    days=max(1, _read_count(request, "days", 28, 3660)),
                )
            }
        )

    @display(description="stores", ordering="stores_count")
    def stores_count(self, campaign: Any) -> int:
        return int(campaign.stores_count)

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_label(self, campaign: Campaign) -> tuple[str, str]:
        return campaign.state, campaign.get_state_display().split(":")[0]

    @display(description="state")
    def state_shown(self, campaign: Campaign) -> str:
        return campaign.get_state_display()

    @display(description="preview")
    def message_preview(self, campaign: Campaign) -> SafeString:
        return render_to_string(
            "admin/promotions/message_preview.html",
            {
                "placeholders": ",".join(PLACEHOLDER_LIMIT_BYTES),
                "brand": campaign.brand.name if campaign.brand_id else "Your brand",
                "store": "République",
                "until": "14:00",
            },
        )

    @display(description=_("unlocks of the last hour"))
    def recent_unlocks(self, campaign: Campaign) -> SafeString:
        return render_recent_unlocks(campaign, may_pause=campaign.__dict__.get("_may_pause", False))

    @display(description="worst offline loss")
    def offline_loss(self, campaign: Campaign) -> str:
        return describe_offline_loss(campaign)

    @display(description="cost and power")
    def proof(self, campaign: Campaign) -> SafeString:
        days = (campaign.ends_on - campaign.starts_on).days + 1 if campaign.ends_on and campaign.starts_on else 28
        measured = _count_phones(campaign, clock.now().date()) if campaign.pk else 0
        phones_per_week = measured if measured >= SMALLEST_CELL else ASSUMED_PHONES_PER_WEEK
        holdout_percent = campaign.holdout_percent or 0
        return render_to_string(
            "admin/promotions/proof.html",
            {
                "phones_per_week": phones_per_week,
                "is_assumed": phones_per_week != measured,
                "holdout_percent": holdout_percent,
                "days": days,
                "sentence": describe_proof(
                    phones_per_week=phones_per_week, holdout_percent=holdout_percent, days=max(1, days)
                ),
            },
        )

    @display(description="arrivals after a refusal")
    def arrivals(self, campaign: Campaign) -> SafeString:
        counts = count_arrivals(campaign_id=campaign.pk, now=clock.now()) if campaign.opened_at else ()
        return render_to_string(
            "admin/promotions/arrivals.html", {"lines": [_format_arrivals(count) for count in counts]}
        )


@admin.register(TimeWindow)
class TimeWindowAdmin(ReadOnly, TenantAdmin):
    """All time windows. They are edited on their campaign's page, by its rules."""

    list_display = ["campaign", "__str__", "weekdays"]
    list_filter = [("campaign", ScopedRelatedFilter)]
    list_select_related = ["campaign"]
    search_fields = ["campaign__name"]
    fields = ["campaign", "weekdays", "starts_at", "ends_at"]


@admin.register(Budget)
class BudgetAdmin(FactAdmin):
    """The used part of each campaign's caps."""

    list_display = ["campaign", "scope", "store", "slot", "used", "cap"]
    list_filter = ["scope", ("campaign", ScopedRelatedFilter)]
    list_select_related = ["campaign", "store"]
    search_fields = ["campaign__name", "store__name"]
    fields = ["campaign", "scope", "store", "slot", "used", "cap"]


def _map_inline_groups() -> dict[str, str]:
    """Return the kind that each mechanic's inline belongs to, by the id of its group on the page."""
    return {f"{name}-group": mechanic.kind for mechanic in list_mechanics() for name in mechanic.rows}


def _is_over(campaign: Campaign | None) -> bool:
    return campaign is not None and campaign.state == State.ENDED


def _format_arrivals(count: ArrivalCount) -> dict[str, str]:
    """Format one row of the table; small counts stay hidden."""
    minutes = int(count.within.total_seconds()) // 60
    low, high = count.share.low, count.share.high
    return {
        "within": f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours",
        "refused": _format_cell(count.refused),
        "arrived": _format_cell(count.arrived),
        "share": f"{low:.0%} to {high:.0%}" if count.arrived >= SMALLEST_CELL else "–",
    }


def _format_cell(count: int) -> str:
    return f"{count:,}" if count >= SMALLEST_CELL else f"fewer than {SMALLEST_CELL}"


def _count_phones(campaign: Campaign, today: date) -> int:
    """Devices seen in the campaign's stores in the last seven days."""
    visits = Visit.objects.filter(store__campaigns=campaign, entered_at__gte=clock.now() - timedelta(days=7))
    return visits.aggregate(phones=Count("device_id", distinct=True))["phones"] or 0


def _read_count(request: HttpRequest, name: str, usual: int, most: int) -> int:
    text = request.GET.get(name, "")
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) <= 12 else usual
