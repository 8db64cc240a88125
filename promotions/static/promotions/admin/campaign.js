/* The campaign page while it is edited: a preview of the message, and the cost and power of the holdout. */
(function () {
    "use strict";

    const field = (name) => document.getElementById("id_" + name);
    const text = (name) => (field(name) ? field(name).value : "");

    function startPreview(root) {
        const known = root.dataset.placeholders.split(",");
        const at = (name) => root.querySelector("[data-preview-" + name + "]");

        function values() {
            const brand = field("brand");
            return {
                store: chosenStore() || root.dataset.store,
                brand: brand && brand.selectedIndex > 0 ? brand.options[brand.selectedIndex].text : root.dataset.brand,
                offer: text("offer_title") || "…",
                until: firstEnd() || root.dataset.until,
            };
        }

        function chosenStore() {
            const stores = field("stores");
            return stores && stores.selectedOptions && stores.selectedOptions.length ? stores.selectedOptions[0].text : "";
        }

        function firstEnd() {
            const ends = document.querySelectorAll("[name^=windows-][name$=-ends_at]:not([name*=__prefix__])");
            const time = [...ends].map((end) => end.value.match(/^\d{1,2}:\d{2}/)).find(Boolean);
            return time ? time[0] : "";
        }

        function refresh() {
            const shown = values();
            const unknown = new Set();
            const render = (template) => template.replace(/\{([^{}]*)\}/g, (whole, name) => {
                if (known.includes(name)) return shown[name];
                unknown.add(whole);
                return whole;
            });
            const title = render(text("message_title"));
            const body = render(text("message_body"));
            at("title").textContent = title;
            at("body").textContent = body;
            root.classList.toggle("is-empty", !title && !body);
            at("note").textContent = unknown.size
                ? [...unknown].join(", ") + " is unknown. Use " + known.map((name) => "{" + name + "}").join(", ")
                : !title && !body
                  ? "No message: customers find the offer in the app."
                  : title.length > 50 || body.length > 180
                    ? "Phones cut titles after about 50 characters and texts after about 180."
                    : "";
            root.classList.toggle("has-fault", unknown.size > 0);
        }

        ["message_title", "message_body", "offer_title", "brand", "stores"].forEach((name) => {
            if (!field(name)) return;
            field(name).addEventListener("input", refresh);
            field(name).addEventListener("change", refresh);
            if (window.django && window.django.jQuery) window.django.jQuery(field(name)).on("change", refresh);
        });
        // Rows of hours are added and removed, so the listener is on their group. A row is removed after its click event.
        const hours = document.getElementById("windows-group");
        if (hours) ["input", "change", "click"].forEach((name) => hours.addEventListener(name, () => setTimeout(refresh)));
        refresh();
    }

    function startProof(root) {
        const phones = root.querySelector("[data-proof-phones]");
        const sentence = root.querySelector("[data-proof-sentence]");
        let timer = null;

        function days() {
            const first = Date.parse(text("starts_on"));
            const last = Date.parse(text("ends_on"));
            const span = Math.round((last - first) / 86400000) + 1;
            return Number.isFinite(span) && span > 0 ? span : Number(root.dataset.days);
        }

        async function ask() {
            const query = new URLSearchParams({
                phones_per_week: phones.value,
                holdout_percent: text("holdout_percent") || root.dataset.holdout,
                days: days(),
            });
            const answer = await fetch(root.dataset.url + "?" + query, { credentials: "same-origin" });
            if (answer.ok) sentence.textContent = (await answer.json()).sentence;
        }

        function later() {
            clearTimeout(timer);
            timer = setTimeout(ask, 250);
        }

        phones.addEventListener("input", later);
        ["holdout_percent", "starts_on", "ends_on"].forEach((name) => {
            if (!field(name)) return;
            field(name).addEventListener("input", later);
            field(name).addEventListener("change", later);
        });
    }

    /* Rows that belong to a kind of campaign, such as prizes, are shown with that kind only. */
    function startKind() {
        const kind = field("kind");
        if (!kind || !kind.dataset.kindOfGroup) return;
        const kinds = Object.entries(JSON.parse(kind.dataset.kindOfGroup));
        const refresh = () => kinds.forEach(([id, of]) => {
            const group = document.getElementById(id);
            if (group) group.hidden = kind.value !== of;
        });
        kind.addEventListener("change", refresh);
        refresh();
    }

    document.addEventListener("DOMContentLoaded", () => {
        document.querySelectorAll("[data-message-preview]").forEach(startPreview);
        document.querySelectorAll("[data-proof]").forEach(startProof);
        startKind();
    });
})();
