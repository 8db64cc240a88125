"""Staff devices and their enrolments: a QR shown once, and an action that switches a device off."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from geofence.admin import at_store
from promotions import clock
from promotions.admin.base import ScopedRelatedFilter, TenantAdmin
from promotions.admin.reasons import asks_reason
from promotions.admin.secrets import show_secret
from promotions.models import StaffDevice, StaffEnrolment
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment


@admin.register(StaffDevice)
class StaffDeviceAdmin(TenantAdmin):
    """Devices of one store: tills accept coupons, kiosks show the store's code."""

    list_display = ["label", "store", "profile", "is_manager", "staff_member", "enrolled", "last_seen", "is_live"]
    list_filter = ["profile", "is_manager", ("store", ScopedRelatedFilter), ("revoked_at", admin.EmptyFieldListFilter)]
    list_select_related = ["store", "staff_member"]
    search_fields = ["label", "store__name"]
    fields = [
        "label",
        "profile",
        "is_manager",
        "store",
        "staff_member",
        "enrolled",
        "last_seen",
        "synced",
        "clock_off",
        "revoked_at",
    ]
    readonly_fields = ["profile", "store", "staff_member", "enrolled", "last_seen", "synced", "clock_off", "revoked_at"]
    actions = ["revoke"]
    actions_list = ["enrol"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Forbid it: a device is added by its enrolment."""
        return False

    @display(description="enrolled", ordering="enrolled_at")
    def enrolled(self, device: StaffDevice) -> str:
        return at_store(device.enrolled_at, device.store)

    @display(description="last seen", ordering="last_seen_at")
    def last_seen(self, device: StaffDevice) -> str:
        return at_store(device.last_seen_at, device.store)

    @display(description="last sync for offline use")
    def synced(self, device: StaffDevice) -> str:
        return at_store(device.synced_at, device.store)

    @display(description="clock")
    def clock_off(self, device: StaffDevice) -> str:
        if device.clock_ahead_ms is None:
            return "unknown"
        seconds = round(device.clock_ahead_ms / 1000)
        if seconds == 0:
            return "correct"
        return f"{abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}"

    @display(description="in use", boolean=True)
    def is_live(self, device: StaffDevice) -> bool:
        return device.revoked_at is None

    def has_enrol_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("promotions.add_staffenrolment")

    # unfold looks a dotted permission up in the database, before its tables exist; this one is a method.
    @action(description="Enrol a device", icon="qr_code_2", permissions=["enrol"])
    def enrol(self, request: HttpRequest) -> HttpResponseRedirect:
        return redirect(reverse("admin:promotions_staffenrolment_add"))

    @admin.action(description=_("Switch off"), permissions=["change"])
    @asks_reason(_("It was lost or stolen."), _("It is replaced by another."), _("The store has closed."))
    def revoke(self, request: HttpRequest, queryset: QuerySet[StaffDevice]) -> None:
        """Revoke the devices' credentials. Revoking twice changes nothing."""
        count = queryset.filter(revoked_at=None).update(revoked_at=clock.now())
        self.message_user(request, f"{count} switched off.")


@admin.register(StaffEnrolment)
class StaffEnrolmentAdmin(TenantAdmin):
    """Enrolments. A new one shows its QR once."""

    list_display = ["label", "store", "profile", "is_manager", "created", "expires", "used"]
    list_filter = [("store", ScopedRelatedFilter), "profile", "is_manager"]
    list_select_related = ["store"]
    search_fields = ["label", "store__name"]
    autocomplete_fields = ["store"]
    add_fieldsets = [(None, {"fields": ["store", "label", "profile", "is_manager"]})]
    fields = ["store", "label", "profile", "is_manager", "created", "expires", "used", "created_by"]
    readonly_fields = ["created", "expires", "used", "created_by"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Forbid it: a wrong enrolment expires unused."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Forbid it: the row records who enrolled a device."""
        return False

    @display(description="created", ordering="created_at")
    def created(self, enrolment: StaffEnrolment) -> str:
        return at_store(enrolment.created_at, enrolment.store)

    @display(description="valid until", ordering="expires_at")
    def expires(self, enrolment: StaffEnrolment) -> str:
        return at_store(enrolment.expires_at, enrolment.store)

    @display(description="used", ordering="used_at")
    def used(self, enrolment: StaffEnrolment) -> str:
        return at_store(enrolment.used_at, enrolment.store)

    def save_model(
        self, request: HttpRequest, obj: StaffEnrolment, form: ModelForm[StaffEnrolment], change: bool
    ) -> None:
        """Create the enrolment through the service; keep its token for the page that shows it."""
        now = clock.now()
        assert isinstance(request.user, User)  # admin requires a login
        if obj.profile == StaffDevice.Profile.KIOSK:
            token = create_kiosk_enrolment(store=obj.store, label=obj.label, user=request.user, now=now)
        else:
            token = create_enrolment(
                store=obj.store, label=obj.label, is_manager=obj.is_manager, user=request.user, now=now
            )
        request._new_secret = token  # type: ignore[attr-defined]
        made = StaffEnrolment.objects.filter(store=obj.store, created_by=request.user, created_at=now).latest("pk")
        obj.pk, obj.expires_at = made.pk, made.expires_at

    def response_add(
        self, request: HttpRequest, obj: StaffEnrolment, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the QR, on this page only."""
        base = settings.PUBLIC_BASE_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"
        # A browser sends the part after # to no server, so the token is in no log.
        is_kiosk = obj.profile == StaffDevice.Profile.KIOSK
        page = "kiosk" if is_kiosk else "staff"
        address = f"{base}/{page}/#enrol={request._new_secret}"  # type: ignore[attr-defined]
        return show_secret(
            request,
            page=self,
            title=f"Enrol “{obj.label}” at {obj.store}",
            secret=address,
            advice=f"Scan this with the {'screen for the counter' if is_kiosk else 'phone or tablet of the till'}.\n"
            f"It works once, until {at_store(obj.expires_at, obj.store)}, and is not shown again.",
            qr_of=address,
        )
