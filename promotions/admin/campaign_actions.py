"""Opening, pausing, resuming, ending a campaign, recalling its coupons: buttons on its page that ask first."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from promotions import clock
from promotions.errors import DomainError, InvalidInput
from promotions.models import Campaign, Coupon
from promotions.services.campaigns.states import end_campaign, open_campaign, pause_campaign
from promotions.services.unlocks.recalls import recall_coupons

State = Campaign.State


class CampaignActions:
    """The buttons; each is there in the states in which it makes sense. For a ModelAdmin of campaigns."""

    actions_detail = ["open_now", "pause", "resume", "end", "recall"]

    def has_open_permission(self, request: HttpRequest, object_id: str) -> bool:
        """A draft of one's own."""
        return self._may(request, object_id, State.DRAFT)

    def has_pause_permission(self, request: HttpRequest, object_id: str) -> bool:
        """A live one of one's own."""
        return self._may(request, object_id, State.LIVE)

    def has_resume_permission(self, request: HttpRequest, object_id: str) -> bool:
        """A paused one of one's own."""
        return self._may(request, object_id, State.PAUSED)

    def has_end_permission(self, request: HttpRequest, object_id: str) -> bool:
        """An opened one of one's own."""
        return self._may(request, object_id, State.LIVE, State.PAUSED)

    def has_recall_permission(self, request: HttpRequest, object_id: str) -> bool:
        """One of one's own whose coupons may be out, also after its end."""
        campaign = self._find(request, object_id)
        if campaign is None or campaign.state == State.DRAFT:
            return False
        # Of the base, not the page's own, which says that nothing changes after the end.
        return bool(super().has_change_permission(request, campaign))  # type: ignore[misc]

    @action(
        description="Open",
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
        permissions=["open"],
        dialog={
            "title": "Open this campaign?",
            "description": "From its first day on, phones are told and can unlock. Kind, holdout and prizes stay "
            "as they are from now on.",
            "form_class": None,
            "form_submit_text": "Open it",
        },
    )
    def open_now(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Opens, or tells everything that is still missing."""
        return self._run(request, object_id, open_campaign, "The campaign is open.")

    @action(
        description="Pause",
        icon="pause",
        variant=ActionVariant.WARNING,
        permissions=["pause"],
        dialog={
            "title": "Pause this campaign?",
            "description": "Nothing is sent or issued until you resume. Coupons already out are still taken.",
            "form_class": None,
            "form_submit_text": "Pause it",
        },
    )
    def pause(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Pauses."""
        return self._run(request, object_id, pause_campaign, "The campaign is paused.")

    @action(
        description="Resume",
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
        permissions=["resume"],
        dialog={
            "title": "Resume this campaign?",
            "description": "Phones are told and can unlock again.",
            "form_class": None,
            "form_submit_text": "Resume it",
        },
    )
    def resume(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Resumes."""
        return self._run(request, object_id, open_campaign, "The campaign is open again.")

    @action(
        description="End",
        icon="stop",
        variant=ActionVariant.DANGER,
        permissions=["end"],
        dialog={
            "title": "End this campaign for good?",
            "description": "It cannot be opened again. Coupons already out are taken until they expire.",
            "form_class": None,
            "form_submit_text": "End it",
        },
    )
    def end(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Ends."""
        return self._run(request, object_id, end_campaign, "The campaign has ended.")

    @action(
        description="Recall coupons",
        icon="undo",
        variant=ActionVariant.DANGER,
        permissions=["recall"],
        dialog={
            "title": "Recall all coupons that are out?",
            "description": "Tills refuse them from now on, for good; tills without network from when they are "
            "connected again. Their holders get no other from this campaign; other phones still do, unless you pause "
            "or end it first.",
            "form_class": None,
            "form_submit_text": "Recall them",
        },
    )
    def recall(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Recalls every coupon that is still good."""
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
        """The campaign, once a request: every button asks."""
        known: dict[str, Campaign | None] = request.__dict__.setdefault("_campaigns", {})
        if object_id not in known:
            known[object_id] = self.get_object(request, object_id)  # type: ignore[attr-defined]
        return known[object_id]

    def _run(self, request: HttpRequest, object_id: str, service: Callable[..., Any], success: str) -> HttpResponse:
        campaign = self._find(request, object_id)
        assert campaign is not None  # the permission found it
        try:
            service(campaign_id=campaign.pk, now=clock.now())
        except InvalidInput as error:
            for fault in error.faults:
                messages.error(request, fault.detail)
        except DomainError as error:
            messages.error(request, error.detail)
        else:
            messages.success(request, success)
        return self._back_to(request, campaign)

    def _back_to(self, request: HttpRequest, campaign: Campaign) -> HttpResponse:
        address = reverse("admin:promotions_campaign_change", args=[campaign.pk])
        # htmx follows a redirect without leaving the page, so it is told to go there; a plain form just is redirected.
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": address})
        return redirect(address)
