"""Users, roles and memberships: pages for the operator only."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from promotions import clock
from promotions.admin.base import Scoped, TenantAdmin
from promotions.admin.reasons import asks_reason
from promotions.models import Membership
from promotions.services.accounts.factors import remove_all_factors
from promotions.services.accounts.security_log import NOWHERE

admin.site.unregister(User)
admin.site.unregister(Group)


class MembershipInline(Scoped, TabularInline):
    """The brands and partners for which a user acts, one per row."""

    model = Membership
    extra = 0
    autocomplete_fields = ["brand", "partner"]


@admin.register(User)
class UserAdmin(Scoped, DjangoUserAdmin[User], ModelAdmin):
    """Users. A role without a membership shows no rows; a membership without a role grants no permission."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [MembershipInline]
    list_display = ["username", "email", "roles", "is_active", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_superuser", "groups"]
    filter_horizontal = ["groups"]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("Role", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    readonly_fields = ["last_login", "date_joined"]
    actions = ["remove_factors"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_inlines(self, request: HttpRequest, obj: User | None = None) -> list[type[TabularInline]]:
        """Show memberships once the user exists."""
        return [MembershipInline] if obj else []

    def has_remove_factors_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @action(description=_("Remove lost second factors and end sessions"), permissions=["remove_factors"])
    @asks_reason(_("The phone was lost or stolen."), _("The phone was replaced."))
    def remove_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Lead the users to a new enrolment at their next sign-in. The operator's own account is left out."""
        others = [user for user in queryset if user != request.user]
        for user in others:
            remove_all_factors(user=user, origin=NOWHERE, now=clock.now())
        self.message_user(
            request,
            ngettext(
                "The second factors of %(count)d user were removed.",
                "The second factors of %(count)d users were removed.",
                len(others),
            )
            % {"count": len(others)},
        )

    @display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or ("operator" if user.is_superuser else "–")


@admin.register(Group)
class GroupAdmin(Scoped, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Roles. Every `migrate` resets the permissions of the product's own roles."""


@admin.register(Membership)
class MembershipAdmin(TenantAdmin):
    list_display = ["user", "brand", "partner"]
    list_select_related = ["user", "brand", "partner"]
    list_filter = ["brand", "partner"]
    search_fields = ["user__username", "brand__name", "partner__name"]
    autocomplete_fields = ["user", "brand", "partner"]
