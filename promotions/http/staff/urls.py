"""The till's calls, below `/v1/staff/`."""

from django.urls import path

from promotions.http.staff.enrolments import EnrolmentsView, StaffMeView
from promotions.http.staff.kiosk import StoreCodesView
from promotions.http.staff.offline import ScansView, SyncView
from promotions.http.staff.redemptions import RedemptionsView, VoidView
from promotions.http.staff.sessions import SessionsView

urlpatterns = [
    path("enrolments", EnrolmentsView.as_view(), name="staff-enrolments"),
    path("store-codes", StoreCodesView.as_view(), name="staff-store-codes"),
    path("me", StaffMeView.as_view(), name="staff-me"),
    path("sessions", SessionsView.as_view(), name="staff-sessions"),
    path("redemptions", RedemptionsView.as_view(), name="staff-redemptions"),
    path("sync", SyncView.as_view(), name="staff-sync"),
    path("scans", ScansView.as_view(), name="staff-scans"),
    path("redemptions/<id:redemption_id>/void", VoidView.as_view(), name="staff-void"),
]
