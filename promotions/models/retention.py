"""What retention deleted on which day: the measure of what is usual."""

from django.db import models


class DeletedRows(models.Model):
    """Rows of a table that retention deleted on one day, UTC.

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
