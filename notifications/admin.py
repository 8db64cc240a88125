"""Admin pages of addresses, messages and attempts, without permissions.

`promotions.admin` makes these classes read-only, adds tenancy and registers them.
"""

from django.contrib import admin
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from notifications.models import Attempt, Message

STATE_COLOURS = {
    Message.State.PENDING: "info",
    Message.State.LEASED: "info",
    Message.State.ACCEPTED: "success",
    Message.State.EXPIRED: "warning",
    Message.State.SUPPRESSED: "warning",
    Message.State.FAILED: "danger",
}


class PushAddressAdmin(ModelAdmin):
    """Push addresses. The address itself is a credential and is not shown."""

    list_display = ["device_id", "kind", "app_id", "environment", "is_active", "registered_at"]
    list_filter = ["kind", "is_active"]
    search_fields = ["app_id"]
    ordering = ["-registered_at"]
    fields = ["device_id", "kind", "app_id", "environment", "is_active", "registered_at"]


class AttemptInline(TabularInline):
    """The transport calls for one message."""

    model = Attempt
    extra = 0
    fields = readonly_fields = ["transport", "started_at", "finished_at", "outcome", "error_code", "provider_id"]
    can_delete = False


class MessageAdmin(ModelAdmin):
    """The outbox: messages and their state."""

    list_display = ["created_at", "title", "device_id", "state_label", "reason", "attempts", "settled_at"]
    list_filter = ["state", ("created_at", admin.DateFieldListFilter)]
    search_fields = ["title", "reason"]
    ordering = ["-created_at"]
    inlines = [AttemptInline]
    fields = [
        "id",
        "device_id",
        "title",
        "body",
        "state",
        "reason",
        "created_at",
        "next_attempt_at",
        "expires_at",
        "attempts",
        "settled_at",
        "request_id",
    ]

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def state_label(self, message: Message) -> tuple[str, str]:
        return message.state, message.get_state_display()


class AttemptAdmin(ModelAdmin):
    """One transport call and its outcome."""

    list_display = ["started_at", "message", "transport", "outcome", "error_code"]
    list_filter = ["outcome", "transport"]
    list_select_related = ["message"]
    search_fields = ["error_code", "provider_id"]
    ordering = ["-started_at"]
    fields = ["message", "transport", "started_at", "finished_at", "outcome", "error_code", "provider_id"]
