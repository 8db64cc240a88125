"""Calls of a brand's own systems and of its people in admin, below `/v1/`."""

from django.urls import path

from promotions.http.brand.presence_tokens import SpendView
from promotions.http.brand.report import CampaignReportView

urlpatterns = [
    path("presence-tokens/spend", SpendView.as_view(), name="spend-presence-token"),
    path("campaigns/<id:campaign_id>/report", CampaignReportView.as_view(), name="campaign-report"),
]
