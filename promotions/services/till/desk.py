"""The desk: who pays for a benefit that was given without network and should not have been."""

from datetime import datetime

from django.contrib.auth.models import User

from promotions.models import OfflineScan


def decide_scan(*, scan_id: int, decision: OfflineScan.Decision, user: User, now: datetime) -> bool:
    """Decide a conflict or a scan out of policy, once: False when somebody has decided, or nothing is to be decided.

    One conditional update. Whether the scan is the user's to decide is asked by the page.
    """
    return bool(
        OfflineScan.objects.filter(pk=scan_id, decision="")
        .exclude(outcome=OfflineScan.Outcome.ACCEPTED)
        .update(decision=decision, decided_by=user, decided_at=now)
    )
