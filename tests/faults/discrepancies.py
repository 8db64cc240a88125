"""The history and the database side by side, once nothing is under way any more."""

from collections import Counter

from django.conf import settings

from notifications.models import Message
from promotions.logic import codes
from promotions.models import DeadLetter, Redemption
from tests.faults.history import Discrepancies, History, Ledger, check_once, check_walks, read_ledger
from tests.faults.stage import Stage, read_effects, read_opportunities


def compare(stage: Stage, history: History) -> Discrepancies:
    """All that the clients were promised against all that is there."""
    stage.drain()
    walks, shops, till = (read_ledger(history.path, kind) for kind in ("walk", "shop", "redeem"))
    effects, last_fix_ms = read_effects(set(walks.invoked))
    discrepancies = check_walks(walks, effects, last_fix_ms)
    shopped = [one for one in read_opportunities(stage.world.campaign) if one[0] in shops.invoked]
    discrepancies += check_once(shops, shopped)
    discrepancies += _check_messages(shops, shopped, walks)
    discrepancies += _check_redemptions(till)
    return discrepancies


def require_clean(stage: Stage, history: History) -> dict[str, object]:
    """Fail unless nothing is missing, twice, uncalled for or out of order; the figures of the run."""
    discrepancies = compare(stage, history)
    assert discrepancies.is_clean, discrepancies
    assert not DeadLetter.objects.exists(), list(DeadLetter.objects.values_list("reason", flat=True))
    ledgers = [read_ledger(history.path, kind) for kind in ("walk", "shop", "redeem")]
    outcomes = sum((ledger.outcomes for ledger in ledgers), Counter[str]())
    return {
        "acknowledged": sum(ledger.acknowledged_count for ledger in ledgers),
        "operations": " ".join(f"{count} {name}" for name, count in sorted(outcomes.items())),
        "sent again": sum(count - 1 for count in stage.sent_messages().values()),
    }


def _check_messages(shops: Ledger, shopped: list[tuple[str, int | str]], walks: Ledger) -> Discrepancies:
    """One sent message per opportunity, and none to the walkers, whose fixes are hours old."""
    rows = Message.objects.filter(device_id__in=[*shops.invoked, *walks.invoked])
    messages = Ledger(
        invoked={who: {"message"} for who, _ in shopped}, acknowledged={who: {"message"} for who, _ in shopped}
    )
    handed_over = rows.filter(state=Message.State.ACCEPTED).values_list("device_id", flat=True)
    discrepancies = check_once(messages, [(str(device_id), "message") for device_id in handed_over])
    discrepancies.missing += [(str(row.device_id), row.state) for row in rows.exclude(state=Message.State.ACCEPTED)]
    return discrepancies


def _check_redemptions(till: Ledger) -> Discrepancies:
    """Each coupon that the server reported as redeemed is redeemed once."""
    pepper = settings.CODE_SECRET.encode()
    digests = {
        bytes(codes.digest(pepper, codes.normalise(str(code)))): code for code in till.invoked.get("till", set())
    }
    taken = Redemption.objects.filter(coupon__code_digest__in=list(digests), is_live=True)
    rows = taken.values_list("coupon__code_digest", flat=True)
    return check_once(till, [("till", digests[bytes(digest)]) for digest in rows])
