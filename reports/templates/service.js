"use strict";
// Sections that changed come as HTML of the service's own making; what is open stays open.
const live = document.getElementById("live");
const ago = (seconds) => {
  const [n, unit] = seconds < 90 ? [seconds, "s"] : seconds < 5400 ? [seconds / 60, "min"] : seconds < 172800 ? [seconds / 3600, "h"] : [seconds / 86400, "days"];
  return `${Math.max(0, Math.round(n))} ${unit}`;
};
let apart = 0; // how far this clock is from the service's
const tell = () => {
  for (const node of document.querySelectorAll("time[datetime]")) {
    const seconds = (Date.now() + apart - Date.parse(node.dateTime)) / 1000;
    node.title = node.dateTime;
    node.textContent = `${node.dateTime.slice(11, 19)} (${ago(seconds)} ago)`;
  }
};
const swap = (id, html) => {
  const box = document.getElementById(id);
  if (!box) return;
  const states = new Map([...box.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
  const focused = document.activeElement?.closest?.("details[id]")?.id;
  box.innerHTML = html;
  for (const d of box.querySelectorAll("details[id]")) if (states.has(d.id)) d.open = states.get(d.id);
  if (focused && box.querySelector(`#${CSS.escape(focused)}`)) box.querySelector(`#${CSS.escape(focused)} > summary`)?.focus();
};
const listen = () => {
  const source = new EventSource("/api/stream");
  source.addEventListener("page", (event) => {
    const message = JSON.parse(event.data);
    apart = message.now * 1000 - Date.now();
    for (const [id, html] of Object.entries(message.sections)) swap(id, html);
    document.documentElement.dataset.status = message.status;
    document.title = `${message.status}: PostgreSQL service`;
    live.textContent = "Live.";
    tell();
  });
  source.addEventListener("end", () => { source.close(); again(); });
  source.onerror = () => {
    live.textContent = "The service does not answer; what is shown may be old.";
    if (source.readyState === EventSource.CLOSED) again();
  };
};
const again = () => { live.textContent = "The service has ended; looking for it again."; setTimeout(listen, 3000); };
tell();
setInterval(tell, 1000);
listen();
document.documentElement.dataset.ready = "";
