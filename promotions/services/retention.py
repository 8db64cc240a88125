"""Retention in all three apps. Row policies declare how long rows are kept; a late or repeated run changes nothing."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string

from geofence.models import Visit
from notifications.models import Message
from promotions.row_policies import Keep
from promotions.row_policies import queries as row_policies
from promotions.row_policies.libraries import LIBRARIES
from promotions.services.report import outcomes
from promotions.services.retention_ceiling import Ceiling

# Before every visit and message: none has expired.
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def drop_expired(*, now: datetime, allow_large: bool = False) -> Ceiling:
    """Delete what has expired, in all three apps, up to each table's ceiling unless `allow_large`.

    Each statement is on its own. Before visits and messages are deleted, opportunities and refusals keep what the
    report needs of them; if that fails, nothing is deleted.
    """
    ceiling = Ceiling(now, allows_large=allow_large)
    # A table above its ceiling keeps its rows, and the report goes on reading them.
    may_drop: dict[type[Model], bool] = {
        model: ceiling.allows(row_policies.find_expired(model, now=now)) for model in (Visit, Message)
    }
    outcomes.keep_outcomes(
        visits_before=row_policies.find_cutoff(Visit, now=now) if may_drop[Visit] else _NEVER,
        messages_before=row_policies.find_cutoff(Message, now=now) if may_drop[Message] else _NEVER,
    )

    def delete(expired: QuerySet[Any]) -> None:
        if may_drop.get(expired.model, True):
            _delete(expired, ceiling, is_checked=expired.model in may_drop)

    for app_label in (*LIBRARIES, "promotions"):
        row_policies.drop_expired(app_label, now=now, delete=delete)
    return ceiling


def _delete(expired: QuerySet[Any], ceiling: Ceiling, *, is_checked: bool) -> None:
    """Delete the rows of a query up to the table's ceiling, or call the function that the model names for it."""
    retention = row_policies.read_policy(expired.model).retention
    is_short_lived = isinstance(retention, Keep) and retention.is_short_lived
    if not isinstance(retention, Keep) or retention.deleted_by is None:
        ceiling.delete(expired, is_short_lived=is_short_lived, is_checked=is_checked)
    elif ceiling.allows(expired, is_short_lived=is_short_lived):
        ceiling.record(expired.model, import_string(retention.deleted_by)(now=ceiling.now))
