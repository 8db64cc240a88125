"""A campaign's report for its brand: counts of groups, never of a few persons."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import clock, shedding
from promotions.errors import DomainError
from promotions.http.auth import read_bearer
from promotions.http.brand.presence_tokens import BrandAuthenticationScheme
from promotions.http.schema import operation
from promotions.http.serializers import KindField
from promotions.http.views import ApiView
from promotions.logic.lift import MIN_CELL, ArmCounts, Interval, Verdict, VerdictReason, suppress_small
from promotions.models import Campaign
from promotions.services.accounts.brand_tokens import recognise_brand
from promotions.services.accounts.tenancy import Tenancy, find_tenancy
from promotions.services.report.report import VERDICT_WINDOW, Funnel, campaign_funnel

OTHER = "other"


class ReportAuthentication(BaseAuthentication):
    """`request.auth` becomes the `Tenancy` of a brand token or of the admin session's user.

    Errors: `token_*`; `forbidden` for a user without a role or `is_staff`.
    """

    def authenticate(self, request: Request) -> tuple[User | None, Tenancy]:
        """A Bearer token acts for its brand only, even beside a logged-in user."""
        token = read_bearer(request)
        if token is not None:
            brand = recognise_brand(token=token, now=clock.now())
            return None, Tenancy(is_operator=False, brand_ids=frozenset({brand.pk}), partner_ids=frozenset())
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active:
            raise DomainError("token_missing")
        if not (user.is_staff and user.has_perm("promotions.view_campaign")):
            raise DomainError("forbidden", "Reports require a role in admin that may view campaigns.")
        return user, find_tenancy(user=user)


class ReportAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The two credentials in the OpenAPI description; one is enough."""

    target_class = "promotions.http.brand.report.ReportAuthentication"
    name = "adminSession"

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """One or the other; a single mapping would require both."""
        return [{BrandAuthenticationScheme.name: []}, {self.name: []}]

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """The cookie of the admin site. The brand's token is described where it is the only credential."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "A session of the admin site."}


class CellField(serializers.IntegerField):
    """A count; null means fewer than 10, including 0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)


class ReportCampaign(serializers.Serializer[Any]):
    """The campaign of the report."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = KindField()
    state = serializers.ChoiceField(choices=Campaign.State.choices)
    starts_on = serializers.DateField()
    ends_on = serializers.DateField()
    holdout_percent = serializers.IntegerField()


class ArmCells(serializers.Serializer[Any]):
    """Opportunities to send a device a message, per arm. The control arm got no message."""

    treated = CellField()
    control = CellField()


class ReasonCells(serializers.Serializer[Any]):
    """Counts by reason. Small counts are combined as `other` or left out; `total` is the sum of the counts shown."""

    total = CellField()
    by_reason = serializers.DictField(child=serializers.IntegerField())


class MessageCells(serializers.Serializer[Any]):
    """Messages by state. Accepted by the transport does not mean delivered."""

    accepted = CellField()
    waiting = CellField()
    expired = CellField()
    failed = CellField()
    suppressed = ReasonCells()


class ArmVisits(serializers.Serializer[Any]):
    """Devices of one arm, and how many of them visited a store of the campaign."""

    devices = CellField()
    visited = CellField()


class VisitWindow(serializers.Serializer[Any]):
    """Visits within a time after the message was or would have been sent, for devices for which this time is over."""

    within_minutes = serializers.IntegerField()
    treated = ArmVisits()
    control = ArmVisits()


class ReportInterval(serializers.Serializer[Any]):
    """A 95 % interval."""

    low = serializers.FloatField()
    high = serializers.FloatField()


class ArrivalWindow(serializers.Serializer[Any]):
    """Devices that came to the store within a time after a refusal. The share does not prove a cause."""

    within_minutes = serializers.IntegerField()
    refused = CellField()
    arrived = CellField()
    share = ReportInterval(allow_null=True)


class ReportEffect(serializers.Serializer[Any]):
    """The effect of the message, compared with the control arm. Numbers are null where too few devices visited."""

    within_minutes = serializers.IntegerField()
    verdict = serializers.ChoiceField(choices=[each.value for each in Verdict])
    reason = serializers.ChoiceField(choices=[each.value for each in VerdictReason])
    difference = serializers.FloatField(
        allow_null=True, help_text="Share of visitors in the treated arm minus the control arm."
    )
    difference_interval = ReportInterval(allow_null=True)
    incremental_visits = serializers.FloatField(allow_null=True, help_text="Visits that the message caused.")
    incremental_interval = ReportInterval(allow_null=True)
    expected_without = serializers.FloatField(
        allow_null=True, help_text="Visits of the treated arm without the message."
    )


class ReportHealth(serializers.Serializer[Any]):
    """Comparison of the arms' sizes with the planned ones. If it raises an alarm, the effect is not valid."""

    sample_ratio_p = serializers.FloatField(allow_null=True)
    is_sample_ratio_alarm = serializers.BooleanField()


class ReportAnswer(serializers.Serializer[Any]):
    """A campaign's funnel, from the opportunity to send a message to the redemption at the till."""

    campaign = ReportCampaign()
    as_of = serializers.DateTimeField()
    smallest_cell = serializers.IntegerField()
    opportunities = ArmCells()
    messages = MessageCells()
    visits = VisitWindow(many=True)
    refusals = ReasonCells()
    arrivals_after_refusal = ArrivalWindow(many=True)
    unlocks = CellField()
    outcomes = serializers.DictField(
        child=CellField(), help_text="Unlocks by outcome; all are null while one of them is fewer than 10."
    )
    figures = serializers.DictField(
        child=serializers.IntegerField(), help_text="Figures of the campaign's kind, such as the number of prizes."
    )
    redemptions = CellField()
    effect = ReportEffect()
    health = ReportHealth()


class CampaignReportView(ApiView):
    """`/v1/campaigns/{campaign_id}/report`"""

    authentication_classes = [ReportAuthentication]

    @operation(summary="Get a campaign's report", answers={200: ReportAnswer}, problems=("forbidden",))
    def get(self, request: Request, campaign_id: UUID) -> Response:
        """Return the funnel, both arms, and the measured effect. Only for the caller's own brands."""
        shedding.require_room_for_reports()
        tenancy = cast(Tenancy, request.auth)
        found = Campaign.objects.filter(uuid=campaign_id)
        if not tenancy.is_operator:
            found = found.filter(brand_id__in=tenancy.brand_ids)
        primary_key = found.values_list("pk", flat=True).first()
        if primary_key is None:
            raise Http404
        return Response(ReportAnswer(_serialize_funnel(campaign_funnel(primary_key, now=self.now))).data)


def _serialize_funnel(funnel: Funnel) -> dict[str, Any]:
    """The report with its small cells hidden."""
    campaign, messages = funnel.campaign, funnel.messages
    return {
        "campaign": {
            "id": campaign.uuid,
            "name": campaign.name,
            "kind": campaign.kind,
            "state": campaign.state,
            "starts_on": campaign.starts_on,
            "ends_on": campaign.ends_on,
            "holdout_percent": campaign.holdout_percent,
        },
        "as_of": funnel.as_of,
        "smallest_cell": MIN_CELL,
        "opportunities": {arm: suppress_small(count) for arm, count in funnel.opportunities.items()},
        "messages": {
            "accepted": suppress_small(messages["accepted"]),
            "waiting": suppress_small(messages["pending"] + messages["leased"]),
            "expired": suppress_small(messages["expired"]),
            "failed": suppress_small(messages["failed"]),
            "suppressed": _serialize_reasons(funnel.suppressed_for),
        },
        "visits": [
            {
                "within_minutes": window.within.total_seconds() // 60,
                "treated": _serialize_arm(window.treated),
                "control": _serialize_arm(window.control),
            }
            for window in funnel.visits
        ],
        "refusals": _serialize_reasons(funnel.refused_for),
        "arrivals_after_refusal": [
            {
                "within_minutes": count.within.total_seconds() // 60,
                "refused": suppress_small(count.refused),
                "arrived": suppress_small(count.arrived),
                "share": _serialize_interval(count.share) if count.arrived >= MIN_CELL else None,
            }
            for count in funnel.arrivals
        ],
        "unlocks": suppress_small(funnel.unlocks),
        "outcomes": _serialize_outcomes(funnel.outcomes),
        "figures": dict(funnel.figures),
        "redemptions": suppress_small(funnel.redemptions),
        "effect": _serialize_effect(funnel),
        "health": {
            "sample_ratio_p": funnel.lift.srm_p,
            "is_sample_ratio_alarm": funnel.lift.reason == VerdictReason.SAMPLE_RATIO_MISMATCH,
        },
    }


def _serialize_arm(arm: ArmCounts) -> dict[str, int | None]:
    return {"devices": suppress_small(arm.devices), "visited": suppress_small(arm.conversions)}


def _serialize_interval(interval: Interval | None) -> dict[str, float] | None:
    return None if interval is None else {"low": interval.low, "high": interval.high}


def _serialize_effect(funnel: Funnel) -> dict[str, Any]:
    """The verdict always; its numbers only where no arm's visitors could be counted back from them."""
    lift = funnel.lift
    is_shown = min(lift.treated.conversions, lift.control.conversions) >= MIN_CELL
    return {
        "within_minutes": VERDICT_WINDOW.total_seconds() // 60,
        "verdict": lift.verdict.value,
        "reason": lift.reason.value,
        "difference": lift.difference if is_shown else None,
        "difference_interval": _serialize_interval(lift.difference_interval) if is_shown else None,
        "incremental_visits": lift.incremental if is_shown else None,
        "incremental_interval": _serialize_interval(lift.incremental_interval) if is_shown else None,
        "expected_without": lift.expected_without if is_shown else None,
    }


def _serialize_outcomes(counts: Mapping[str, int]) -> dict[str, int | None]:
    """Return the counts, all or none: a hidden one would follow from the unlocks and the others."""
    is_shown = all(count >= MIN_CELL for count in counts.values())
    return {outcome: count if is_shown else None for outcome, count in counts.items()}


def _serialize_reasons(counts: Mapping[str, int]) -> dict[str, Any]:
    """Large cells by name, the small ones together; what stays hidden is left out of the total, or it would show."""
    shown = {reason: count for reason, count in counts.items() if count >= MIN_CELL}
    rest = sum(counts.values()) - sum(shown.values())
    if rest >= MIN_CELL:
        shown[OTHER] = rest
    return {"total": suppress_small(sum(shown.values())), "by_reason": shown}
