"""What can go wrong in `geofence`. Each error has a stable `code`; HTTP is decided elsewhere."""

from typing import ClassVar

from geofence.logic.geometry import Fault


class GeofenceError(Exception):
    """Base of this app's errors."""

    code: ClassVar[str] = "geofence_error"


class InvalidFenceError(GeofenceError):
    """A fence was refused; `faults` holds everything that is wrong with it."""

    code = "invalid_geofence"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults))
        self.faults = faults


class UnknownStoreError(GeofenceError):
    """No store has this id."""

    code = "unknown_store"

    def __init__(self, store_id: int) -> None:
        super().__init__(f"There is no store {store_id}.")
        self.store_id = store_id


class UnknownGeofenceError(GeofenceError):
    """No geofence has this id."""

    code = "unknown_geofence"

    def __init__(self, geofence_id: int) -> None:
        super().__init__(f"There is no geofence {geofence_id}.")
        self.geofence_id = geofence_id
