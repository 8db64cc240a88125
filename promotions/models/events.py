"""The event log: one row per thing that happened, never changed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.models.campaigns import Campaign
from promotions.models.retention import OFFER_DAYS
from promotions.row_policies import Delete, Export, Keep, Menu, RowPolicy, Section


class Event(models.Model):
    """One thing that happened to a device, written in the transaction of the thing itself. A trigger refuses updates.

    PostgreSQL partitions the table by the month of `occurred_at` and fills in `position`, the order in which consumers
    read. `promotions/services/events.py` is the only writer.

    pii: pseudonymous location event.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Events"), Section.FACTS, 5, "history"),
        # A month is dropped as a whole, once its first event is older.
        retention=Keep(
            by="occurred_at", days=OFFER_DAYS, deleted_by="promotions.services.event_partitions.drop_expired"
        ),
        erasure=Delete(by="device_id"),
        export=Export(
            order_by="occurred_at", columns=("id", "kind", "occurred_at", "campaign__uuid", "store__uuid", "payload")
        ),
    )

    # Derived from the kind and the key of what happened. In PostgreSQL the key is (id, occurred_at): see ADR 39.
    id = models.UUIDField(primary_key=True, editable=False)
    position = models.BigIntegerField(editable=False)
    kind = models.CharField(max_length=40)
    occurred_at = models.DateTimeField()
    device_id = models.UUIDField()
    # Without constraints: a month is dropped as a whole, and an insert checks no other table.
    campaign = models.ForeignKey(
        Campaign, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    store = models.ForeignKey(
        "geofence.Store", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="+"
    )
    payload = models.JSONField()

    class Meta:
        indexes = [
            # The timeline of a device; export and erasure.
            models.Index(fields=["device_id", "occurred_at"], name="promotions_event_device"),
            # Consumers: what comes after a cursor.
            models.Index(fields=["position"], name="promotions_event_position"),
        ]

    def __str__(self) -> str:
        return self.kind
