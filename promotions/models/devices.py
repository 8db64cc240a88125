"""Devices and the consents of their owners."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import (
    Audit,
    Cascade,
    ExpiredBy,
    Export,
    ExportedBy,
    Forever,
    Menu,
    Remains,
    RowPolicy,
    Section,
    Subject,
    WithParent,
)


class Purpose(models.TextChoices):
    """Purposes a person can consent to, each separately."""

    GEO_MATCH = "geo_match", "compare my position with stores"
    MESSAGES = "messages", "send me offers"
    FRAUD_CHECKS = "fraud_checks", "use signals against cheating"
    STATISTICS = "statistics", "count me in statistics"


class Device(models.Model):
    """One installation of an app: an anonymous id, without data of the person.

    `consents` is the current state of the ledger, stored here so that the pipeline reads it with the row.

    pii: pseudonymous id, platform, locale, segments of the brand.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Devices"), Section.FACTS, 100, "smartphone"),
        retention=Forever("while it is registered"),
        erasure=Subject(),
        export=ExportedBy("promotions.services.devices.erasure.export_device"),
        # The person's own changes are in the event log.
        audit=Audit(only=("is_blocked",), operations=("update",)),
    )

    class Platform(models.TextChoices):
        ANDROID = "android", "Android"
        IOS = "ios", "iOS"
        WEB = "web", "web"
        OTHER = "other", "other"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    platform = models.CharField(max_length=8, choices=Platform.choices)
    app_id = models.CharField(max_length=120, blank=True)
    locale = models.CharField(max_length=35, blank=True)
    consents = ArrayField(models.CharField(max_length=16, choices=Purpose.choices), default=list)
    # Codes that a campaign can require. `services/devices/segments.py` sets them; the app cannot.
    segments = ArrayField(models.CharField(max_length=40), default=list, db_default=[], blank=True)
    registered_at = models.DateTimeField()
    # Access tokens issued before this instant are refused.
    tokens_not_before = models.DateTimeField(null=True)
    is_blocked = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["registered_at"], name="promotions_device_registered"),
            # Used for each batch: devices whose fixes the pipeline may process.
            models.Index(
                fields=["id"],
                condition=Q(is_blocked=False, consents__contains=[Purpose.GEO_MATCH]),
                name="promotions_device_matchable",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Consent(models.Model):
    """The ledger: one row per purpose and change. A database trigger refuses updates.

    pii: proof of consent.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Consents"), Section.FACTS, 110, "verified_user"),
        retention=WithParent("device"),
        erasure=Cascade(by="device_id"),
        export=Export(
            order_by="recorded_at", columns=("purpose", "is_granted", "text_version", "locale", "recorded_at")
        ),
    )

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="consent_log")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    is_granted = models.BooleanField()
    text_version = models.CharField(max_length=64, blank=True)
    locale = models.CharField(max_length=35, blank=True)
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["device", "recorded_at"], name="promotions_consent_device")]

    def __str__(self) -> str:
        return f"{self.purpose}: {'granted' if self.is_granted else 'withdrawn'}"


class RevocationNotice(models.Model):
    """A notice for the fix lanes: a device's credentials were revoked early, or the device may post again.

    Written in the transaction of the change, and sent until it is received. It is the only row that an erasure leaves.

    pii: bare id of a device, also of an erased one.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Revocation notices"), Section.FACTS, 130, "key_off"),
        retention=ExpiredBy(
            "promotions.services.devices.revocation_notices.find_outlived",
            until="until it is received and the credentials it revokes have expired",
        ),
        erasure=Remains("the fix lanes must still reject the credentials of an erased device"),
    )

    subject = models.UUIDField(
        primary_key=True, help_text="The device. Not a foreign key, as the device may be erased."
    )
    tokens_not_before = models.DateTimeField()
    blocked = models.CharField(max_length=20, blank=True, help_text="Why the device is blocked; empty if it is not.")
    is_heard = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["subject"], condition=Q(is_heard=False), name="promotions_notice_unheard"),
        ]

    def __str__(self) -> str:
        return str(self.subject)
