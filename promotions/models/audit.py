"""The audit: one row per change of configuration or rights, and per action of staff."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.models.retention import OFFER_DAYS
from promotions.models.tenants import Brand
from promotions.row_policies import VIEW, Keep, Menu, Owner, Remains, Roles, RowPolicy, Section


class AuditRecord(models.Model):
    """Who changed what, when, from which value to which, and why. Triggers write it; none can be altered.

    People are named by the ids of their accounts, so that an erased account leaves a pseudonym.

    pii: ids of accounts of staff, names of operating system users, ids of blocked devices.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="brand_id", partner="partner_id"),
        roles=Roles(brand_manager=VIEW, partner_manager=VIEW),
        menu=Menu(_("Who did it"), Section.OPERATIONS, 5, "manage_search"),
        retention=Keep(by="recorded_at", days=OFFER_DAYS, deleted_by="promotions.services.audit.records.drop_expired"),
        erasure=Remains("it shows what staff did; the ids in it lead to nothing once their rows are erased"),
    )

    class Operation(models.TextChoices):
        INSERT = "insert", _("added")
        UPDATE = "update", _("changed")
        DELETE = "delete", _("deleted")
        ACTION = "action", _("done")

    # Of the database.
    recorded_at = models.DateTimeField()
    operation = models.CharField(max_length=6, choices=Operation.choices)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=120, blank=True)
    # The admin's action, the API call, the command or the task.
    action = models.CharField(max_length=120, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    request_id = models.CharField(_("request id"), max_length=36, blank=True)
    # Joins the rows of one request, command or task.
    deed_id = models.UUIDField(null=True)
    # The model's label, the row's key, and its name at that time, unless it would name a person.
    subject = models.CharField(max_length=80, blank=True)
    subject_id = models.CharField(max_length=64, blank=True)
    subject_label = models.CharField(max_length=200, blank=True)
    parent = models.CharField(max_length=80, blank=True)
    parent_id = models.CharField(max_length=64, blank=True)
    # Column -> [old, new], or -> "changed" if the values are sealed or long.
    changes = models.JSONField()
    # Without constraints: the record outlives both.
    brand = models.ForeignKey(
        Brand, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    partner = models.ForeignKey(
        "geofence.Partner",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )

    class Meta:
        verbose_name = _("audit record")
        verbose_name_plural = _("who did it")
        indexes = [
            # The page, newest first, for the operator and for each tenant; retention.
            models.Index(fields=["recorded_at", "id"], name="promotions_audit_time"),
            models.Index(fields=["brand", "recorded_at"], name="promotions_audit_brand"),
            models.Index(fields=["partner", "recorded_at"], name="promotions_audit_partner"),
            # A row's history page.
            models.Index(fields=["subject", "subject_id", "recorded_at"], name="promotions_audit_subject"),
            models.Index(fields=["parent", "parent_id", "recorded_at"], name="promotions_audit_parent"),
            # What else happened in the same request, command or task.
            models.Index(fields=["deed_id"], name="promotions_audit_deed"),
            models.Index(fields=["request_id"], name="promotions_audit_request"),
        ]

    def __str__(self) -> str:
        return f"{self.recorded_at:%Y-%m-%d %H:%M:%S} UTC"
