"""Sessions, counters of failed sign-ins, and the security log: for the operator only, and never edited."""

from django.contrib import admin

from promotions.admin.base import FactAdmin
from promotions.models import AdminSession, RecoveryCode, SecondFactor, SecurityEvent, SignInCounter


@admin.register(AdminSession)
class AdminSessionAdmin(FactAdmin):
    """Sessions of business users."""

    list_display = ["user", "device", "network", "method", "signed_in_at", "last_seen_at", "ended_at", "end_reason"]
    list_select_related = ["user"]
    list_filter = ["method", ("ended_at", admin.EmptyFieldListFilter)]
    search_fields = ["user__username"]
    fields = ["user", "device", "network", "method", "signed_in_at", "last_seen_at", "ended_at", "end_reason"]


@admin.register(SecurityEvent)
class SecurityEventAdmin(FactAdmin):
    """What happened to accounts: sign-ins, lock-outs, ended sessions."""

    list_display = ["occurred_at", "kind", "account", "device", "network", "detail"]
    list_filter = ["kind", ("occurred_at", admin.DateFieldListFilter)]
    search_fields = ["account"]
    fields = ["occurred_at", "kind", "account", "device", "network", "detail"]


@admin.register(SignInCounter)
class SignInCounterAdmin(FactAdmin):
    """Failed attempts that still count. The keys cannot be read."""

    list_display = ["key", "failures", "since_at"]
    fields = ["key", "failures", "since_at"]


@admin.register(SecondFactor)
class SecondFactorAdmin(FactAdmin):
    """Factors of business users. Secrets and keys are not shown; the page of the user removes them all."""

    list_display = ["user", "kind", "label", "added_at", "used_at"]
    list_select_related = ["user"]
    list_filter = ["kind"]
    search_fields = ["user__username"]
    fields = ["user", "kind", "label", "added_at", "used_at"]


@admin.register(RecoveryCode)
class RecoveryCodeAdmin(FactAdmin):
    """Recovery codes: whose, and whether used."""

    list_display = ["user", "created_at", "used_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "created_at", "used_at"]
