"""Sessions of business users: begun at the sign-in, checked at each request, ended by any change of the account.

A session stores a digest of the account's password, state and roles. The check compares it with the account of today,
so a change ends the session whichever page, command or query made it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.expressions import RawSQL

from promotions.models import AdminSession
from promotions.services.accounts.security_log import Kind, Origin, record_security_event

EndReason = AdminSession.EndReason

# The time last seen is written at most this often.
_SEEN_EVERY_S = 60

_STAMP_SQL = """
    (SELECT encode(sha256(convert_to(concat_ws('|',
        account.password, account.is_active, account.is_staff, account.is_superuser,
        'g' || coalesce((SELECT string_agg(group_id::text, ',' ORDER BY group_id)
                         FROM auth_user_groups WHERE user_id = account.id), ''),
        'p' || coalesce((SELECT string_agg(permission_id::text, ',' ORDER BY permission_id)
                         FROM auth_user_user_permissions WHERE user_id = account.id), ''),
        'm' || coalesce((SELECT string_agg(concat(brand_id, '/', partner_id), ',' ORDER BY brand_id, partner_id)
                         FROM promotions_membership WHERE user_id = account.id), '')
    ), 'UTF8')), 'hex')
    FROM auth_user AS account WHERE account.id = %s)
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """A session after its check. `ended_by` is None while it is valid."""

    session: AdminSession | None
    ended_by: AdminSession.EndReason | None


def compute_stamp(user_id: int) -> str:
    """Return the digest of what a session depends on. Empty: there is no such user."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_STAMP_SQL}", [user_id])
        row = cursor.fetchone()
    return row[0] if row else ""


def begin_session(*, user: User, method: AdminSession.Method, origin: Origin, now: datetime) -> AdminSession:
    """Write the row of a sign-in, and its line in the security log."""
    session = AdminSession.objects.create(
        user=user,
        method=method,
        device=origin.device,
        network=origin.network,
        stamp=compute_stamp(user.pk),
        signed_in_at=now,
        confirmed_at=now,
        last_seen_at=now,
    )
    record_security_event(Kind.SIGNED_IN, user=user, origin=origin, now=now, detail=method.value)
    return session


def check_session(*, session_id: UUID | None, user: User, origin: Origin, now: datetime) -> Checked:
    """Return whether a session is still valid; end it if not. One query while it is."""
    session = None
    if session_id is not None:
        session = (
            AdminSession.objects.filter(pk=session_id, user=user)
            .annotate(stamp_now=RawSQL(_STAMP_SQL.replace("%s", "promotions_adminsession.user_id"), []))
            .first()
        )
    if session is None or session.ended_at is not None:
        return Checked(session, EndReason(session.end_reason) if session else EndReason.EXPIRED)
    reason = _find_end(session, session.stamp_now, now=now)
    if reason is not None:
        end_session(session, reason=reason, user=user, origin=origin, now=now)
        return Checked(session, reason)
    if (now - session.last_seen_at).total_seconds() >= _SEEN_EVERY_S:
        AdminSession.objects.filter(pk=session.pk, last_seen_at__lt=now).update(last_seen_at=now)
    return Checked(session, None)


def _find_end(session: AdminSession, stamp_now: str, *, now: datetime) -> AdminSession.EndReason | None:
    if session.stamp != stamp_now:
        return EndReason.ACCOUNT_CHANGED
    if _is_over(session.last_seen_at, settings.ADMIN_SESSION_IDLE_S, now=now):
        return EndReason.EXPIRED
    if _is_over(session.signed_in_at, settings.ADMIN_SESSION_LIFE_S, now=now):
        return EndReason.EXPIRED
    if settings.REQUIRES_SECOND_FACTOR and session.method == AdminSession.Method.PASSWORD:
        return EndReason.FACTOR_MISSING
    return None


def _is_over(since: datetime, limit_s: int, *, now: datetime) -> bool:
    """Return whether the limit has passed. 0 is no limit."""
    return limit_s > 0 and now - since > timedelta(seconds=limit_s)


def is_confirmed(session: AdminSession, *, now: datetime, within: int = 1) -> bool:
    """Return whether the user has signed in, or confirmed it, within so many times of the confirmation's life."""
    return not _is_over(session.confirmed_at, within * settings.CONFIRMATION_LIFE_S, now=now)


def end_session(
    session: AdminSession, *, reason: AdminSession.EndReason, user: User, origin: Origin, now: datetime
) -> bool:
    """End a session once. Return whether this call ended it."""
    ended = AdminSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=now, end_reason=reason)
    if ended:
        record_security_event(Kind.SESSION_ENDED, user=user, origin=origin, now=now, detail=reason.value)
    return bool(ended)


def end_sessions(
    *, user: User, reason: AdminSession.EndReason, origin: Origin, now: datetime, keep: UUID | None = None
) -> int:
    """End all sessions of a user, except `keep`. Return how many this call ended. Repeatable."""
    running = AdminSession.objects.filter(user=user, ended_at=None)
    if keep is not None:
        running = running.exclude(pk=keep)
    return sum(end_session(session, reason=reason, user=user, origin=origin, now=now) for session in running)


def list_running(*, user: User, now: datetime) -> list[AdminSession]:
    """Return the sessions of a user that are still valid, the last seen first. One query and the account's digest."""
    stamp = compute_stamp(user.pk)
    rows = AdminSession.objects.filter(user=user, ended_at=None).order_by("-last_seen_at")
    return [session for session in rows if _find_end(session, stamp, now=now) is None]


def confirm_session(*, session_id: UUID, now: datetime) -> None:
    """Note that the user has just signed in again inside the session."""
    AdminSession.objects.filter(pk=session_id, ended_at=None).update(confirmed_at=now)


def renew_stamp(*, session_id: UUID, user: User) -> None:
    """Keep the session in which the user has changed the own password."""
    AdminSession.objects.filter(pk=session_id, user=user).update(stamp=compute_stamp(user.pk))
