"""Phones, their timelines, consents and messages: facts, for the operator only."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from geofence.admin import at_store
from notifications import admin as messages
from notifications.models import Attempt, Message, PushAddress
from promotions import clock
from promotions.admin.base import FactAdmin, tenancy_of
from promotions.admin.events import describe_payload
from promotions.admin.reasons import asks_reason
from promotions.models import Consent, Device, Event, RevocationNotice
from promotions.services.devices.registration import block_device

# The rest is on the page of events.
EVENTS_SHOWN = 50


@admin.register(Device)
class DeviceAdmin(FactAdmin):
    """App installations, by anonymous id. Export and erasure are API calls."""

    actions = ["block"]

    list_display = ["id", "platform", "app_id", "locale", "consents", "registered_at", "is_blocked"]
    list_filter = ["platform", "is_blocked", ("registered_at", admin.DateFieldListFilter)]
    search_fields = ["app_id"]
    id_search = ("id",)
    ordering = ["-registered_at"]
    fields = [
        "id",
        "platform",
        "app_id",
        "locale",
        "consents",
        "segments",
        "registered_at",
        "tokens_not_before",
        "is_blocked",
        "timeline",
    ]

    @display(description="timeline")
    def timeline(self, device: Device) -> SafeString:
        events = Event.objects.filter(device_id=device.pk).select_related("campaign", "store")
        lines = [
            {
                "occurred": at_store(event.occurred_at, event.store),
                "kind": event.kind,
                "campaign": event.campaign or "–",
                "store": event.store or "–",
                "details": describe_payload(event),
                "page": reverse("admin:promotions_event_change", args=[event.pk]),
            }
            for event in events.order_by("-occurred_at", "-position")[:EVENTS_SHOWN]
        ]
        every = reverse("admin:promotions_event_changelist", query={"q": str(device.pk)})
        return render_to_string("admin/promotions/timeline.html", {"events": lines, "all": every})

    def has_block_permission(self, request: HttpRequest) -> bool:
        return tenancy_of(request).is_operator

    @action(description=_("Block: refuse all requests, recall coupons"), permissions=["block"])
    @asks_reason(_("It sends positions that are not genuine."), _("It unlocks offers in bulk."))
    def block(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Revoke the devices' credentials permanently. The phones can register again."""
        now = clock.now()
        blocked = sum(block_device(device_id, now=now) for device_id in queryset.values_list("pk", flat=True))
        self.message_user(request, f"{blocked} blocked.")


@admin.register(Consent)
class ConsentAdmin(FactAdmin):
    """The consent ledger."""

    list_display = ["recorded_at", "device_id", "purpose", "is_granted", "text_version"]
    list_filter = ["purpose", "is_granted", ("recorded_at", admin.DateFieldListFilter)]
    search_fields = ["text_version"]
    id_search = ("device_id",)
    ordering = ["-recorded_at"]
    fields = ["device_id", "purpose", "is_granted", "text_version", "locale", "recorded_at"]


@admin.register(RevocationNotice)
class RevocationNoticeAdmin(FactAdmin):
    """Revoked credentials that the fix lanes have to know."""

    list_display = ["subject", "tokens_not_before", "blocked", "is_heard"]
    list_filter = ["blocked", "is_heard"]
    id_search = ("subject",)
    ordering = ["-tokens_not_before"]
    fields = ["subject", "tokens_not_before", "blocked", "is_heard"]


@admin.register(PushAddress)
class PushAddressAdmin(messages.PushAddressAdmin, FactAdmin):
    id_search = ("device_id",)


@admin.register(Message)
class MessageAdmin(messages.MessageAdmin, FactAdmin):
    id_search = ("id", "device_id")


@admin.register(Attempt)
class AttemptAdmin(messages.AttemptAdmin, FactAdmin):
    id_search = ("message__id", "message__device_id")
