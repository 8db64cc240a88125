"""Admin pages of stores, fences, visits and presence, without permissions.

`promotions.admin` adds tenancy to these classes and registers them.
"""

from geofence.admin.facts import LastFixAdmin, PresenceAdmin, VisitAdmin, at_store
from geofence.admin.fences import FenceSetAdmin, GeofenceAdmin, GeofenceRevisionAdmin
from geofence.admin.stores import PartnerAdmin, StoreAdmin

__all__ = [
    "FenceSetAdmin",
    "GeofenceAdmin",
    "GeofenceRevisionAdmin",
    "LastFixAdmin",
    "PartnerAdmin",
    "PresenceAdmin",
    "StoreAdmin",
    "VisitAdmin",
    "at_store",
]
