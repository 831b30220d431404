// Comforts for whoever allows scripts: times in the reader's zone, and a page that keeps itself fresh.
"use strict";
(() => {
  const REFRESH_MS = 10000;
  const KEY = "oncall-grants-zone";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  let local = false;
  try { local = localStorage.getItem(KEY) === "local"; } catch { /* not allowed: UTC it is */ }

  const parts = (at, options) => new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", timeZone: local ? zone : "UTC", ...options }).format(at);
  const clock = (at) => parts(at, { hour: "2-digit", minute: "2-digit" });
  const day = (at) => parts(at, { weekday: "short", day: "numeric", month: "short" });

  // An instant on a bar, as short as it can be understood.
  function moment(at) {
    if (day(at) === day(new Date())) return clock(at);
    const near = Math.abs(at - Date.now()) < 5 * 86400000;
    return parts(at, near ? { weekday: "short" } : { day: "numeric", month: "short" }) + " " + clock(at);
  }

  function showTimes(root) {
    const today = day(new Date());
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.getAttribute("datetime"));
      const words = (day(at) === today ? "" : day(at) + ", ") + clock(at);
      element.textContent = words + (local ? "" : " UTC");
      element.title = at.toISOString().replace(".000", "");
    }
    for (const element of root.querySelectorAll("text[data-at]")) {
      const at = new Date(element.dataset.at);
      const onAxis = element.closest(".axis") !== null;
      const words = onAxis ? (clock(at) === "00:00" ? day(at) : clock(at)) : moment(at);
      element.textContent = element.dataset.form.replace("%", words);
    }
  }

  function offerZones() {
    const place = document.getElementById("zones");
    if (!place || zone === "UTC" || zone === "Etc/UTC") return;
    const button = document.createElement("button");
    button.type = "button";
    const label = () => { button.textContent = local ? "Times: " + zone : "Times: UTC"; };
    button.title = "Show times in UTC or in " + zone;
    button.addEventListener("click", () => {
      local = !local;
      try { localStorage.setItem(KEY, local ? "local" : "utc"); } catch { /* for this page only */ }
      label();
      showTimes(document);
    });
    label();
    place.append(button);
  }

  // Nothing is replaced under the hands of somebody who uses it.
  const isBusy = (main) => document.hidden || main.contains(document.activeElement) || String(getSelection()) !== "";

  async function refresh() {
    const main = document.getElementById("main");
    if (isBusy(main)) return;
    const answer = await fetch(new URL(location.pathname + location.search, location.origin), { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    if (!fresh || isBusy(main)) return;
    for (const open of main.querySelectorAll("details[id][open]")) {
      const same = fresh.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    main.replaceChildren(...fresh.childNodes);
    showTimes(main);
  }

  offerZones();
  if (local) showTimes(document);
  document.addEventListener("change", (event) => {
    if (event.target.matches(".controls input[type=radio]")) event.target.form.requestSubmit();
  });
  if (location.pathname.endsWith("/")) {
    const tryRefresh = () => refresh().catch(() => document.getElementById("as-of")?.classList.add("stale"));
    setInterval(tryRefresh, REFRESH_MS);
    document.addEventListener("visibilitychange", tryRefresh);
    addEventListener("focus", tryRefresh);
    addEventListener("oncall-grants:refresh", tryRefresh);
  }
})();
