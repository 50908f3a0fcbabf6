"use strict";
(() => {
  const PAGE = 50;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // --- recommendations: filter, open, copy, deep links
  const findings = $$("details.finding");
  const texts = findings.map((f) => f.textContent.toLowerCase());
  const filters = { area: $("#area"), severity: $("#severity"), grade: $("#grade") };
  function filter() {
    const words = $("#q").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    findings.forEach((finding, place) => {
      const fits = Object.entries(filters).every(([key, box]) => !box.value || finding.dataset[key] === box.value);
      finding.hidden = !(fits && words.every((word) => texts[place].includes(word)));
      shown += !finding.hidden;
    });
    $("#shown").textContent = `${shown} of ${findings.length}`;
  }
  if (findings.length) {
    $("#q").addEventListener("input", filter);
    Object.values(filters).forEach((box) => box.addEventListener("change", filter));
    $("form.filter").addEventListener("submit", (event) => event.preventDefault());
    $("#toggle").addEventListener("click", (event) => {
      const open = event.target.textContent === "Open all";
      findings.forEach((finding) => { if (!finding.hidden) finding.open = open; });
      event.target.textContent = open ? "Close all" : "Open all";
    });
    filter();
  }
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  }
  addEventListener("hashchange", reveal);
  reveal();
  document.addEventListener("click", async (event) => {
    if (!event.target.matches("button.copy")) return;
    const code = $("code", event.target.parentElement);
    let done = true;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      // no clipboard API on file: pages of some browsers; the old command still works there
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    event.target.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { event.target.textContent = "Copy"; }, 1500);
  });
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = $$("details:not([open])").filter((d) => !d.hidden);
    closed.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));

  // --- chapters: numbers as people read them
  const number = new Intl.NumberFormat("en");
  const brief = (value) => (Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, ""));
  const scaled = (units) => (value) => {
    for (const [unit, scale] of units) if (Math.abs(value) >= scale) return `${brief(value / scale)} ${unit}`;
    return `${brief(value)} ${units.at(-1)[0]}`;
  };
  const print = {
    bytes: scaled([["TB", 2 ** 40], ["GB", 2 ** 30], ["MB", 2 ** 20], ["kB", 1024], ["B", 1]]),
    ms: scaled([["d", 864e5], ["h", 36e5], ["min", 6e4], ["s", 1e3], ["ms", 1]]),
    share: (value) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`,
    count: (value) => number.format(value),
    when: (value) => value.slice(0, 16).replace("T", " "),
  };
  const shown = (kind, value) => (value === null ? "–" : (print[kind] ?? String)(value));

  function table(node, data) {
    const id = node.dataset.chapter;
    const { kinds, columns } = data;
    const length = columns[0].length;
    const search = $(`input.search[data-chapter="${id}"]`);
    const pager = $(`span.pager[data-chapter="${id}"]`);
    const state = { order: [...Array(length).keys()], page: 0, sort: -1, down: true };
    let haystack;
    function draw() {
      const from = state.page * PAGE;
      const body = document.createDocumentFragment();
      for (const row of state.order.slice(from, from + PAGE)) {
        const line = document.createElement("tr");
        kinds.forEach((kind, place) => {
          const cell = document.createElement("td");
          cell.className = kind;
          const text = shown(kind, columns[place][row]);
          if (kind === "code") {
            const box = document.createElement("div");
            box.textContent = text;
            cell.append(box);
          } else cell.textContent = text;
          line.append(cell);
        });
        body.append(line);
      }
      $("tbody", node).replaceChildren(body);
      const pages = Math.max(1, Math.ceil(state.order.length / PAGE));
      const step = (label, to, able) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.disabled = !able;
        button.addEventListener("click", () => { state.page = to; draw(); });
        return button;
      };
      const count = document.createElement("span");
      count.textContent = `${number.format(state.order.length)} rows, page ${state.page + 1} of ${number.format(pages)}`;
      pager.replaceChildren(count);
      if (pages > 1) pager.append(step("Back", state.page - 1, state.page > 0), step("Next", state.page + 1, state.page < pages - 1));
    }
    function arrange() {
      haystack ??= columns[0].map((_, row) => kinds.map((kind, place) => (["text", "code"].includes(kind) ? columns[place][row] : "")).join("\n").toLowerCase());
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      state.order = [...Array(length).keys()].filter((row) => words.every((word) => haystack[row].includes(word)));
      if (state.sort >= 0) {
        const column = columns[state.sort];
        const sign = state.down ? -1 : 1;
        state.order.sort((a, b) => {
          const [x, y] = [column[a], column[b]];
          if (x === y) return a - b;
          if (x === null) return 1;
          if (y === null) return -1;
          return x < y ? -sign : sign;
        });
      }
      state.page = 0;
      draw();
    }
    $$("th", node).forEach((head, place) => $("button", head).addEventListener("click", () => {
      state.down = state.sort === place ? !state.down : !["text", "code"].includes(kinds[place]);
      state.sort = place;
      $$("th", node).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      arrange();
    }));
    search.addEventListener("input", arrange);
    draw();
  }

  function bars(figure, { kinds, columns, bar }) {
    const values = columns[bar].map((value, row) => [value ?? 0, row]).sort((a, b) => b[0] - a[0]).slice(0, 10).filter(([value]) => value > 0);
    if (!values.length) { figure.remove(); return; }
    const namespace = "http://www.w3.org/2000/svg";
    const make = (name, attributes, text) => {
      const node = document.createElementNS(namespace, name);
      Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
      if (text !== undefined) node.textContent = text;
      return node;
    };
    const svg = make("svg", { viewBox: `0 0 900 ${values.length * 28}`, role: "img", "aria-label": `${$("figcaption", figure).textContent}; the table below has the same numbers` });
    values.forEach(([value, row], place) => {
      const name = String(columns[0][row]).replace(/\s+/g, " ");
      const y = place * 28;
      svg.append(
        make("text", { x: 290, y: y + 18, "text-anchor": "end" }, name.length > 40 ? `${name.slice(0, 39)}…` : name),
        make("rect", { x: 300, y: y + 5, width: Math.max(2, (value / values[0][0]) * 490), height: 17, rx: 3 }),
        make("text", { x: 308 + (value / values[0][0]) * 490, y: y + 18, class: "value" }, shown(kinds[bar], value)),
      );
    });
    figure.append(svg);
  }

  async function unpack() {
    const packed = Uint8Array.from(atob($("#data").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const data = JSON.parse(await new Response(stream).text());
    for (const node of $$("table.data")) table(node, data[node.dataset.chapter]);
    for (const node of $$("figure.bars")) bars(node, data[node.dataset.chapter]);
    document.documentElement.dataset.ready = "yes";
  }
  unpack();
})();
