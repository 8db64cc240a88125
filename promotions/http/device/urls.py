"""Calls of the consumer's app, below `/v1/`. The fix lane has its own addresses and answers before Django."""

from django.urls import path

from promotions.http.device.devices import DevicesView, ExportView, MyDeviceView
from promotions.http.device.geofences import NearbyView
from promotions.http.device.offers import OffersView
from promotions.http.device.presence_tokens import PresenceTokenView
from promotions.http.device.reservations import ReservationView
from promotions.http.device.unlocks import OneUnlockView, QrView, UnlocksView, UnlockView

urlpatterns = [
    path("devices", DevicesView.as_view(), name="devices"),
    path("devices/me", MyDeviceView.as_view(), name="my-device"),
    path("devices/me/export", ExportView.as_view(), name="my-device-export"),
    path("geofences/nearby", NearbyView.as_view(), name="nearby-geofences"),
    path("offers", OffersView.as_view(), name="offers"),
    path("offers/<id:campaign_id>/unlock", UnlockView.as_view(), name="unlock-offer"),
    path("offers/<id:campaign_id>/reservation", ReservationView.as_view(), name="reservation"),
    path("offers/<id:campaign_id>/presence-token", PresenceTokenView.as_view(), name="presence-token"),
    path("unlocks", UnlocksView.as_view(), name="unlocks"),
    path("unlocks/<id:unlock_id>", OneUnlockView.as_view(), name="unlock"),
    path("unlocks/<id:unlock_id>/qr.svg", QrView.as_view(), name="unlock-qr"),
]
