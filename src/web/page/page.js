// Comforts for whoever allows scripts: times in the reader's zone, and a page that keeps itself fresh.
"use strict";
(() => {
  const REFRESH_MS = 10000;
  const KEY = "oncall-grants-zone";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  let local = false;
  try { local = localStorage.getItem(KEY) === "local"; } catch { /* not allowed: UTC it is */ }

  const abroad = zone !== "UTC" && zone !== "Etc/UTC";

  // The zone of most times, and the one that stands beside it.
  const first = () => (local ? zone : "UTC");
  const other = () => (local ? "UTC" : zone);
  const parts = (at, options, timeZone = first()) => new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", timeZone, ...options }).format(at);
  const clock = (at, zone) => parts(at, { hour: "2-digit", minute: "2-digit" }, zone);
  const day = (at, zone) => parts(at, { weekday: "short", day: "numeric", month: "short" }, zone);

  // An instant on a bar, as short as it can be understood.
  function moment(at) {
    if (day(at) === day(new Date())) return clock(at);
    const near = Math.abs(at - Date.now()) < 5 * 86400000;
    return parts(at, near ? { weekday: "short" } : { day: "numeric", month: "short" }) + " " + clock(at);
  }

  function showTimes(root) {
    const today = day(new Date());
    for (const element of root.querySelectorAll("time[datetime]:not(.fixed)")) {
      const at = new Date(element.getAttribute("datetime"));
      const words = (day(at) === today ? "" : day(at) + ", ") + clock(at) + (local ? "" : " UTC");
      const beside = (day(at, other()) === day(at) ? "" : day(at, other()) + ", ") + clock(at, other()) + (local ? " UTC" : "");
      element.textContent = words + " (" + beside + ")";
      element.title = at.toISOString().replace(".000", "");
    }
    for (const axis of root.querySelectorAll(".axis svg")) showOther(axis);
    for (const element of root.querySelectorAll("text[data-at]:not(.other)")) {
      const at = new Date(element.dataset.at);
      const onAxis = element.closest(".axis") !== null;
      const words = onAxis ? (clock(at) === "00:00" ? day(at) : clock(at)) : moment(at);
      element.textContent = element.dataset.form.replace("%", words);
    }
  }

  // A second row of hours, in the other zone.
  function showOther(axis) {
    for (const old of axis.querySelectorAll(".other")) old.remove();
    for (const text of axis.querySelectorAll("text[data-at]")) {
      const beside = text.cloneNode();
      beside.setAttribute("class", text.getAttribute("class").replace("day", "even") + " other");
      beside.setAttribute("y", "29");
      beside.textContent = clock(new Date(text.dataset.at), other());
      axis.append(beside);
    }
    axis.setAttribute("height", "36");
  }

  function offerZones() {
    const place = document.getElementById("zones");
    if (!place || !abroad) return;
    const button = document.createElement("button");
    button.type = "button";
    const label = () => { button.textContent = "Times: " + first() + " (" + other() + ")"; };
    button.title = "Show " + zone + " or UTC first";
    button.addEventListener("click", () => {
      local = !local;
      try { localStorage.setItem(KEY, local ? "local" : "utc"); } catch { /* for this page only */ }
      label();
      showTimes(document);
    });
    label();
    place.append(button);
  }

  function offerTools() {
    const place = document.querySelector("[data-tools]");
    if (!place) return;
    const offer = (words, act) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = words;
      button.addEventListener("click", () => act(button));
      place.append(button);
    };
    const tools = place.dataset.tools.split(" ");
    if (tools.includes("copy")) offer("Copy the link to this page", async (button) => {
      // Without the password that may stand in the address.
      const address = location.origin + location.pathname + location.search;
      try { await navigator.clipboard.writeText(address); button.textContent = "Copied"; } catch { button.textContent = address; }
    });
    if (tools.includes("print")) offer("Print", () => print());
  }

  // What is printed is read as a whole.
  addEventListener("beforeprint", () => {
    for (const closed of document.querySelectorAll("details:not([open])")) closed.dataset.opened = closed.open = true;
  });
  addEventListener("afterprint", () => {
    for (const opened of document.querySelectorAll("details[data-opened]")) { opened.open = false; delete opened.dataset.opened; }
  });

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
    if (abroad) showTimes(main);
  }

  offerZones();
  offerTools();
  if (abroad) showTimes(document);
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
