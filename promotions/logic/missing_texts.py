"""Sentences for a person about what is missing for a level, and amounts in the precision for phones."""

import math
from collections.abc import Mapping

from promotions.logic.assurance import Missing, MissingCode

# Upper bounds, and the step to which metres below them are rounded: fine near the door, coarse at walking distance.
_METRE_STEPS = ((200, 10), (1_000, 50), (math.inf, 100))


def serialize_amounts(piece: Missing) -> dict[str, int]:
    """A piece's amounts in the precision for phones: exact seconds, metres rounded up to 10, 50 or 100."""
    amounts = dict(piece.amounts)
    if "metres" in amounts:
        metres = max(amounts["metres"], 1)
        step = next(step for bound, step in _METRE_STEPS if metres <= bound)
        amounts["metres"] = math.ceil(metres / step) * step
    return amounts


# By language: the sentence with its amount, and without one. `{metres}` comes with its unit.
_SENTENCES: Mapping[str, Mapping[MissingCode, tuple[str, str]]] = {
    "en": {
        MissingCode.NO_LOCATION: ("", "Allow the app to use your location"),
        MissingCode.FIX_TOO_OLD: ("", "Your location is out of date: wait until it has been found again"),
        MissingCode.FIX_IN_FUTURE: ("", "Set your phone's clock"),
        MissingCode.ACCURACY_TOO_LOW: ("", "Your location is too vague: wait a moment, by a window or the door"),
        MissingCode.REDUCED_ACCURACY: ("", "Turn on precise location"),
        MissingCode.MOCK_LOCATION: ("", "Turn off the app that sets your location"),
        MissingCode.JUMPED: (
            "Your location has just jumped: wait {seconds}",
            "Your location has just jumped: wait a while",
        ),
        MissingCode.NOT_AT_STORE: ("Come {metres} closer", "Come to the store"),
        MissingCode.NEW_INSTALLATION: ("", "The app is new on this phone: scan the code on the counter"),
        MissingCode.NO_SECOND_FIX: ("Stay in the store for {seconds}", "Stay in the store for a minute"),
        MissingCode.STAY_TOO_SHORT: ("Wait {seconds} more", "Wait a little more"),
        MissingCode.STAY_INTERRUPTED: ("", "Keep the app open in the store for a minute"),
        MissingCode.STAY_ACCURACY_TOO_LOW: ("", "Your location is too vague: wait a moment, by a window or the door"),
        MissingCode.MOVED_TOO_FAST: ("Wait {seconds} more", "Wait a little more"),
        MissingCode.JUST_FLOWN: ("", "Stay in the store for a minute"),
        MissingCode.FROZEN_LOCATION: ("", "Your location does not change at all: walk a few steps"),
        MissingCode.CROWDED_POINT: ("", "Many phones give this very point: walk a few steps"),
        MissingCode.NO_DEVICE_VERDICT: ("", "This offer needs a check of the phone that is not available yet"),
        MissingCode.NO_STORE_PROOF: ("", "Ask for the code on the counter"),
        MissingCode.STORE_CODE_WRONG: ("", "This is not this store's code: scan the one on the counter"),
        MissingCode.STORE_CODE_OLD: ("", "This code is over: scan the one that is on the counter now"),
        MissingCode.STORE_CODE_USED: ("", "You have used this code: wait for the next one on the counter"),
    },
    "fr": {
        MissingCode.NO_LOCATION: ("", "Autorisez l’application à utiliser votre position"),
        MissingCode.FIX_TOO_OLD: ("", "Votre position est périmée : attendez qu’elle soit retrouvée"),
        MissingCode.FIX_IN_FUTURE: ("", "Réglez l’heure de votre téléphone"),
        MissingCode.ACCURACY_TOO_LOW: ("", "Votre position est trop vague : patientez près d’une vitre ou de l’entrée"),
        MissingCode.REDUCED_ACCURACY: ("", "Activez la position exacte"),
        MissingCode.MOCK_LOCATION: ("", "Désactivez l’application qui simule votre position"),
        MissingCode.JUMPED: (
            "Votre position vient de faire un bond : attendez {seconds}",
            "Votre position vient de faire un bond : attendez un peu",
        ),
        MissingCode.NOT_AT_STORE: ("Approchez-vous de {metres}", "Venez au magasin"),
        MissingCode.NEW_INSTALLATION: (
            "",
            "L’application vient d’être installée : scannez le code affiché au comptoir",
        ),
        MissingCode.NO_SECOND_FIX: ("Restez {seconds} dans le magasin", "Restez une minute dans le magasin"),
        MissingCode.STAY_TOO_SHORT: ("Attendez encore {seconds}", "Attendez encore un peu"),
        MissingCode.STAY_INTERRUPTED: ("", "Gardez l’application ouverte une minute dans le magasin"),
        MissingCode.STAY_ACCURACY_TOO_LOW: (
            "",
            "Votre position est trop vague : patientez près d’une vitre ou de l’entrée",
        ),
        MissingCode.MOVED_TOO_FAST: ("Attendez encore {seconds}", "Attendez encore un peu"),
        MissingCode.JUST_FLOWN: ("", "Restez une minute dans le magasin"),
        MissingCode.FROZEN_LOCATION: ("", "Votre position ne bouge pas du tout : faites quelques pas"),
        MissingCode.CROWDED_POINT: ("", "Beaucoup de téléphones donnent ce même point : faites quelques pas"),
        MissingCode.NO_DEVICE_VERDICT: (
            "",
            "Cette offre demande un contrôle du téléphone qui n’est pas encore disponible",
        ),
        MissingCode.NO_STORE_PROOF: ("", "Demandez le code affiché au comptoir"),
        MissingCode.STORE_CODE_WRONG: ("", "Ce n’est pas le code de ce magasin : scannez celui du comptoir"),
        MissingCode.STORE_CODE_OLD: ("", "Ce code est passé : scannez celui qui est affiché au comptoir"),
        MissingCode.STORE_CODE_USED: ("", "Vous avez déjà utilisé ce code : attendez le suivant au comptoir"),
    },
}
LANGUAGES = frozenset(_SENTENCES)


def describe_missing(piece: Missing, language: str) -> str:
    """Describe how to fix a missing part, in one sentence for a person; in English unless the language is one of
    `LANGUAGES`.

    Sample: `Missing(NOT_AT_STORE, 1, {"metres": 113})`, "en" → "Come 120 m closer"
    """
    with_amount, without = _SENTENCES.get(language, _SENTENCES["en"])[piece.code]
    amounts = serialize_amounts(piece)
    if not with_amount or not amounts:
        return without
    return with_amount.format(
        metres=_format_metres(amounts.get("metres", 0), language), seconds=_format_seconds(amounts.get("seconds", 0))
    )


def _format_metres(metres: int, language: str) -> str:
    if metres < 1_000:
        return f"{metres} m"
    kilometres = f"{metres / 1_000:.1f}".removesuffix(".0") if metres < 10_000 else str(math.ceil(metres / 1_000))
    return (kilometres.replace(".", ",") if language == "fr" else kilometres) + " km"


def _format_seconds(seconds: int) -> str:
    if seconds < 2 * 60:
        return f"{seconds} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes <= 2 * 60 else f"{math.ceil(minutes / 60)} h"
