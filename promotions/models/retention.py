"""Rows that retention deleted per day: the baseline for the usual amount."""

from django.db import models


class DeletedRows(models.Model):
    """Number of rows of a table that retention deleted on one UTC day.

    pii: none.
    """

    table = models.CharField(max_length=63)
    day = models.DateField()
    rows = models.PositiveBigIntegerField()

    class Meta:
        ordering = ["-day", "table"]
        verbose_name_plural = "deleted rows"
        constraints = [models.UniqueConstraint(fields=["table", "day"], name="promotions_deleted_rows_day")]

    def __str__(self) -> str:
        return f"{self.table} {self.day}"
