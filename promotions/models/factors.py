"""Second factors of business users: codes of an app, passkeys, and recovery codes."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import Audit, Menu, Remains, RowPolicy, Section, WithParent


class SecondFactor(models.Model):
    """An app that shows codes, or a passkey.

    The app's secret is encrypted. Of a passkey only the public key is stored.

    pii: account of a business user.
    """

    class Kind(models.TextChoices):
        """The kinds of factors."""

        TOTP = "totp", _("app with codes")
        PASSKEY = "passkey", _("passkey")

    row_policy = RowPolicy(
        menu=Menu(_("Second factors"), Section.OPERATIONS, 33, "passkey"),
        retention=WithParent("user"),
        erasure=Remains("deleted with the user"),
        audit=Audit(
            parent="user_id",
            sealed=("label", "secret", "credential", "credential_id"),
            ignored=("last_step", "sign_count", "used_at"),
        ),
    )

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factors", verbose_name=_("user")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    label = models.CharField(_("name"), max_length=60)
    secret = models.BinaryField(null=True, editable=False)
    # The step of the last code: a code is accepted once.
    last_step = models.BigIntegerField(default=0, db_default=0, editable=False)
    credential_id = models.BinaryField(max_length=1023, null=True, unique=True, editable=False)
    credential = models.BinaryField(max_length=4096, null=True, editable=False)
    sign_count = models.BigIntegerField(default=0, db_default=0, editable=False)
    added_at = models.DateTimeField(_("added"))
    used_at = models.DateTimeField(_("last used"), null=True)

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")
        ordering = ["added_at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="totp", secret__isnull=False, credential__isnull=True, credential_id__isnull=True)
                | Q(kind="passkey", secret__isnull=True, credential__isnull=False, credential_id__isnull=False),
                name="promotions_second_factor_kind",
            )
        ]

    def __str__(self) -> str:
        return self.label


class RecoveryCode(models.Model):
    """A code that replaces a lost factor once. Only its digest is stored.

    pii: account of a business user.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Recovery codes"), Section.OPERATIONS, 34, "password"),
        retention=WithParent("user"),
        erasure=Remains("deleted with the user"),
    )

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes", verbose_name=_("user")
    )
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"))
    used_at = models.DateTimeField(_("used"), null=True)

    class Meta:
        verbose_name = _("recovery code")
        verbose_name_plural = _("recovery codes")
        ordering = ["created_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="promotions_recovery_code_digest")]

    def __str__(self) -> str:
        return f"{self.user} {self.created_at}"
