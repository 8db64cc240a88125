"""Policies of the models in `geofence` and `notifications`. The two libraries know no brands, roles or menus.

Keys are model labels, so that this module imports no model.
"""

from django.utils.translation import gettext_lazy as _

from promotions.row_policies.declarations import (
    EDIT,
    VIEW,
    Audit,
    Blanked,
    Cascade,
    Delete,
    Export,
    ExportedBy,
    Forever,
    Keep,
    Menu,
    NotPersonal,
    Owner,
    Roles,
    RowPolicy,
    Section,
    Unlisted,
    WithParent,
)

LIBRARIES = ("geofence", "notifications")

LIBRARY_POLICIES: dict[str, RowPolicy] = {
    "geofence.Partner": RowPolicy(
        owner=Owner(partner="pk", brands_view_all=True),
        roles=Roles(brand_manager=VIEW, brand_analyst=VIEW, partner_manager=VIEW),
        menu=Menu(_("Partners"), Section.PLACES, 40, "handshake"),
        retention=Forever("until the operator deletes it in admin"),
        erasure=NotPersonal(),
        audit=Audit(label="name"),
    ),
    "geofence.Store": RowPolicy(
        owner=Owner(partner="partner_id", brands_view_all=True),
        # Deleting a store would delete its visits; `is_active` switches it off.
        roles=Roles(brand_manager=VIEW, brand_analyst=VIEW, partner_manager=EDIT),
        menu=Menu(_("Stores"), Section.PLACES, 10, "storefront"),
        retention=Forever("until the operator deletes it in admin"),
        erasure=NotPersonal(),
        audit=Audit(label="name", ignored=("location",)),
    ),
    "geofence.Geofence": RowPolicy(
        owner=Owner(partner="store__partner_id", brands_view_all=True),
        # Deleting a fence would delete its visits; `is_active` switches it off.
        roles=Roles(brand_manager=VIEW, brand_analyst=VIEW, partner_manager=EDIT),
        menu=Menu(_("Geofences"), Section.PLACES, 20, "location_on"),
        retention=WithParent("store"),
        erasure=NotPersonal(),
        audit=Audit(label="role", ignored=("version", "updated_at"), parent="store_id"),
    ),
    "geofence.GeofenceRevision": RowPolicy(
        owner=Owner(partner="geofence__store__partner_id", brands_view_all=True),
        roles=Roles(partner_manager=VIEW),
        menu=Menu(_("Geofence revisions"), Section.PLACES, 30, "history"),
        retention=WithParent("geofence"),
        erasure=NotPersonal(),
    ),
    "geofence.FenceSet": RowPolicy(
        menu=Unlisted("one row, which only the database changes"),
        retention=Forever("one row"),
        erasure=NotPersonal(),
    ),
    "geofence.Visit": RowPolicy(
        menu=Menu(_("Visits"), Section.FACTS, 10, "directions_walk"),
        retention=Keep(by="last_inside_at", days=30),
        erasure=Delete(by="device_id"),
        export=Export(
            order_by="entered_at",
            columns=(
                "id",
                "store__uuid",
                "store__name",
                "geofence_version",
                "entered_at",
                "last_inside_at",
                "confirmed_at",
                "confirmed_by",
                "exited_at",
                "exit_reason",
            ),
        ),
    ),
    "geofence.Presence": RowPolicy(
        menu=Menu(_("Presences"), Section.FACTS, 140, "my_location"),
        retention=Keep(by="last_fix_at", days=30),
        erasure=Delete(by="device_id"),
        export=Export(
            order_by="geofence_id",
            columns=(
                "geofence__uuid",
                "geofence__store__uuid",
                "state",
                "last_fix_at",
                "entered_at",
                "inside_since_at",
                "last_inside_at",
                "left_at",
                "departing_at",
                "dwelled_at",
                "barred",
                "inside_fixes",
                "best_accuracy_m",
            ),
        ),
    ),
    "geofence.LastFix": RowPolicy(
        menu=Menu(_("Last fixes"), Section.FACTS, 150, "schedule"),
        retention=Keep(
            # Until then the time of the last fix identifies late fixes.
            by="received_at",
            days=30,
            blanked=Blanked("its cell and its point", hours=24, function="geofence.services.retention.blank_cells"),
        ),
        erasure=Delete(by="device_id"),
        export=Export(
            order_by="fix_time",
            columns=(
                "fix_time",
                "received_at",
                "cell_latitude_deg",
                "cell_longitude_deg",
                "cell_at",
                "point_digest",
                "repeats",
                "jump_hold_until",
                "away_since_at",
            ),
        ),
    ),
    "notifications.PushAddress": RowPolicy(
        menu=Menu(_("Push addresses"), Section.FACTS, 120, "alternate_email"),
        retention=Forever("while the device is registered"),
        erasure=Delete(by="device_id"),
        export=ExportedBy("notifications.services.export_device"),
    ),
    "notifications.Message": RowPolicy(
        menu=Menu(_("Messages"), Section.FACTS, 30, "chat"),
        retention=Keep(by="created_at", days=30),
        erasure=Delete(by="device_id"),
        export=ExportedBy("notifications.services.export_device"),
    ),
    "notifications.Attempt": RowPolicy(
        menu=Menu(_("Attempts"), Section.FACTS, 40, "send"),
        retention=WithParent("message"),
        erasure=Cascade(by="message__device_id"),
        export=ExportedBy("notifications.services.export_device"),
    ),
}
