"""Operational state: cursors of shards, runs of jobs, dead letters and stored answers."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import ErasedBy, Forever, Keep, Menu, NotExported, NotPersonal, RowPolicy, Section


class ShardCursor(models.Model):
    """Position up to which a fix stream is processed. Its row lock is the worker's lease; it commits with the effects.

    pii: none.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Shard cursors"), Section.OPERATIONS, 50, "linear_scale"),
        retention=Forever("one row per shard"),
        erasure=NotPersonal(),
    )

    shard = models.PositiveSmallIntegerField(primary_key=True)
    last_entry_id = models.CharField(max_length=40, default="0-0")
    # Identifies the stream of the entry: a Redis that lost its data has another mark.
    stream_mark = models.CharField(max_length=16, blank=True, default="")
    advanced_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["shard"]

    def __str__(self) -> str:
        return f"shard {self.shard}"


class JobRecord(models.Model):
    """Times of the last success and the last failure of a periodic job, or of beat itself.

    pii: none.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Job records"), Section.OPERATIONS, 70, "schedule"),
        retention=Forever("one row per job"),
        erasure=NotPersonal(),
    )

    name = models.CharField(primary_key=True, max_length=100)
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True, default="", help_text="Class of the last error.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class DeadLetter(models.Model):
    """A stream entry that could not be processed, kept so that it can be inspected and replayed.

    pii: raw coordinates of the requests that came together.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Dead letters"), Section.OPERATIONS, 40, "mark_email_unread"),
        retention=Keep(by="buried_at", hours=24, is_short_lived=True),
        erasure=ErasedBy("promotions.services.fixes.dead_letters.forget_device"),
        export=NotExported("an entry contains fixes of several devices"),
    )

    shard = models.PositiveSmallIntegerField()
    entry_id = models.CharField(max_length=40)
    fields = models.JSONField(help_text="Field names and values (base64) of the stream entry.")
    reason = models.CharField(max_length=200)
    buried_at = models.DateTimeField()
    replayed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-buried_at"]
        constraints = [models.UniqueConstraint(fields=["shard", "entry_id"], name="promotions_dead_letter_entry")]

    def __str__(self) -> str:
        return f"{self.shard}/{self.entry_id}"


class IdempotencyRecord(models.Model):
    """An answer stored for repeats of the same request. Without an answer, the first request is still in progress.

    pii: the stored answer may contain a device's own data.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Idempotency records"), Section.OPERATIONS, 80, "replay"),
        retention=Keep(by="created_at", seconds_setting="IDEMPOTENCY_LIFE_S", is_short_lived=True),
        erasure=ErasedBy("promotions.services.devices.erasure.forget_answers"),
        export=NotExported("a copy of an answer that the device has received"),
    )

    scope = models.CharField(max_length=80, help_text="The credential of the request.")
    # The SHA-256 of the client's key, in hexadecimal digits.
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField(null=True)
    content_type = models.CharField(max_length=80, blank=True)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "key"], name="promotions_idempotency_key"),
            models.CheckConstraint(
                condition=Q(status__isnull=True, body__isnull=True) | Q(status__isnull=False, body__isnull=False),
                name="promotions_idempotency_answer",
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="promotions_idempotency_age")]

    def __str__(self) -> str:
        return f"{self.scope}, {self.created_at:%Y-%m-%d %H:%M:%S} UTC"
