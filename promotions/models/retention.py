"""The retention of business records, and the number of deleted rows per day, from which the usual amount follows."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import Keep, Menu, NotPersonal, RowPolicy, Section

# Thirteen months: a campaign can be compared with the one a year before.
OFFER_DAYS = 396
# After a coupon's end: late scans of offline tills, voids, and till signals.
ENDED_COUPON_DAYS = 30


class DeletedRows(models.Model):
    """Number of rows of a table that retention deleted on one UTC day.

    pii: none.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Deleted rows"), Section.OPERATIONS, 60, "auto_delete"),
        retention=Keep(by="day", days=90),
        erasure=NotPersonal(),
    )

    table = models.CharField(max_length=63)
    day = models.DateField()
    rows = models.PositiveBigIntegerField()

    class Meta:
        ordering = ["-day", "table"]
        verbose_name_plural = "deleted rows"
        constraints = [models.UniqueConstraint(fields=["table", "day"], name="promotions_deleted_rows_day")]

    def __str__(self) -> str:
        return f"{self.table} {self.day}"
