"""Calls of a brand's own systems and of its people in admin, below `/v1/`."""

from django.urls import path

from promotions.http.brand.report import CampaignReportView

urlpatterns = [
    path("campaigns/<uuid:campaign_id>/report", CampaignReportView.as_view(), name="campaign-report"),
]
