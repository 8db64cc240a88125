"""Actions on a campaign's page: open, pause, resume, end, recall coupons. Each asks for confirmation."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from promotions import clock
from promotions.admin.base import leave_dialog
from promotions.admin.faults import translate
from promotions.admin.reasons import make_reason_form
from promotions.errors import DomainError, InvalidInput
from promotions.models import Campaign, Coupon
from promotions.services.campaigns.states import end_campaign, open_campaign, pause_campaign
from promotions.services.unlocks.recalls import recall_coupons

State = Campaign.State


class CampaignActions:
    """Actions of a ModelAdmin for campaigns; each is shown in the states to which it applies."""

    actions_detail = ["open_now", "pause", "resume", "end", "recall"]

    def has_open_permission(self, request: HttpRequest, object_id: str) -> bool:
        return self._may(request, object_id, State.DRAFT)

    def has_pause_permission(self, request: HttpRequest, object_id: str) -> bool:
        return self._may(request, object_id, State.LIVE)

    def has_resume_permission(self, request: HttpRequest, object_id: str) -> bool:
        return self._may(request, object_id, State.PAUSED)

    def has_end_permission(self, request: HttpRequest, object_id: str) -> bool:
        return self._may(request, object_id, State.LIVE, State.PAUSED)

    def has_recall_permission(self, request: HttpRequest, object_id: str) -> bool:
        """Allow it for every campaign that has been opened, also after its end."""
        campaign = self._find(request, object_id)
        if campaign is None or campaign.state == State.DRAFT:
            return False
        # Not the page's own permission: that one forbids every change after the end.
        return bool(super().has_change_permission(request, campaign))  # type: ignore[misc]

    @action(
        description=_("Open"),
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
        permissions=["open"],
        dialog={
            "title": _("Open this campaign?"),
            "description": _(
                "From its first day on, phones get its messages and can unlock its offer. Kind, holdout and prizes "
                "can no longer be changed."
            ),
            "form_class": None,
            "form_submit_text": _("Open campaign"),
        },
    )
    def open_now(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Open the campaign, or list everything that is missing."""
        return self._run(request, object_id, open_campaign, _("The campaign is open."))

    @action(
        description=_("Pause"),
        icon="pause",
        variant=ActionVariant.WARNING,
        permissions=["pause"],
        dialog={
            "title": _("Pause this campaign?"),
            "description": _("No messages and no coupons until you resume. Tills still accept issued coupons."),
            "form_class": None,
            "form_submit_text": _("Pause campaign"),
        },
    )
    def pause(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._run(request, object_id, pause_campaign, _("The campaign is paused."))

    @action(
        description=_("Resume"),
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
        permissions=["resume"],
        dialog={
            "title": _("Resume this campaign?"),
            "description": _("Phones get its messages and can unlock its offer again."),
            "form_class": None,
            "form_submit_text": _("Resume campaign"),
        },
    )
    def resume(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._run(request, object_id, open_campaign, _("The campaign is open again."))

    @action(
        description=_("End"),
        icon="stop",
        variant=ActionVariant.DANGER,
        permissions=["end"],
        dialog={
            "title": _("End this campaign permanently?"),
            "description": _("You cannot open it again. Tills accept issued coupons until they expire."),
            "form_class": make_reason_form(
                _("The budget is used up."), _("The brand ends it early."), _("The offer has an error.")
            ),
            "form_submit_text": _("End campaign"),
        },
    )
    def end(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._run(request, object_id, end_campaign, _("The campaign has ended."))

    @action(
        description=_("Recall coupons"),
        icon="undo",
        variant=ActionVariant.DANGER,
        permissions=["recall"],
        dialog={
            "title": _("Recall all issued coupons?"),
            "description": _(
                "Tills refuse them permanently; offline tills as soon as they are online again. Their holders get no "
                "other coupon from this campaign. Other phones still can: to stop that, pause or end the campaign "
                "first."
            ),
            "form_class": make_reason_form(
                _("The offer was misprinted."), _("The product was recalled."), _("Coupons were abused.")
            ),
            "form_submit_text": _("Recall coupons"),
        },
    )
    def recall(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        campaign = self._find(request, object_id)
        assert campaign is not None  # the permission found it
        count = recall_coupons(coupons=Coupon.objects.filter(campaign=campaign), now=clock.now())
        messages.success(request, f"{count} recalled.")
        return self._back_to(request, campaign)

    def _may(self, request: HttpRequest, object_id: str, *states: State) -> bool:
        campaign = self._find(request, object_id)
        if campaign is None or campaign.state not in states:
            return False
        return bool(self.has_change_permission(request, campaign))  # type: ignore[attr-defined]

    def _find(self, request: HttpRequest, object_id: str) -> Campaign | None:
        """Return the campaign; load it once per request, as every action needs it."""
        known: dict[str, Campaign | None] = request.__dict__.setdefault("_campaigns", {})
        if object_id not in known:
            known[object_id] = self.get_object(request, object_id)  # type: ignore[attr-defined]
        return known[object_id]

    def _run(self, request: HttpRequest, object_id: str, service: Callable[..., Any], success: Promise) -> HttpResponse:
        campaign = self._find(request, object_id)
        assert campaign is not None  # the permission found it
        try:
            service(campaign_id=campaign.pk, now=clock.now())
        except InvalidInput as error:
            for fault in error.faults:
                messages.error(request, translate(fault))
        except DomainError as error:
            messages.error(request, error.detail)
        else:
            messages.success(request, str(success))
        return self._back_to(request, campaign)

    def _back_to(self, request: HttpRequest, campaign: Campaign) -> HttpResponse:
        address = reverse("admin:promotions_campaign_change", args=[campaign.pk])
        return leave_dialog(request, address)
