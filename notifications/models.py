"""Push addresses of devices, the outbox of messages, and every attempt to send them."""

import uuid

from django.db import models
from django.db.models import Q

from notifications.logic.addresses import ADDRESS_KINDS


class PushAddress(models.Model):
    """A push address of a device. It belongs to one device at a time and moves to the device that registered it last.

    `is_active` is false once a provider reported the address dead; a new registration makes it true again.

    pii: push address.
    """

    device_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=ADDRESS_KINDS)
    address = models.TextField()
    app_id = models.CharField(max_length=120, blank=True)
    environment = models.CharField(max_length=20, blank=True)
    is_active = models.BooleanField(default=True)
    registered_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "push addresses"
        constraints = [
            models.UniqueConstraint(fields=["kind", "app_id", "address"], name="notifications_address_one_device"),
            models.UniqueConstraint(fields=["device_id", "kind"], name="notifications_address_one_per_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.device_id}"


class Message(models.Model):
    """A message in the outbox: written in the transaction of the decision, and sent afterwards.

    Accepted by a provider does not mean delivered. `dedupe_key` prevents a second message for the same decision.

    pii: pseudonymous.
    """

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        LEASED = "leased", "being sent"
        ACCEPTED = "accepted", "accepted by the transport"
        EXPIRED = "expired", "expired"
        SUPPRESSED = "suppressed", "suppressed"
        FAILED = "failed", "failed permanently"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dedupe_key = models.CharField(max_length=120)
    device_id = models.UUIDField()
    title = models.CharField(max_length=120)
    body = models.CharField(max_length=480)
    data = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=40, blank=True)
    request_id = models.CharField(max_length=36, blank=True)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dedupe_key"], name="notifications_message_once"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "leased"], settled_at__isnull=True)
                | (~Q(state__in=["pending", "leased"]) & Q(settled_at__isnull=False)),
                name="notifications_message_settled",
            ),
        ]
        indexes = [
            # The sender claims due messages, oldest first. An expired lease is due again.
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=["pending", "leased"]),
                name="notifications_message_due",
            ),
            models.Index(fields=["device_id", "created_at"], name="notifications_message_device"),
        ]

    def __str__(self) -> str:
        return self.title


class Attempt(models.Model):
    """One call of a transport and its result.

    pii: pseudonymous, through its message.
    """

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        RETRY = "retry", "to be retried"
        FAILED = "failed", "failed permanently"

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attempt_log")
    transport = models.CharField(max_length=20)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    error_code = models.CharField(max_length=60, blank=True)
    provider_id = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} at {self.started_at:%Y-%m-%d %H:%M:%S} UTC"
