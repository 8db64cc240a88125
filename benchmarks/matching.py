"""Matching of fixes to fences on one core, compared with a tree of rectangles with the same exact test, and PostGIS.

The worlds have circles of 150 m, uniform over France or clustered in fifty cities. A batch has 5,000 fixes, half of
them within 300 m of a fence. The run stops if the three do not find the same pairs.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import shapely

from benchmarks.figures import REPEATS, Figure, measure_s, measure_side_by_side
from benchmarks.world import RADIUS_M, FloatArray, scatter_places

if TYPE_CHECKING:
    from geofence.logic.matching import FenceSnapshot

Pairs = set[tuple[int, int]]

BATCH = 5_000
# Batches of a turn: PostGIS takes seconds for one.
BATCHES = 20
NEAR_M = 300.0
WORLDS = ((1_000, False), (10_000, False), (100_000, False), (1_000_000, False), (100_000, True))
POLYGONS = 1_000
METRE_DEG = 360 / 40_030_173
# Share of fixes on an edge for which the spherical and the planar computation may disagree.
MOST_STRAYS = 0.002


@dataclass(frozen=True, slots=True)
class Ground:
    """Fences and the batches of fixes around them."""

    name: str
    latitude_deg: FloatArray
    longitude_deg: FloatArray
    batches: tuple[tuple[FloatArray, FloatArray], ...]


def run(quick: bool) -> list[Figure]:
    """Fixes per second by world, against both peers; memory, building, polygons, swapping."""
    repeats = 1 if quick else REPEATS
    figures = []
    for count, clustered in WORLDS if not quick else WORLDS[:2]:
        figures += _compare(_make_ground(count, clustered=clustered), repeats)
    figures.append(_measure_slowing(1_000, 10_000 if quick else 1_000_000, repeats))
    figures += _measure_polygons(repeats)
    return figures + _measure_building(10_000 if quick else 100_000, repeats)


def _measure_slowing(few: int, many: int, repeats: int) -> Figure:
    """Measure the cost of a thousand times as many fences, side by side."""
    grids = [_make_ground(count, clustered=False) for count in (few, many)]
    few_s, many_s = measure_side_by_side(
        [partial(_match_batches, _build(ground), ground) for ground in grids], repeats=repeats
    )
    return Figure(
        f"matching.slowing_{few}_to_{many}",
        many_s / BATCHES * 1000,
        "ms/batch",
        few_s / BATCHES * 1000,
        many_s / few_s,
        "≤ 8",
    )


def _make_ground(count: int, *, clustered: bool) -> Ground:
    rng = np.random.default_rng(count + clustered)
    latitude_deg, longitude_deg = scatter_places(count, clustered=clustered, rng=rng)
    batches = tuple(_scatter_fixes(latitude_deg, longitude_deg, clustered=clustered, rng=rng) for _ in range(BATCHES))
    return Ground(f"{count}_{'clustered' if clustered else 'uniform'}", latitude_deg, longitude_deg, batches)


def _scatter_fixes(
    latitude_deg: FloatArray, longitude_deg: FloatArray, *, clustered: bool, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Half near fences, at any distance up to 300 m of their centres; half as the fences themselves lie."""
    far_latitude, far_longitude = scatter_places(BATCH - BATCH // 2, clustered=clustered, rng=rng)
    near = rng.integers(0, len(latitude_deg), BATCH // 2)
    distance_deg, angle = rng.uniform(0, NEAR_M, len(near)) * METRE_DEG, rng.uniform(0, 2 * np.pi, len(near))
    near_latitude = latitude_deg[near] + distance_deg * np.sin(angle)
    near_longitude = longitude_deg[near] + distance_deg * np.cos(angle) / np.cos(np.radians(latitude_deg[near]))
    order = rng.permutation(BATCH)
    return np.append(near_latitude, far_latitude)[order], np.append(near_longitude, far_longitude)[order]


def _compare(ground: Ground, repeats: int) -> list[Figure]:
    snapshot = _build(ground)
    tree = _Tree(ground)
    table = _Table(ground)
    first = ground.batches[0]
    pairs = _list_pairs(*snapshot.match(*first))
    _require_same(pairs, _list_pairs(*tree.match(*first)), "shapely.STRtree")
    _require_same(pairs, table.match_pairs(), "PostGIS")

    def match_all(match: Callable[[FloatArray, FloatArray], object]) -> Callable[[], None]:
        def work() -> None:
            for latitude_deg, longitude_deg in ground.batches:
                match(latitude_deg, longitude_deg)

        return work

    ours_s, tree_s = measure_side_by_side([match_all(snapshot.match), match_all(tree.match)], repeats=repeats)
    again_s, table_s = measure_side_by_side([lambda: snapshot.match(*first), table.count_pairs], repeats=repeats)
    speed, tree_speed = BATCH * BATCHES / ours_s, BATCH * BATCHES / tree_s
    key = f"matching.{ground.name}"
    has_target = ground.name == "100000_uniform"
    table.drop()
    return [
        Figure(f"{key}.fixes_per_s", speed, "fixes/s", target="≥ 2,000,000" if has_target else ""),
        Figure(f"{key}.vs_strtree", speed, "fixes/s", tree_speed, tree_s / ours_s, "≥ 2.5" if has_target else ""),
        Figure(
            f"{key}.vs_postgis",
            BATCH / again_s,
            "fixes/s",
            BATCH / table_s,
            table_s / again_s,
            "≥ 40" if has_target else "",
        ),
        Figure(
            f"{key}.bytes_per_fence",
            snapshot.size_bytes / len(snapshot),
            "B",
            target="≤ 400",
        ),
    ]


def _build(ground: Ground) -> "FenceSnapshot":
    from geofence.logic.matching import FenceColumns, FenceSnapshot

    columns = FenceColumns.from_circles(ground.latitude_deg, ground.longitude_deg, RADIUS_M)
    return FenceSnapshot.build(columns)


def _list_pairs(fixes: np.ndarray, fences: np.ndarray) -> Pairs:
    return set(zip(fixes.tolist(), fences.tolist(), strict=True))


def _require_same(ours: Pairs, theirs: Pairs, name: str) -> None:
    strays = len(ours ^ theirs)
    if strays > MOST_STRAYS * max(len(ours), 1):
        raise AssertionError(f"{name} finds {strays} pairs of {len(ours)} otherwise: the comparison would be void")


class _Tree:
    """shapely's tree over the circles' bounding boxes, a bulk query, then the same test of distance on the sphere."""

    def __init__(self, ground: Ground) -> None:
        self._latitude_deg, self._longitude_deg = ground.latitude_deg, ground.longitude_deg
        half_deg = RADIUS_M * METRE_DEG * 1.001
        half_wide_deg = half_deg / np.cos(np.radians(np.abs(ground.latitude_deg) + half_deg))
        boxes = shapely.box(
            ground.longitude_deg - half_wide_deg,
            ground.latitude_deg - half_deg,
            ground.longitude_deg + half_wide_deg,
            ground.latitude_deg + half_deg,
        )
        self._tree = shapely.STRtree(boxes)
        # The tree is built at its first question.
        self._tree.query(shapely.points([[2.0, 48.0]]))

    def match(self, latitude_deg: FloatArray, longitude_deg: FloatArray) -> tuple[np.ndarray, np.ndarray]:
        from geofence.logic.geodesy import measure_distances_m

        fixes, fences = self._tree.query(shapely.points(longitude_deg, latitude_deg))
        distance_m = measure_distances_m(
            latitude_deg[fixes], longitude_deg[fixes], self._latitude_deg[fences], self._longitude_deg[fences]
        )
        kept = distance_m <= RADIUS_M
        return fixes[kept], fences[kept]


class _Table:
    """The circles' centres as geography under an index, joined with a batch that is a table already.

    The best of the ways measured: ST_DWithin of a constant radius, on the sphere. What crosses the wire is one number.
    """

    _JOIN = f"""
        FROM bench_fixes f JOIN bench_circles c ON ST_DWithin(c.centre, f.place, {RADIUS_M}, false)
    """

    def __init__(self, ground: Ground) -> None:
        from django.db import connection

        from geofence.services.columns import execute_columns, pack_values, spread

        places = spread("place int8", "latitude float8", "longitude float8")
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_circles, bench_fixes")
            cursor.execute("CREATE UNLOGGED TABLE bench_circles (id bigint, centre geography(point))")
            cursor.execute("CREATE UNLOGGED TABLE bench_fixes (id bigint, place geography(point))")
        for table, latitude_deg, longitude_deg in (
            ("bench_circles", ground.latitude_deg, ground.longitude_deg),
            ("bench_fixes", *ground.batches[0]),
        ):
            execute_columns(
                f"INSERT INTO {table} SELECT k.place, ST_MakePoint(k.longitude, k.latitude)::geography FROM {places}",
                [pack_values(np.arange(len(latitude_deg))), pack_values(latitude_deg), pack_values(longitude_deg)],
            )
        with connection.cursor() as cursor:
            cursor.execute("CREATE INDEX ON bench_circles USING gist (centre)")
            cursor.execute("VACUUM ANALYZE bench_circles, bench_fixes")

    def count_pairs(self) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) {self._JOIN}")
            cursor.fetchone()

    def match_pairs(self) -> Pairs:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(f"SELECT f.id, c.id {self._JOIN}")
            return set(cursor.fetchall())

    def drop(self) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE bench_circles, bench_fixes")


def _measure_polygons(repeats: int) -> list[Figure]:
    """The same ground with polygons in the circles' places: the time of a batch against that of circles."""
    from geofence.logic.matching import FenceColumns, FenceSnapshot

    ground = _make_ground(POLYGONS, clustered=False)
    circles = _build(ground)
    figures = []
    # Outlines as a person would draw them; and, without a target, corners as extreme as a valid polygon can have them.
    for vertices, roughness_m, target in ((8, 30.0, "≤ 3"), (1_000, 1.0, "≤ 3"), (1_000, 40.0, "")):
        columns = FenceColumns.from_circles(ground.latitude_deg, ground.longitude_deg, RADIUS_M)
        for place in range(POLYGONS):
            centre = (ground.latitude_deg[place], ground.longitude_deg[place])
            columns.polygons[place] = _make_polygon(centre, vertices, roughness_m, place)
        polygons = FenceSnapshot.build(columns)
        circles_s, polygons_s = measure_side_by_side(
            [partial(_match_batches, circles, ground), partial(_match_batches, polygons, ground)], repeats=repeats
        )
        kind = "" if target else "_spikes"
        figures.append(
            Figure(
                f"matching.polygons_of_{vertices}{kind}.time_vs_circles",
                polygons_s / BATCHES * 1000,
                "ms/batch",
                circles_s / BATCHES * 1000,
                polygons_s / circles_s,
                target,
            )
        )
    return figures


def _make_polygon(centre: tuple[float, float], vertices: int, roughness_m: float, seed: int) -> shapely.Polygon:
    """A rounded outline some 150 m from its middle, with corners that far off it."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    waves = sum(rng.uniform(-12, 12) * np.sin(n * angle + rng.uniform(0, 6)) for n in range(1, 4))
    radius_deg = (RADIUS_M + waves + rng.uniform(-roughness_m, roughness_m, vertices)) * METRE_DEG
    latitude_deg, longitude_deg = centre
    wide = np.cos(np.radians(latitude_deg))
    return shapely.Polygon(
        np.column_stack([longitude_deg + radius_deg * np.cos(angle) / wide, latitude_deg + radius_deg * np.sin(angle)])
    )


def _match_batches(snapshot: "FenceSnapshot", ground: Ground) -> None:
    for latitude_deg, longitude_deg in ground.batches:
        snapshot.match(latitude_deg, longitude_deg)


def _measure_building(count: int, repeats: int) -> list[Figure]:
    """Measure from rows to a snapshot in use, and how long a caller waits in that time."""
    from datetime import UTC, datetime

    from benchmarks import world
    from geofence.services import snapshots

    ground = _make_ground(count, clustered=False)
    index_s, tree_s = measure_side_by_side([lambda: _build(ground), lambda: _Tree(ground)], repeats=repeats)
    world.seed(fences=count, devices=1, campaigns=1, now=datetime(2026, 9, 22, tzinfo=UTC))

    def rebuild() -> None:
        snapshots.forget_snapshot()
        snapshots.current_snapshot()

    rows_s = measure_s(rebuild, repeats=repeats)
    return [
        Figure(f"matching.build_{count}.index_s", index_s, "s", tree_s, index_s / tree_s),
        Figure(f"matching.build_{count}.rows_to_use_s", rows_s, "s", target="≤ 1.5"),
        *_measure_swap(repeats),
    ]


def _measure_swap(repeats: int) -> list[Figure]:
    """Edit a fence and go on asking: the longest a caller waited, and how long the edit took to act."""
    from geofence.models import Geofence
    from geofence.services import snapshots

    longest_s, acted_s = [], []
    snapshots.current_snapshot()
    for turn in range(repeats):
        fence = Geofence.objects.order_by("id")[turn]
        radius_m = RADIUS_M + 1 + turn
        Geofence.objects.filter(id=fence.id).update(radius_m=radius_m)
        begun = time.perf_counter()
        waits = []
        while True:
            begun_s = time.perf_counter()
            snapshot = snapshots.current_snapshot()
            waits.append(time.perf_counter() - begun_s)
            if snapshot.columns.radius_m[snapshot.index_by_id[fence.id]] == radius_m:
                break
            time.sleep(0.001)
        acted_s.append(time.perf_counter() - begun)
        longest_s.append(max(waits))
    return [
        Figure("matching.swap.longest_wait_ms", statistics.median(longest_s) * 1000, "ms", target="≤ 50"),
        Figure("matching.swap.edit_acts_in_s", statistics.median(acted_s), "s", target="≤ 2"),
    ]
