/* Fences and stores on a Leaflet map. It writes every change to the form's fields, which also work without it. */
(function () {
    "use strict";

    const METRES_PER_DEGREE = 111195; // mean-radius sphere
    const RADIUS_MIN_M = 50;
    const RADIUS_MAX_M = 1000;
    const PARIS = [48.8606, 2.3376];

    const field = (name) => document.getElementById("id_" + name);

    function readNumber(input) {
        const value = input && input.value.trim() !== "" ? Number(input.value.replace(",", ".")) : NaN;
        return Number.isFinite(value) ? value : null;
    }

    function write(input, value) {
        if (!input || input.value === String(value)) return;
        input.value = value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
    }

    function readPosition() {
        const latitude = readNumber(field("latitude_deg"));
        const longitude = readNumber(field("longitude_deg"));
        if (latitude === null || longitude === null || Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return null;
        return L.latLng(latitude, longitude);
    }

    function writePosition(position) {
        const wrapped = position.wrap();
        write(field("latitude_deg"), wrapped.lat.toFixed(6));
        write(field("longitude_deg"), wrapped.lng.toFixed(6));
    }

    /* Lines of latitude and longitude, for orientation without tiles. */
    function addGraticule(map) {
        const layer = L.layerGroup().addTo(map);
        const steps = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005];
        const style = { color: "#94a3b8", weight: 1, opacity: 0.35, interactive: false };
        const label = (text) => L.divIcon({ className: "map-degree", html: text, iconSize: null });

        function draw() {
            layer.clearLayers();
            const bounds = map.getBounds();
            const span = bounds.getEast() - bounds.getWest();
            const step = steps.filter((candidate) => candidate >= span / 9).pop() || steps[0];
            const digits = Math.max(0, Math.ceil(-Math.log10(step)) + (step < 0.001 ? 1 : 0));
            for (let k = Math.ceil(bounds.getWest() / step); k * step <= bounds.getEast(); k += 1) {
                const at = k * step;
                L.polyline([[bounds.getSouth(), at], [bounds.getNorth(), at]], style).addTo(layer);
                L.marker([bounds.getNorth(), at], { icon: label(at.toFixed(digits) + "°"), interactive: false, keyboard: false }).addTo(layer);
            }
            for (let k = Math.ceil(bounds.getSouth() / step); k * step <= bounds.getNorth(); k += 1) {
                const at = k * step;
                L.polyline([[at, bounds.getWest()], [at, bounds.getEast()]], style).addTo(layer);
                L.marker([at, bounds.getEast()], { icon: L.divIcon({ className: "map-degree", html: at.toFixed(digits) + "°", iconSize: null, iconAnchor: [44, 14] }), interactive: false, keyboard: false }).addTo(layer);
            }
        }
        map.on("moveend", draw);
        map.whenReady(draw);
    }

    function createMap(root) {
        const map = L.map(root.querySelector(".place-map-canvas"), { zoomSnap: 0.5, maxZoom: 19, doubleClickZoom: false });
        map.attributionControl.setPrefix("");
        map.setView(PARIS, 12);
        if (root.dataset.tileUrl) {
            const credit = root.dataset.tileUrl.includes("openstreetmap") ? "© OpenStreetMap contributors" : "";
            L.tileLayer(root.dataset.tileUrl, { maxZoom: 19, attribution: credit }).addTo(map);
        }
        L.control.scale({ imperial: false, maxWidth: 160 }).addTo(map);
        addGraticule(map);
        new ResizeObserver(() => map.invalidateSize()).observe(map.getContainer());
        return map;
    }

    /* Leaflet parses a tooltip's text as HTML, so a name is passed as a node. */
    function plain(text) {
        const node = document.createElement("span");
        node.textContent = text;
        return node;
    }

    function knob(size, kind) {
        return L.divIcon({ className: "map-knob " + kind, iconSize: [size, size] });
    }

    /* A marker that is moved by dragging or with the arrow keys, 5 m per key (Shift: 25 m). */
    function addKnob(layer, position, options, moved) {
        const marker = L.marker(position, { draggable: true, autoPan: true, ...options }).addTo(layer);
        marker.on("drag", () => moved(marker.getLatLng(), false));
        marker.on("dragend", () => moved(marker.getLatLng(), true));
        marker.getElement().addEventListener("keydown", (event) => {
            const step = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
            if (!step) return;
            event.preventDefault();
            event.stopPropagation();
            const metres = event.shiftKey ? 25 : 5;
            const at = marker.getLatLng();
            const along = METRES_PER_DEGREE * Math.cos((at.lat * Math.PI) / 180);
            marker.setLatLng([at.lat + (step[0] * metres) / METRES_PER_DEGREE, at.lng + (step[1] * metres) / along]);
            moved(marker.getLatLng(), true);
        });
        return marker;
    }

    /* Draws the stores and fences nearby, in a lighter style than the edited fence. */
    async function loadSurroundings(root, layer, parameters) {
        const answer = await fetch(root.dataset.surroundingsUrl + "?" + new URLSearchParams(parameters), { credentials: "same-origin" });
        if (!answer.ok) return null;
        const around = await answer.json();
        layer.clearLayers();
        const style = { color: "#64748b", weight: 1, dashArray: "4 4", fillOpacity: 0.07, interactive: false };
        for (const fence of around.fences) {
            if (fence.area) L.geoJSON(fence.area, { style, interactive: false }).addTo(layer);
            else L.circle([fence.latitude_deg, fence.longitude_deg], { radius: fence.radius_m, ...style }).addTo(layer);
        }
        for (const store of around.stores) {
            const own = around.store && store.id === around.store.id;
            L.marker([store.latitude_deg, store.longitude_deg], {
                icon: L.divIcon({ className: "map-store" + (own ? " map-store-own" : ""), iconSize: [11, 11] }),
                interactive: false,
                keyboard: false,
            })
                .bindTooltip(plain(store.name), {
                    permanent: true, direction: "bottom", className: "map-name", offset: [0, 4],
                })
                .addTo(layer);
        }
        return around;
    }

    function circleEditor(map, showStatus) {
        const layer = L.layerGroup();
        let circle = null;
        let centre = null;
        let handle = null;

        const radius = () => {
            const given = readNumber(field("radius_m"));
            return given === null || given <= 0 ? 150 : Math.min(given, 5000);
        };
        const handleAt = (position, metres) =>
            L.latLng(position.lat, position.lng + metres / (METRES_PER_DEGREE * Math.max(0.01, Math.cos((position.lat * Math.PI) / 180))));

        function refresh() {
            const position = readPosition();
            if (!position) {
                layer.clearLayers();
                circle = null;
                showStatus("Click the map to set the centre.");
                return;
            }
            if (!circle) build(position);
            const metres = radius();
            circle.setLatLng(position).setRadius(metres);
            circle.setTooltipContent(Math.round(metres) + " m");
            centre.setLatLng(position);
            handle.setLatLng(handleAt(position, metres));
            showStatus(
                metres < RADIUS_MIN_M || metres > RADIUS_MAX_M
                    ? "The radius must be between 50 and 1,000 m."
                    : metres < 100
                      ? Math.round(metres) + " m: below 100 m many phones report crossings late."
                      : Math.round(metres) + " m around the centre",
            );
        }

        function build(position) {
            layer.clearLayers();
            circle = L.circle(position, { radius: radius(), color: "var(--color-primary-600)", weight: 2, fillOpacity: 0.15, interactive: false }).addTo(layer);
            circle.bindTooltip("", { permanent: true, direction: "center", className: "map-size", offset: [0, -22] });
            centre = addKnob(layer, position, { icon: knob(18, "map-knob-centre"), title: "Centre" }, writePosition);
            handle = addKnob(layer, handleAt(position, radius()), { icon: knob(16, "map-knob-radius"), title: "Radius" }, (at) => {
                const metres = Math.round(map.distance(readPosition(), at) / 5) * 5;
                write(field("radius_m"), Math.min(RADIUS_MAX_M, Math.max(RADIUS_MIN_M, metres)));
                refresh();
            });
        }

        return {
            layer,
            refresh,
            click: (at) => {
                if (readNumber(field("radius_m")) === null) write(field("radius_m"), defaultRadius());
                writePosition(at);
            },
            bounds: () => (readPosition() ? readPosition().toBounds(radius() * 2.6) : null),
            startAt: (position) => {
                if (readNumber(field("radius_m")) === null) write(field("radius_m"), defaultRadius());
                writePosition(position);
            },
            isEmpty: () => readPosition() === null,
        };
    }

    function defaultRadius() {
        const role = document.querySelector("[name=role]:checked");
        return role && role.value === "approach" ? 450 : 150;
    }

    function areaM2(points) {
        const scale = Math.cos((points.reduce((sum, p) => sum + p.lat, 0) / points.length) * (Math.PI / 180));
        let twice = 0;
        points.forEach((p, i) => {
            const q = points[(i + 1) % points.length];
            twice += (p.lng * q.lat - q.lng * p.lat) * scale;
        });
        return (Math.abs(twice) / 2) * METRES_PER_DEGREE * METRES_PER_DEGREE;
    }

    function polygonEditor(map, root, showStatus) {
        const layer = L.layerGroup();
        const text = root.querySelector("textarea");
        const button = (name) => root.querySelector("[data-map-" + name + "]");
        let points = [];
        let holes = [];
        let drawing = true;
        let outline = null;

        function read() {
            try {
                const rings = JSON.parse(text.value).coordinates;
                points = rings[0].slice(0, -1).map(([x, y]) => L.latLng(y, x));
                holes = rings.slice(1);
                drawing = points.length < 3;
            } catch {
                // Not a polygon yet: keep the text as typed; the server reports its faults.
                points = [];
                holes = [];
                drawing = true;
            }
            build();
        }

        function save() {
            if (points.length < 3) {
                write(text, "");
                return;
            }
            const ring = [...points, points[0]].map((p) => [Number(p.wrap().lng.toFixed(6)), Number(p.lat.toFixed(6))]);
            write(text, JSON.stringify({ type: "Polygon", coordinates: [ring, ...holes] }));
        }

        function trace() {
            outline.setLatLngs(points);
            const size = points.length < 3 ? "" : ", " + Math.round(areaM2(points)).toLocaleString("en") + " m²";
            showStatus(points.length + (points.length === 1 ? " corner" : " corners") + size + (drawing ? " · click the map to add the next one" : ""));
        }

        function build() {
            layer.clearLayers();
            outline = L.polygon(points, { color: "var(--color-primary-600)", weight: 2, fillOpacity: 0.15, interactive: false }).addTo(layer);
            points.forEach((point, index) => {
                const corner = addKnob(layer, point, { icon: knob(14, "map-knob-corner"), title: "Corner " + (index + 1) }, (at, settled) => {
                    points[index] = at;
                    trace();
                    if (settled) change();
                });
                corner.on("click", () => {
                    if (drawing && index === 0 && points.length > 2) finish();
                });
                const remove = () => {
                    points.splice(index, 1);
                    change();
                };
                corner.on("contextmenu dblclick", remove);
                corner.getElement().addEventListener("keydown", (event) => {
                    if (event.key === "Delete" || event.key === "Backspace") remove();
                });
            });
            if (!drawing) points.forEach(addMiddle);
            trace();
            button("draw").hidden = false;
            button("draw").setAttribute("aria-pressed", String(drawing));
            button("draw").textContent = drawing ? "Done" : "Add corners";
            button("undo").hidden = !drawing || points.length === 0;
            button("clear").hidden = points.length === 0;
        }

        /* A pale marker between two corners: when dragged, it becomes a corner. */
        function addMiddle(point, index) {
            const next = points[(index + 1) % points.length];
            const middle = L.marker([(point.lat + next.lat) / 2, (point.lng + next.lng) / 2], {
                icon: knob(10, "map-knob-middle"), draggable: true, keyboard: false,
            }).addTo(layer);
            middle.on("dragend click", () => {
                points.splice(index + 1, 0, middle.getLatLng());
                change();
            });
        }

        function change() {
            save();
            build();
        }

        function finish() {
            drawing = false;
            build();
        }

        button("draw").addEventListener("click", () => {
            drawing = !drawing;
            build();
        });
        button("undo").addEventListener("click", () => {
            points.pop();
            change();
        });
        button("clear").addEventListener("click", () => {
            points = [];
            holes = [];
            drawing = true;
            change();
        });
        text.addEventListener("change", read);

        return {
            layer,
            refresh: read,
            click: (at) => {
                if (!drawing) return;
                points.push(at);
                change();
            },
            bounds: () => (points.length > 1 ? L.latLngBounds(points).pad(0.4) : null),
            startAt: () => {},
            isEmpty: () => points.length === 0,
            hideButtons: () => ["draw", "undo", "clear"].forEach((name) => { button(name).hidden = true; }),
        };
    }

    function startFenceMap(root) {
        const map = createMap(root);
        const showStatus = (words) => { root.querySelector("[data-map-status]").textContent = words; };
        const surroundings = L.layerGroup().addTo(map);
        const circle = circleEditor(map, showStatus);
        const polygon = polygonEditor(map, root, showStatus);
        let store = null;
        const shapes = [...document.querySelectorAll("[name=shape]")];
        const active = () => (shapes.some((radio) => radio.checked && radio.value === "polygon") ? polygon : circle);

        function show() {
            [circle, polygon].forEach((editor) => map.removeLayer(editor.layer));
            map.addLayer(active().layer);
            root.querySelector("[data-map-text]").hidden = active() !== polygon;
            if (active() === circle) polygon.hideButtons();
            active().refresh();
        }

        function fit() {
            const bounds = active().bounds();
            if (bounds) map.fitBounds(bounds);
            else if (store) map.fitBounds(L.latLng(store.latitude_deg, store.longitude_deg).toBounds(900));
        }

        async function follow() {
            const parameters = {};
            if (field("store") && field("store").value) parameters.store = field("store").value;
            const own = window.location.pathname.match(/\/(\d+)\/change\//);
            if (own) parameters.fence = own[1];
            const around = await loadSurroundings(root, surroundings, parameters);
            if (!around) return;
            store = around.store;
            if (store && active().isEmpty()) active().startAt(L.latLng(store.latitude_deg, store.longitude_deg));
            if (!store && around.stores.length && active().isEmpty()) {
                map.fitBounds(L.latLngBounds(around.stores.map((s) => [s.latitude_deg, s.longitude_deg])).pad(0.3), { maxZoom: 16 });
            }
            show();
            fit();
        }

        map.on("click", (event) => active().click(event.latlng));
        root.querySelector("[data-map-store]").addEventListener("click", () => {
            if (store) map.fitBounds(L.latLng(store.latitude_deg, store.longitude_deg).toBounds(900));
        });
        ["latitude_deg", "longitude_deg", "radius_m"].forEach((name) => field(name).addEventListener("input", () => { if (active() === circle) circle.refresh(); }));
        shapes.forEach((radio) => radio.addEventListener("change", () => {
            show();
            if (store && active().isEmpty()) active().startAt(L.latLng(store.latitude_deg, store.longitude_deg));
            fit();
        }));
        // Select2 reports a choice through jQuery only.
        if (field("store")) {
            if (window.django && window.django.jQuery) window.django.jQuery(field("store")).on("change", follow);
            else field("store").addEventListener("change", follow);
        }
        show();
        fit();
        follow();
    }

    /* A read-only fence. */
    function startShownMap(root) {
        const map = createMap(root);
        const fence = JSON.parse(root.dataset.fence);
        const style = { color: "var(--color-primary-600)", weight: 2, fillOpacity: 0.15, interactive: false };
        const centre = L.latLng(fence.latitude_deg, fence.longitude_deg);
        const shape = fence.area ? L.geoJSON(fence.area, { style }) : L.circle(centre, { radius: fence.radius_m, ...style });
        shape.addTo(map);
        map.fitBounds(fence.area ? shape.getBounds().pad(0.4) : centre.toBounds(fence.radius_m * 2.6));
        loadSurroundings(root, L.layerGroup().addTo(map), { fence: root.dataset.fenceId });
    }

    function startStoreMap(root) {
        const map = createMap(root);
        const surroundings = L.layerGroup().addTo(map);
        const layer = L.layerGroup().addTo(map);
        let marker = null;

        function refresh() {
            const position = readPosition();
            if (!position) return;
            if (!marker) marker = addKnob(layer, position, { icon: knob(20, "map-knob-centre"), title: "Door of the store" }, writePosition);
            marker.setLatLng(position);
        }

        map.on("click", (event) => writePosition(event.latlng));
        ["latitude_deg", "longitude_deg"].forEach((name) => field(name).addEventListener("input", refresh));
        refresh();
        if (readPosition()) map.fitBounds(readPosition().toBounds(800));
        loadSurroundings(root, surroundings, {}).then((around) => {
            if (around && around.stores.length && !readPosition()) {
                map.fitBounds(L.latLngBounds(around.stores.map((s) => [s.latitude_deg, s.longitude_deg])).pad(0.3), { maxZoom: 16 });
            }
        });
    }

    document.addEventListener("DOMContentLoaded", () => {
        document.querySelectorAll("[data-fence-map]").forEach(startFenceMap);
        document.querySelectorAll("[data-fence-shown]").forEach(startShownMap);
        document.querySelectorAll("[data-store-map]").forEach(startStoreMap);
    });
})();
