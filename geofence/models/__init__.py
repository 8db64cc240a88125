"""Models of places and presence. The rules are in `logic/`, the functions in `services/`."""

from geofence.models.places import FenceSet, Geofence, GeofenceRevision, Partner, Store
from geofence.models.presence import LastFix, Presence, Visit

__all__ = ["FenceSet", "Geofence", "GeofenceRevision", "LastFix", "Partner", "Presence", "Store", "Visit"]
