"""Internal state of workers and jobs, for the operator only."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from redis.exceptions import RedisError
from unfold.decorators import display

from promotions import clock
from promotions.admin.base import FactAdmin
from promotions.models import DeadLetter, DeletedRows, IdempotencyRecord, JobRecord, ShardCursor
from promotions.services.fixes import dead_letters


@admin.register(ShardCursor)
class ShardCursorAdmin(FactAdmin):
    """The last processed entry of each fix stream."""

    list_display = ["shard", "last_entry_id", "advanced_at"]
    fields = ["shard", "last_entry_id", "advanced_at"]


@admin.register(JobRecord)
class JobRecordAdmin(FactAdmin):
    """The last success and failure of each periodic job."""

    list_display = ["name", "succeeded_at", "failed_at", "error"]
    fields = ["name", "succeeded_at", "failed_at", "error"]


@admin.register(DeadLetter)
class DeadLetterAdmin(FactAdmin):
    """Entries that could not be processed. They contain positions, so they can be replayed but not read here."""

    list_display = ["buried_at", "shard", "entry_id", "reason", "is_replayed"]
    list_filter = ["shard", ("replayed_at", admin.EmptyFieldListFilter)]
    search_fields = ["entry_id", "reason"]
    fields = ["shard", "entry_id", "reason", "buried_at", "replayed_at"]
    actions = ["replay"]

    @display(description="replayed", boolean=True)
    def is_replayed(self, dead_letter: DeadLetter) -> bool:
        return dead_letter.replayed_at is not None

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(description="Replay", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        """Append the entries to their streams again; skip those already replayed."""
        try:
            count = dead_letters.replay(list(queryset.values_list("pk", flat=True)), now=clock.now())
        except RedisError:
            self.message_user(
                request, "Redis did not answer. The remaining entries were not replayed. Try again.", messages.ERROR
            )
            return
        self.message_user(request, f"{count} replayed.")


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(FactAdmin):
    """Responses stored for retried requests. They contain personal data, so neither they nor their keys are shown.

    Any client that repeats a request with its key gets the response.
    """

    list_display = ["created_at", "scope", "status"]
    list_filter = ["status"]
    search_fields = ["scope"]
    ordering = ["-created_at"]
    fields = ["scope", "status", "content_type", "created_at"]


@admin.register(DeletedRows)
class DeletedRowsAdmin(FactAdmin):
    """Rows that retention deleted, per table and day. Its ceiling is derived from them."""

    list_display = ["day", "table", "rows"]
    search_fields = ["table"]
    fields = ["day", "table", "rows"]
