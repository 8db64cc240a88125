"""The desk: decisions on who pays for a benefit that was given offline against the rules."""

from datetime import datetime

from django.contrib.auth.models import User

from promotions.models import OfflineScan


def decide_scan(*, scan_id: int, decision: OfflineScan.Decision, user: User, now: datetime) -> bool:
    """Decide a conflict or a scan out of policy, once: False when it has a decision already, or needs none.

    One conditional update. The page checks whether the scan is the user's to decide.
    """
    return bool(
        OfflineScan.objects.filter(pk=scan_id, decision="")
        .exclude(outcome=OfflineScan.Outcome.ACCEPTED)
        .update(decision=decision, decided_by=user, decided_at=now)
    )
