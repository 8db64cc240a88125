"""A small made-up town for the simulation's tests: three circles and a polygon, two kilometres apart at most."""

from promotions.simulation.city import City, Ground, Plane, Shop

PLANE = Plane(48.86, 2.35)


def circle(name: str, x_m: float, y_m: float, radius_m: float) -> Shop:
    """A shop in the middle of its fence."""
    return Shop(f"store-{name}", name, (x_m, y_m), Ground((x_m, y_m), radius_m=radius_m))


def square(name: str, x_m: float, y_m: float, side_m: float) -> Shop:
    """A shop in a square fence."""
    half = side_m / 2
    ring = ((x_m - half, y_m - half), (x_m + half, y_m - half), (x_m + half, y_m + half), (x_m - half, y_m + half))
    return Shop(f"store-{name}", name, (x_m, y_m), Ground((x_m, y_m), ring=ring))


TOWN = City(
    PLANE,
    (
        circle("north", 0, 900, 100),
        circle("south", 100, -800, 150),
        square("west", -900, 0, 160),
        circle("outside", 1_000, 200, 120),
    ),
)
TARGETS = (0, 1, 2)
