"""The security log: a row for operators and a JSON line for each event of an account. Never secrets or typed texts."""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from promotions.models import SecurityEvent

logger = logging.getLogger(__name__)

Kind = SecurityEvent.Kind


@dataclass(frozen=True, slots=True)
class Origin:
    """Browser and network of a request. Empty: a command or a task."""

    device: str = ""
    # Exact, for limits only: it is neither stored nor logged.
    address: str = ""
    network: str = ""


NOWHERE = Origin()


def record_security_event(
    kind: SecurityEvent.Kind, *, user: User | None, origin: Origin, now: datetime, detail: str = ""
) -> None:
    """Write one line of the log. `user` is None where no account has the name that was typed: it may be a password."""
    account = user.get_username() if user else ""
    SecurityEvent.objects.create(
        occurred_at=now,
        kind=kind,
        user=user,
        account=account,
        device=origin.device,
        network=origin.network,
        detail=detail,
    )
    log_security_event(kind.value, user=user, origin=origin, detail=detail)


def log_security_event(event: str, *, user: User | None, origin: Origin, detail: str = "") -> None:
    """Write the JSON line alone, for events that an attacker could repeat without limit."""
    logger.info(event, extra={"account_id": user.pk if user else None, "network": origin.network, "detail": detail})
