"""Brands and the tokens that their systems use to read reports."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from promotions import clock
from promotions.admin.base import ScopedRelatedFilter, TenantAdmin
from promotions.admin.reasons import asks_reason
from promotions.admin.secrets import show_secret
from promotions.models import Brand, BrandToken
from promotions.services.accounts.brand_tokens import create_brand_token


@admin.register(Brand)
class BrandAdmin(TenantAdmin):
    # Repeated here because a grouped query ignores the model's ordering.
    ordering = ["name"]
    list_display = ["name", "campaigns_count"]
    search_fields = ["name"]
    readonly_fields = ["uuid"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Brand]:
        return super().get_queryset(request).annotate(campaigns_count=Count("campaigns"))

    @display(description="campaigns", ordering="campaigns_count")
    def campaigns_count(self, brand: Any) -> int:
        return int(brand.campaigns_count)


@admin.register(BrandToken)
class BrandTokenAdmin(TenantAdmin):
    """Tokens are created here, shown once and revoked here."""

    list_display = ["label", "brand", "created_at", "is_live"]
    list_filter = [("brand", ScopedRelatedFilter)]
    list_select_related = ["brand"]
    search_fields = ["label", "brand__name"]
    fields = ["brand", "label"]
    actions = ["revoke"]

    def get_fields(self, request: HttpRequest, obj: BrandToken | None = None) -> list[str]:
        return ["brand", "label", *(["created_at", "revoked_at"] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: BrandToken | None = None) -> list[str]:
        """Do not move a token to another brand."""
        return ["brand", "created_at", "revoked_at"] if obj else []

    @display(description="valid", boolean=True)
    def is_live(self, token: BrandToken) -> bool:
        return token.revoked_at is None

    def save_model(self, request: HttpRequest, obj: BrandToken, form: ModelForm[BrandToken], change: bool) -> None:
        """Create a token through the service; keep its text for the page that shows it."""
        if change:
            obj.save(update_fields=["label"])
            return
        now = clock.now()
        request._new_secret = create_brand_token(brand=obj.brand, label=obj.label, now=now)  # type: ignore[attr-defined]
        obj.pk = BrandToken.objects.filter(brand=obj.brand, created_at=now).latest("pk").pk

    def response_add(self, request: HttpRequest, obj: BrandToken, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token, on this page only."""
        return show_secret(
            request,
            page=self,
            title=f"Token “{obj.label}” of {obj.brand}",
            secret=request._new_secret,  # type: ignore[attr-defined]
            advice="Send it as “Authorization: Bearer …” to read this brand's campaign reports. "
            "It is not shown again: only its digest is stored.",
        )

    @admin.action(description=_("Revoke"), permissions=["change"])
    @asks_reason(_("It is no longer used."), _("It may have leaked."), _("It is replaced by a new one."))
    def revoke(self, request: HttpRequest, queryset: QuerySet[BrandToken]) -> None:
        """Revoke the tokens. Revoking twice changes nothing."""
        count = queryset.filter(revoked_at=None).update(revoked_at=clock.now())
        self.message_user(request, f"{count} revoked.")
