"""Sign-ins of business users: their sessions, counted attempts, and the security log."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import Keep, Menu, NotPersonal, Remains, RowPolicy, Section


class AdminSession(models.Model):
    """A session of a business user, from the sign-in to its end.

    `stamp` is a digest of the account's password, state and roles at the sign-in. The session is valid while the
    account still has this digest.

    pii: account of a business user, with a coarse network and the name of the browser.
    """

    class Method(models.TextChoices):
        """The credential that completed the sign-in."""

        PASSWORD = "password", _("password only")
        TOTP = "totp", _("password and code")
        PASSKEY = "passkey", _("passkey")
        RECOVERY_CODE = "recovery_code", _("password and recovery code")

    class EndReason(models.TextChoices):
        """The reason for which a session ended."""

        SIGNED_OUT = "signed_out", _("signed out")
        ENDED_BY_USER = "ended_by_user", _("ended by the user")
        ACCOUNT_CHANGED = "account_changed", _("password, role or state changed")
        FACTOR_REMOVED = "factor_removed", _("second factor removed")
        EXPIRED = "expired", _("too old or idle")
        FACTOR_MISSING = "factor_missing", _("signed in without a second factor")

    row_policy = RowPolicy(
        menu=Menu(_("Sessions"), Section.OPERATIONS, 31, "devices"),
        retention=Keep(by="last_seen_at", days=90),
        erasure=Remains("deleted with the user, or after 90 days"),
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="admin_sessions")
    method = models.CharField(_("signed in with"), max_length=20, choices=Method)
    device = models.CharField(_("browser"), max_length=80)
    network = models.CharField(_("network"), max_length=60)
    stamp = models.CharField(max_length=64, editable=False)
    signed_in_at = models.DateTimeField(_("signed in"))
    confirmed_at = models.DateTimeField(_("last confirmed"))
    last_seen_at = models.DateTimeField(_("last seen"))
    ended_at = models.DateTimeField(_("ended"), null=True)
    end_reason = models.CharField(_("reason of the end"), max_length=20, choices=EndReason, blank=True, default="")

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        ordering = ["-last_seen_at"]
        indexes = [models.Index(fields=["last_seen_at"], name="promotions_admin_session_age")]

    def __str__(self) -> str:
        return f"{self.device}, {self.network}"


class SignInCounter(models.Model):
    """Failed attempts of an account, a network, or an account in a network. The key is a digest.

    pii: none.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Sign-in counters"), Section.OPERATIONS, 37, "lock_clock"),
        retention=Keep(by="since_at", hours=24, is_short_lived=True),
        erasure=NotPersonal(),
    )

    key = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    since_at = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("sign-in counter")
        verbose_name_plural = _("sign-in counters")
        ordering = ["-since_at"]
        indexes = [models.Index(fields=["since_at"], name="promotions_sign_in_counter_age")]

    def __str__(self) -> str:
        return self.key[:12]


class SecurityEvent(models.Model):
    """A line of the security log: an event of an account. `account` remains when the user is deleted.

    pii: account of a business user, with a coarse network and the name of the browser.
    """

    class Kind(models.TextChoices):
        """The kinds of events."""

        SIGNED_IN = "signed_in", _("signed in")
        SIGN_IN_FAILED = "sign_in_failed", _("sign-in failed")
        LOCKED_OUT = "locked_out", _("locked out")
        SESSION_ENDED = "session_ended", _("session ended")
        PASSWORD_CHANGED = "password_changed", _("password changed")
        FACTOR_ADDED = "factor_added", _("second factor added")
        FACTOR_REMOVED = "factor_removed", _("second factor removed")
        RECOVERY_CODES_MADE = "recovery_codes_made", _("recovery codes made")
        RECOVERY_CODE_USED = "recovery_code_used", _("recovery code used")
        RESET_ASKED = "reset_asked", _("password reset asked for")
        RESET_DONE = "reset_done", _("password reset done")
        INVITED = "invited", _("invited")
        INVITATION_ACCEPTED = "invitation_accepted", _("invitation accepted")
        INVITATION_REVOKED = "invitation_revoked", _("invitation revoked")

    row_policy = RowPolicy(
        menu=Menu(_("Security log"), Section.OPERATIONS, 32, "policy"),
        retention=Keep(by="occurred_at", days=365),
        erasure=Remains("deleted after a year"),
    )

    occurred_at = models.DateTimeField(_("time"))
    kind = models.CharField(_("event"), max_length=30, choices=Kind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="security_events",
        verbose_name=_("user"),
    )
    account = models.CharField(_("account"), max_length=150, blank=True, default="")
    device = models.CharField(_("browser"), max_length=80, blank=True, default="")
    network = models.CharField(_("network"), max_length=60, blank=True, default="")
    detail = models.CharField(_("detail"), max_length=120, blank=True, default="")

    class Meta:
        verbose_name = _("security event")
        verbose_name_plural = _("security log")
        ordering = ["-occurred_at"]
        indexes = [models.Index(fields=["occurred_at"], name="promotions_security_event_age")]

    def __str__(self) -> str:
        return f"{self.kind} {self.account}"
