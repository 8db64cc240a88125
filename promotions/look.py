"""The admin's face: its colours and its menu. Read by settings, so nothing of Django's models may be imported here."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _may_view(permission: str) -> Callable[[HttpRequest], bool]:
    app_label, model_name = permission.split(".")
    return lambda request: request.user.has_perm(f"{app_label}.view_{model_name}")


def _item(title: Any, icon: str, model: str) -> dict[str, Any]:
    """A model's page. The title is the model's own name, which heads the page: a test compares them."""
    app_label, model_name = model.split(".")
    link = reverse_lazy(f"admin:{app_label}_{model_name}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": _may_view(model)}


NAVIGATION = [
    {
        "items": [{"title": _("Overview"), "icon": "dashboard", "link": reverse_lazy("admin:index")}],
    },
    {
        "title": _("Campaigns"),
        "items": [
            _item(_("Campaigns"), "campaign", "promotions.campaign"),
            _item(_("Brands"), "sell", "promotions.brand"),
            _item(_("Brand tokens"), "key", "promotions.brandtoken"),
        ],
    },
    {
        "title": _("Places"),
        "items": [
            _item(_("Stores"), "storefront", "geofence.store"),
            _item(_("Geofences"), "location_on", "geofence.geofence"),
            _item(_("Geofence revisions"), "history", "geofence.geofencerevision"),
            _item(_("Partners"), "handshake", "geofence.partner"),
        ],
    },
    {
        "title": _("At the till"),
        "items": [
            _item(_("Staff devices"), "point_of_sale", "promotions.staffdevice"),
            _item(_("Staff enrolments"), "qr_code_2", "promotions.staffenrolment"),
            _item(_("Staff members"), "badge", "promotions.staffmember"),
            {
                **_item(_("Redemptions"), "redeem", "promotions.redemption"),
                # Till signals lie beneath, and have a line of their own.
                "active": lambda request: "/redemption/" in request.path and "/redemption/signals/" not in request.path,
            },
            _item(_("Voids"), "undo", "promotions.void"),
            _item(_("Offline scans"), "wifi_off", "promotions.offlinescan"),
            {
                "title": _("Till signals"),
                "icon": "flag",
                "link": reverse_lazy("admin:promotions_redemption_signals"),
                "permission": _may_view("promotions.redemption"),
            },
        ],
    },
    {
        "title": _("Facts"),
        "collapsible": True,
        "items": [
            _item(_("Visits"), "directions_walk", "geofence.visit"),
            _item(_("Opportunities"), "ads_click", "promotions.opportunity"),
            _item(_("Messages"), "chat", "notifications.message"),
            _item(_("Attempts"), "send", "notifications.attempt"),
            _item(_("Refusals"), "block", "promotions.refusal"),
            _item(_("Reservations"), "hourglass_top", "promotions.reservation"),
            _item(_("Unlocks"), "lock_open", "promotions.unlock"),
            _item(_("Coupons"), "confirmation_number", "promotions.coupon"),
            _item(_("Winning moments"), "emoji_events", "promotions.winningmoment"),
            _item(_("Devices"), "smartphone", "promotions.device"),
            _item(_("Consents"), "verified_user", "promotions.consent"),
            _item(_("Push addresses"), "alternate_email", "notifications.pushaddress"),
            _item(_("Revocation notices"), "key_off", "promotions.revocationnotice"),
            _item(_("Presences"), "my_location", "geofence.presence"),
            _item(_("Last fixes"), "schedule", "geofence.lastfix"),
            _item(_("Point sightings"), "pin_drop", "promotions.pointsighting"),
            _item(_("Store code uses"), "qr_code", "promotions.storecodeuse"),
            _item(_("Spent presence tokens"), "verified", "promotions.spentpresencetoken"),
        ],
    },
    {
        "title": _("Operations"),
        "collapsible": True,
        "items": [
            _item(_("Users"), "person", "auth.user"),
            _item(_("Groups"), "badge", "auth.group"),
            _item(_("Memberships"), "group", "promotions.membership"),
            _item(_("Dead letters"), "mark_email_unread", "promotions.deadletter"),
            _item(_("Shard cursors"), "linear_scale", "promotions.shardcursor"),
            _item(_("Deleted rows"), "auto_delete", "promotions.deletedrows"),
            _item(_("Job records"), "schedule", "promotions.jobrecord"),
            _item(_("Idempotency records"), "replay", "promotions.idempotencyrecord"),
            _item(_("Budgets"), "savings", "promotions.budget"),
            _item(_("Withdrawn coupons"), "block", "promotions.withdrawncoupon"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Doorstep",
    "SITE_HEADER": "Doorstep",
    "SITE_SYMBOL": "storefront",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("promotions/admin/favicon.svg")}
    ],
    "STYLES": [lambda request: static("promotions/admin/admin.css")],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "promotions.admin.dashboard.fill_dashboard",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": NAVIGATION},
    "COLORS": {
        # A teal that keeps 4.5:1 on white from 600 on.
        "primary": {
            "50": "oklch(98.4% .014 180.72)",
            "100": "oklch(95.3% .051 180.801)",
            "200": "oklch(91% .096 180.426)",
            "300": "oklch(85.5% .138 181.071)",
            "400": "oklch(77.7% .152 181.912)",
            "500": "oklch(60% .118 184.704)",
            "600": "oklch(51.1% .096 186.391)",
            "700": "oklch(43.7% .078 188.216)",
            "800": "oklch(38.6% .063 188.416)",
            "900": "oklch(33% .055 190)",
            "950": "oklch(27.7% .046 192.524)",
        },
    },
}
