"""Rows of the audit: write one for an action, find those of a row, delete expired ones. Triggers write all others."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model, Q, QuerySet

from promotions.database.acting import Deed, current_deed
from promotions.models import AuditRecord
from promotions.row_policies.audits import find_audit
from promotions.row_policies.queries import find_cutoff, find_policy


def record_action(
    *,
    model: type[Model] | None = None,
    pk: object = None,
    changes: Mapping[str, Any] | None = None,
    deed: Deed | None = None,
) -> None:
    """Record that the deed was done, in the caller's transaction: for what changes no audited table.

    `changes` counts what was done, such as `{"recalled": [None, 3]}`. Without a deed, the database names the actor.
    """
    deed = deed or current_deed()
    row = model._base_manager.filter(pk=pk).first() if model is not None and pk is not None else None
    owner = _find_owner(row)
    audit = find_audit(model) if model is not None else None
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD_SQL,
            {
                "deed": deed.serialize() if deed else "",
                "subject": model._meta.label_lower if model is not None else "",
                "subject_id": "" if pk is None else str(pk),
                "label": str(getattr(row, audit.label)) if row is not None and audit and audit.label else "",
                "changes": json.dumps(changes or {}),
                "brand_id": owner[0],
                "partner_id": owner[1],
            },
        )


def _find_owner(row: Model | None) -> tuple[int | None, int | None]:
    """Return the brand and the partner that own the row, by its policy. A partner that only views it does not."""
    policy = find_policy(type(row)) if row is not None else None
    if row is None or policy is None:
        return None, None
    owner, same = policy.owner, type(row)._base_manager.filter(pk=row.pk)
    brand_id = same.values_list(owner.brand, flat=True).first() if owner.brand else None
    is_own = owner.partner and not owner.partners_only_view
    return brand_id, same.values_list(str(owner.partner), flat=True).first() if is_own else None


def is_recorded(deed: Deed) -> bool:
    """Return whether the audit has a row of this deed. One query."""
    return AuditRecord.objects.filter(deed_id=deed.id).exists()


def find_history(row: Model) -> QuerySet[AuditRecord]:
    """Return the records of a row and of what is edited on its page, newest first."""
    label, key = row._meta.label_lower, str(row.pk)
    own = Q(subject=label, subject_id=key) | Q(parent=label, parent_id=key)
    return AuditRecord.objects.filter(own).order_by("-recorded_at", "-pk")


def drop_expired(*, now: datetime) -> int:
    """Delete expired records; return how many. The only way to delete any: PostgreSQL refuses younger ones."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT promotions_drop_audit(%s)", [find_cutoff(AuditRecord, now=now)])
        dropped = int(cursor.fetchone()[0])
    if dropped:
        record_action(model=AuditRecord, changes={"deleted": [None, dropped]})
    return dropped


_RECORD_SQL = """
SELECT promotions_record_action(
    %(deed)s, %(subject)s, %(subject_id)s, %(label)s, %(changes)s::jsonb, %(brand_id)s, %(partner_id)s
)
"""
