"""The demo's brand, stores, campaigns and logins: first as plain data, then as rows. All names are invented."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils.crypto import salted_hmac

from geofence.models import Geofence, Partner, Store
from geofence.services.fences import CircleShape, PolygonShape, create_geofence
from promotions.errors import ConfigurationError
from promotions.logic.campaign_rules import EVERY_DAY, CampaignValues, Hours
from promotions.models import Brand, Campaign, Membership
from promotions.services.accounts.tenancy import BRAND_ANALYST, BRAND_MANAGER, PARTNER_MANAGER, ensure_roles
from promotions.services.campaigns.editing import create_campaign
from promotions.services.campaigns.states import open_campaign

TIMEZONE = "Europe/Paris"
RING_RADIUS_MAX_M = 1000.0
# The approach ring is three times the fence.
RING_FACTOR = 3.0
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class DemoStore:
    """A store at a real street corner: a circle of `radius_m`, or a polygon of (longitude, latitude) corners."""

    name: str
    address: str
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    corners: tuple[tuple[float, float], ...] = ()
    # Open at any hour, so that the way through the README works at night.
    is_always_open: bool = False

    @property
    def ring_radius_m(self) -> float:
        """Radius of the approach ring."""
        return min(RING_FACTOR * self.radius_m, RING_RADIUS_MAX_M)


@dataclass(frozen=True, slots=True)
class DemoCampaign:
    """A campaign in all stores; without hours it is open all day. Dates are days from today."""

    name: str
    kind: str
    trigger: str
    offer_title: str
    benefit: str
    terms: str
    message_title: str
    message_body: str
    holdout_percent: int
    priority: int
    hours: tuple[tuple[time, time], ...] = ()
    prizes: tuple[tuple[str, int], ...] = ()
    unlock_level: int = 1
    unlock_cap: int | None = None
    value: Decimal | None = None
    allows_offline: bool = False
    first_day: int = 0
    last_day: int = 27


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """A user of each role. `brand_side`, `partner_side`: the tenant of the role."""

    username: str
    role: str
    group_names: tuple[str, ...]
    brand_side: bool = False
    partner_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoWorld:
    """All rows that the demo starts with."""

    brand_name: str
    partner_name: str
    timezone: str
    opens_at: str
    closes_at: str
    stores: tuple[DemoStore, ...]
    campaigns: tuple[DemoCampaign, ...]
    logins: tuple[DemoLogin, ...]


@dataclass(frozen=True, slots=True)
class PlantedWorld:
    """The rows of the demo: stores and campaigns in the order of the description."""

    world: DemoWorld
    brand: Brand
    partner: Partner
    stores: tuple[Store, ...]
    campaigns: tuple[Campaign, ...]

    @property
    def contest(self) -> Campaign:
        """The campaign that people also try from elsewhere."""
        return self.campaigns[0]


_STORES = (
    DemoStore(
        "Tartine & Co République",
        "9 place de la République, 75003 Paris",
        48.8675,
        2.3635,
        150.0,
        is_always_open=True,
    ),
    DemoStore("Tartine & Co Bastille", "4 place de la Bastille, 75011 Paris", 48.8530, 2.3690, 120.0),
    DemoStore("Tartine & Co Nation", "11 place de la Nation, 75011 Paris", 48.8484, 2.3959, 150.0),
    DemoStore("Tartine & Co Montparnasse", "22 place du 18 Juin 1940, 75006 Paris", 48.8422, 2.3211, 120.0),
    DemoStore("Tartine & Co Opéra", "5 place de l'Opéra, 75009 Paris", 48.8708, 2.3322, 100.0),
    DemoStore("Tartine & Co Saint-Lazare", "16 cour de Rome, 75008 Paris", 48.8757, 2.3253, 130.0),
    DemoStore(
        "Tartine & Co Châtelet",
        "1 place du Châtelet, 75001 Paris",
        48.8583,
        2.3472,
        100.0,
        corners=((2.3459, 48.8576), (2.3484, 48.8573), (2.3490, 48.8586), (2.3478, 48.8592), (2.3462, 48.8589)),
    ),
    DemoStore("Tartine & Co Belleville", "2 boulevard de Belleville, 75020 Paris", 48.8721, 2.3767, 110.0),
)

_CAMPAIGNS = (
    DemoCampaign(
        name="Lunch contest",
        kind="instant_win",
        trigger=Campaign.Trigger.APPROACH,
        offer_title="Lunch contest: play at the counter",
        benefit="Your prize",
        terms="One play per person. Opens at the store only, from 12:00 to 14:00.",
        message_title="Hungry?",
        message_body="{offer} at {store}. Until {until}.",
        holdout_percent=10,
        priority=10,
        hours=((time(12), time(14)),),
        prizes=(("Free sandwich", 120), ("Free coffee", 400), ("Lunch for two", 12)),
    ),
    DemoCampaign(
        name="Free coffee",
        kind="coupon",
        trigger=Campaign.Trigger.ENTER,
        offer_title="Free coffee with any sandwich",
        benefit="1 free coffee",
        terms="One coffee per person with any sandwich. Not with other offers.",
        message_title="A coffee for you",
        message_body="{offer} at {store}, from {brand}.",
        holdout_percent=20,
        priority=0,
        unlock_cap=5000,
        value=Decimal("2.50"),
        allows_offline=True,
    ),
)

# Beside the demo's day, in the first store: any phone that comes in gets its message, at any hour. It goes before the
# other campaigns and holds no phone out, so it measures nothing.
_WELCOME_CAMPAIGN = DemoCampaign(
    name="Welcome",
    kind="coupon",
    trigger=Campaign.Trigger.ENTER,
    offer_title="A cookie to welcome you",
    benefit="1 cookie",
    terms="One cookie per person.",
    message_title="Welcome",
    message_body="{offer} at {store}, from {brand}.",
    holdout_percent=0,
    priority=20,
)

# Beside the demo's day: for trying by hand what only the code on the counter opens.
_COUNTER_CAMPAIGN = DemoCampaign(
    name="Dessert at the counter",
    kind="coupon",
    trigger=Campaign.Trigger.ENTER,
    offer_title="A dessert for those at the counter",
    benefit="1 dessert",
    terms="One dessert per person. Scan the code on the counter.",
    # No message is sent: it is found in the app.
    message_title="",
    message_body="",
    holdout_percent=0,
    priority=0,
    unlock_level=4,
)

OWN_SHOPS = "Bruns own shops"

# How the secrets begin that `settings.py` uses in DEBUG where none is given.
KNOWN_SECRET_PREFIX = "development-only-"

_LOGINS = (
    DemoLogin("operator", "operator", ()),
    # A brand with its own shops: it may place stores and draw fences there, and run campaigns everywhere.
    DemoLogin("brand", "brand_manager", (BRAND_MANAGER, PARTNER_MANAGER), brand_side=True, partner_names=(OWN_SHOPS,)),
    DemoLogin("analyst", "brand_analyst", (BRAND_ANALYST,), brand_side=True),
    DemoLogin("partner", "partner_manager", (PARTNER_MANAGER,), partner_names=("Tartine & Co",)),
)


def describe_world() -> DemoWorld:
    """The demo as data, without touching the database."""
    return DemoWorld(
        brand_name="Bruns",
        partner_name="Tartine & Co",
        timezone=TIMEZONE,
        opens_at="08:00",
        closes_at="20:00",
        stores=_STORES,
        campaigns=_CAMPAIGNS,
        logins=_LOGINS,
    )


def demo_password(username: str) -> str:
    """Return the password of a demo user: the same on every start of one clone, another in each; stored nowhere."""
    return salted_hmac("promotions.demo", username, algorithm="sha256").hexdigest()[:12]


def plant_world(*, now: datetime, outsiders: int = 0, holdout_percent: int | None = None) -> PlantedWorld:
    """Create missing rows, and leave the rest. Repeatable. In development only.

    The last `outsiders` stores take no part in the campaigns; `holdout_percent` replaces the campaigns' own. Both
    apply to new campaigns only.
    Raises ConfigurationError outside DEBUG, and without a secret set: any reader of the source could derive the
    passwords.
    """
    if not settings.DEBUG:
        raise ConfigurationError("The demo brand is for development: set DEBUG=1.")
    if settings.SECRET_KEY.startswith(KNOWN_SECRET_PREFIX):
        raise ConfigurationError(
            "The logins of the demo brand come from SECRET_KEY, and its development value is in the source: "
            "use `make run` or `make demo`, which make one, or set SECRET_KEY."
        )
    world = describe_world()
    with transaction.atomic():
        brand, _ = Brand.objects.get_or_create(name=world.brand_name)
        partners = {name: Partner.objects.get_or_create(name=name)[0] for name in (world.partner_name, OWN_SHOPS)}
        stores = tuple(_plant_store(store, partners[world.partner_name], world, now) for store in world.stores)
        ensure_roles()
        for login in world.logins:
            _plant_login(login, brand, partners)
    described = world.campaigns
    if holdout_percent is not None:
        described = tuple(replace(campaign, holdout_percent=holdout_percent) for campaign in described)
    targets = stores[: len(stores) - outsiders]
    campaigns = tuple(_plant_campaign(campaign, brand, targets, now) for campaign in described)
    return PlantedWorld(
        world=world, brand=brand, partner=partners[world.partner_name], stores=stores, campaigns=campaigns
    )


def plant_welcome_campaign(planted: PlantedWorld, *, now: datetime) -> Campaign:
    """Plant the campaign without a held-out share, in the first store. Repeatable."""
    return _plant_campaign(_WELCOME_CAMPAIGN, planted.brand, planted.stores[:1], now)


def plant_counter_campaign(planted: PlantedWorld, *, now: datetime) -> Campaign:
    """The campaign that opens at level 4 only, in the first store. Repeatable."""
    return _plant_campaign(_COUNTER_CAMPAIGN, planted.brand, planted.stores[:1], now)


def _plant_store(described: DemoStore, partner: Partner, world: DemoWorld, now: datetime) -> Store:
    store, is_new = Store.objects.get_or_create(
        partner=partner,
        name=described.name,
        defaults={
            "address": described.address,
            "timezone": world.timezone,
            "opening_hours": {day: [_opening(described, world)] for day in WEEKDAYS},
            "latitude_deg": described.latitude_deg,
            "longitude_deg": described.longitude_deg,
        },
    )
    if is_new:
        create_geofence(store_id=store.pk, role=Geofence.Role.STORE, shape=_shape(described), now=now)
        ring = CircleShape(described.latitude_deg, described.longitude_deg, described.ring_radius_m)
        create_geofence(store_id=store.pk, role=Geofence.Role.APPROACH, shape=ring, now=now)
    return store


def _opening(described: DemoStore, world: DemoWorld) -> list[str]:
    return ["00:00", "24:00"] if described.is_always_open else [world.opens_at, world.closes_at]


def _shape(described: DemoStore) -> CircleShape | PolygonShape:
    if not described.corners:
        return CircleShape(described.latitude_deg, described.longitude_deg, described.radius_m)
    ring = [list(corner) for corner in (*described.corners, described.corners[0])]
    return PolygonShape({"type": "Polygon", "coordinates": [ring]})


def _plant_login(login: DemoLogin, brand: Brand, partners: Mapping[str, Partner]) -> None:
    is_operator = not login.group_names
    user, is_new = User.objects.get_or_create(
        username=login.username, defaults={"is_staff": True, "is_superuser": is_operator}
    )
    if is_new or not user.check_password(demo_password(login.username)):
        user.set_password(demo_password(login.username))
        user.save(update_fields=["password"])
    user.groups.set(Group.objects.filter(name__in=login.group_names))
    if login.brand_side:
        Membership.objects.get_or_create(user=user, brand=brand)
    for name in login.partner_names:
        Membership.objects.get_or_create(user=user, partner=partners[name])


def _plant_campaign(described: DemoCampaign, brand: Brand, stores: tuple[Store, ...], now: datetime) -> Campaign:
    today = now.astimezone(ZoneInfo(TIMEZONE)).date()
    running = Campaign.objects.filter(
        brand=brand,
        name=described.name,
        state__in=[Campaign.State.LIVE, Campaign.State.PAUSED],
        starts_on__lte=today,
        ends_on__gte=today,
    ).first()
    if running is not None:
        return running
    draft = create_campaign(values=_read_values(described, brand, stores, today), now=now)
    return open_campaign(campaign_id=draft.pk, now=now)


def _read_values(described: DemoCampaign, brand: Brand, stores: Sequence[Store], today: date) -> CampaignValues:
    prizes = [{"name": name, "quantity": quantity} for name, quantity in described.prizes]
    return {
        "brand": brand.pk,
        "name": described.name,
        "kind": described.kind,
        "stores": [store.pk for store in stores],
        "starts_on": today + timedelta(days=described.first_day),
        "ends_on": today + timedelta(days=described.last_day),
        "windows": [Hours(EVERY_DAY, starts_at, ends_at) for starts_at, ends_at in described.hours],
        "rows": {"prize_lots": prizes} if prizes else {},
        "offer_title": described.offer_title,
        "benefit": described.benefit,
        "terms": described.terms,
        "trigger": described.trigger,
        "message_title": described.message_title,
        "message_body": described.message_body,
        "priority": described.priority,
        "holdout_percent": described.holdout_percent,
        "unlock_level": described.unlock_level,
        "unlock_cap": described.unlock_cap,
        "value": described.value,
        "allows_offline": described.allows_offline,
    }
