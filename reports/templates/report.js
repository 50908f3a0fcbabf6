"use strict";
(() => {
  const PAGE = 50;
  const ON_PAPER = 12;
  const LONG = 20;
  const NARROW = matchMedia("(max-width: 40rem)");
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // --- recommendations: filter, open, copy, deep links
  const findings = $$("details.finding");
  const groups = $$("details.group");
  const texts = findings.map((f) => f.textContent.toLowerCase());
  const filters = { area: $("#area"), severity: $("#severity"), grade: $("#grade") };
  if ($("#stands")) filters.stands = $("#stands"); // with a baseline
  function filter() {
    const words = $("#q").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    findings.forEach((finding, place) => {
      const fits = Object.entries(filters).every(([key, box]) => !box.value || finding.dataset[key] === box.value);
      finding.hidden = !(fits && words.every((word) => texts[place].includes(word)));
      shown += !finding.hidden;
    });
    const narrowed = words.length > 0 || Object.values(filters).some((box) => box.value);
    groups.forEach((group) => {
      const own = $$("details.finding", group);
      group.hidden = own.every((finding) => finding.hidden);
      if (narrowed && !group.hidden) group.open = true;
    });
    $("#shown").textContent = `${shown} of ${findings.length}`;
  }
  if (findings.length) {
    $("#q").addEventListener("input", filter);
    Object.values(filters).forEach((box) => box.addEventListener("change", filter));
    $("form.filter").addEventListener("submit", (event) => event.preventDefault());
    $("#toggle").addEventListener("click", (event) => {
      const open = event.target.textContent === "Open all";
      [...groups, ...findings].forEach((each) => { if (!each.hidden) each.open = open; });
      event.target.textContent = open ? "Close all" : "Open all";
    });
    filter();
  }
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node instanceof HTMLDetailsElement) {
      node.hidden = false;
      node.open = true;
    }
    target.scrollIntoView();
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
      // some browsers have no clipboard API on file: pages; the old command still works there
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
    // on paper, what to do and why; a group of many stays one line, and the rules are in the documentation
    const folded = $$("details.group").filter((group) => group.querySelectorAll("details.finding").length > ON_PAPER);
    closed = $$("details.finding:not([open]), details.group:not([open]), details.more:not([open]), details.tables:not([open])").filter((d) => !d.hidden && !folded.some((group) => group.contains(d)));
    closed.forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((d) => { d.open = false; }));

  // --- chapters: human-readable numbers
  const number = new Intl.NumberFormat("en");
  const brief = (value) => {
    const size = Math.abs(value);
    if (size >= 10 || value === 0) return value.toFixed(0);
    if (size >= 1) return value.toFixed(1).replace(/\.0$/, "");
    return value.toFixed(Math.min(9, 1 - Math.floor(Math.log10(size)))).replace(/\.?0+$/, "");
  };
  const scaled = (units) => (exact) => {
    const value = Number(exact); // which may be a BigInt
    for (const [unit, scale] of units) if (Math.abs(value) >= scale) return `${brief(value / scale)} ${unit}`;
    return `${brief(value)} ${units.at(-1)[0]}`;
  };
  const scales = {
    bytes: [["PB", 2 ** 50], ["TB", 2 ** 40], ["GB", 2 ** 30], ["MB", 2 ** 20], ["kB", 1024], ["B", 1]],
    ms: [["d", 864e5], ["h", 36e5], ["min", 6e4], ["s", 1e3], ["ms", 1]],
  };
  const print = {
    bytes: scaled(scales.bytes),
    ms: scaled(scales.ms),
    share: (value) => `${(value * 100).toFixed(value > 0 && value < 0.0995 ? 1 : 0)}%`,
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
            if (text.length > LONG || text.includes("\n")) box.tabIndex = 0; // it may scroll
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

  // --- charts: the same numbers as in the table below, drawn by ECharts
  const drawn = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const named = (value) => String(value).replace(/\s+/g, " ");
  const base = () => ({
    animation: false,
    aria: { enabled: true },
    color: [colour("--bar"), colour("--bar-2")],
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour("--text") },
    tooltip: { renderMode: "richText", confine: true, backgroundColor: colour("--panel"), borderColor: colour("--line"), textStyle: { color: colour("--text"), fontSize: 13 } },
  });
  const axis = (kind, more) => ({
    axisLabel: { color: colour("--soft"), formatter: (value) => shown(kind, value), hideOverlap: true },
    nameTextStyle: { color: colour("--soft") },
    splitLine: { lineStyle: { color: colour("--line") } },
    ...more,
  });
  // marks at round numbers of the unit that is printed: 100 MB, not 95
  const rounded = (kind, most) => {
    const [, unit] = (scales[kind] ?? [["", 1]]).find(([, scale]) => most >= scale) ?? ["", 1];
    const rough = most / unit / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((digit) => digit * power >= rough) * power * unit;
    return { interval: step, max: Math.ceil(most / step) * step };
  };
  // distinguishable without color, too
  const stripes = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 7], rotation: -Math.PI / 4, color: "rgba(128, 128, 128, .35)" };
  // the largest, as far as they are apart: row → side of the point on which there is room
  const labels = (rows, point) => {
    const logs = new Map(rows.map((row) => [row, point(row).map(Math.log)]));
    const [width, height] = [0, 1].map((side) => {
      const values = [...logs.values()].map((at) => at[side]);
      return Math.max(...values) - Math.min(...values) || 1;
    });
    const left = Math.min(...[...logs.values()].map(([at]) => at));
    const named = new Map();
    for (const row of [...rows].sort((a, b) => point(b)[1] - point(a)[1])) {
      if (named.size === 6) break;
      const [x, y] = logs.get(row);
      const apart = [...named.keys()].every((other) => Math.abs(logs.get(other)[1] - y) / height > 0.06 || Math.abs(logs.get(other)[0] - x) / width > 0.6);
      if (apart) named.set(row, x - left > width / 2 ? "left" : "right");
    }
    return named;
  };
  const makers = {
    bars({ kinds, columns }, { x, limits }) {
      const rows = columns[x].map((value, row) => [Number(value ?? 0), named(columns[0][row])]).filter(([value]) => value > 0).sort((a, b) => b[0] - a[0]).slice(0, 10);
      const values = rows.map(([value]) => value);
      const most = Math.max(...values, ...limits.map(([limit]) => limit));
      if (!rows.length || values[0] < most / 500) return null; // nothing to see
      const line = { silent: true, symbol: "none", label: { color: colour("--soft"), formatter: ({ dataIndex }) => limits[dataIndex][1], position: "start" }, lineStyle: { color: colour("--warning"), width: 2, type: "dashed" }, data: limits.map(([limit]) => ({ xAxis: limit })) };
      return [rows.length * 30 + (limits.length ? 62 : 46), {
        grid: { left: 8, right: 84, top: limits.length ? 22 : 6, bottom: 6, containLabel: true },
        xAxis: axis(kinds[x], { type: "value", ...rounded(kinds[x], most) }),
        yAxis: { type: "category", inverse: true, data: rows.map(([, name]) => clip(name, NARROW.matches ? 16 : 42)), axisLabel: { color: colour("--text"), width: NARROW.matches ? 130 : 300, overflow: "truncate" }, axisTick: { show: false }, axisLine: { lineStyle: { color: colour("--line") } } },
        tooltip: { formatter: ({ dataIndex }) => `${clip(rows[dataIndex][1], 90)}\n${shown(kinds[x], values[dataIndex])}` },
        series: [{ type: "bar", data: values, barMaxWidth: 20, markLine: line, label: { show: true, position: "right", color: colour("--text"), formatter: ({ value }) => shown(kinds[x], value) } }],
      }];
    },
    areas({ kinds, columns, titles }, { x, parts }) {
      const size = (row) => parts.reduce((sum, part) => sum + Number(columns[part][row] ?? 0), 0);
      const rows = columns[0].map((_, row) => row).filter((row) => size(row) > 0).sort((a, b) => size(b) - size(a)).slice(0, 60);
      if (!rows.length) return null;
      const data = rows.map((row) => ({
        name: named(columns[0][row]),
        children: parts.map((part, place) => ({ name: place ? titles[part] : named(columns[0][row]), value: Number(columns[part][row] ?? 0), label: { color: colour(place ? "--on-bar-2" : "--on-bar") }, itemStyle: { color: colour(place ? "--bar-2" : "--bar"), decal: place ? stripes : undefined } })).filter(({ value }) => value > 0),
      }));
      return [380, {
        tooltip: { formatter: ({ treePathInfo, value }) => `${treePathInfo.slice(1).map(({ name }) => clip(name, 80)).join("\n")}\n${shown(kinds[x], value)}` },
        series: [{ type: "treemap", data, roam: false, nodeClick: false, breadcrumb: { show: false }, left: 0, right: 0, top: 0, bottom: 0, label: { overflow: "truncate", lineHeight: 17, formatter: ({ name, value }) => `${name}\n${shown(kinds[x], value)}` }, itemStyle: { borderColor: colour("--bg"), borderWidth: 1, gapWidth: 1 }, levels: [{ itemStyle: { gapWidth: 3 } }, { itemStyle: { gapWidth: 1 } }] }],
      }];
    },
    dots({ kinds, columns, titles }, { x, y }) {
      const rows = columns[0].map((_, row) => row).filter((row) => columns[x][row] !== null && columns[y][row] > 0).slice(0, 2000);
      if (!rows.length) return null;
      const point = (row) => [Math.max(1, Number(columns[x][row])), Number(columns[y][row])];
      const label = labels(rows, point);
      return [360, {
        grid: { left: 8, right: 24, top: 34, bottom: 30, containLabel: true },
        // zero has no logarithm: an unused index is drawn where one scan would be
        xAxis: axis(kinds[x], { type: "log", min: 1, name: `${titles[x]} (the first mark is 0 or 1)`, nameLocation: "middle", nameGap: 28 }),
        yAxis: axis(kinds[y], { type: "log", logBase: kinds[y] === "bytes" ? 4 : 10, name: titles[y] }),
        tooltip: { formatter: ({ dataIndex }) => `${clip(named(columns[0][rows[dataIndex]]), 80)}\n${shown(kinds[y], columns[y][rows[dataIndex]])}, ${shown(kinds[x], columns[x][rows[dataIndex]])} ${titles[x]}` },
        series: [{ type: "scatter", symbolSize: 9, data: rows.map((row) => ({ value: point(row), label: label.has(row) ? { show: true, position: label.get(row), color: colour("--text"), formatter: clip(named(columns[0][row]), 32) } : undefined })), itemStyle: { opacity: 0.65 } }],
      }];
    },
  };
  function draw(figure, data) {
    const picture = data.pictures[figure.dataset.picture];
    const made = makers[picture.kind](data, picture);
    if (!made) { figure.remove(); return; }
    const box = document.createElement("div");
    box.className = "canvas";
    box.style.height = `${made[0]}px`;
    figure.append(box);
    const chart = charts.init(box, null, { renderer: "svg" });
    const paint = () => {
      const [, options] = makers[picture.kind](data, picture);
      const frame = base();
      chart.setOption({ ...frame, ...options, tooltip: { ...frame.tooltip, ...options.tooltip } }, true);
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", `${picture.title}; the table below contains the same numbers`);
    };
    paint();
    drawn.push({ chart, paint });
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => drawn.forEach(({ paint }) => paint()));
  addEventListener("resize", () => drawn.forEach(({ chart }) => chart.resize()));
  addEventListener("beforeprint", () => drawn.forEach(({ chart }) => chart.resize({ width: 640 })));
  addEventListener("afterprint", () => drawn.forEach(({ chart }) => chart.resize({ width: "auto" })));

  // what PEV2 leaves out for readers who do not see colours, or the screen
  const readable = new CSSStyleSheet();
  readable.replaceSync(`[data-bs-theme=light] { --bs-link-color-rgb: 10,88,202; --bs-link-color: #0a58ca; --bs-nav-link-color: #0a58ca; }
    [data-bs-theme=light] .nav { --bs-nav-link-color: #0a58ca; } .nav .badge { display: none; } .text-secondary, .text-muted, .text-body-tertiary, .text-body-secondary { color: inherit !important; }
    [data-bs-theme=light] .btn-outline-secondary { --bs-btn-color: #495057; --bs-btn-disabled-color: #495057; --bs-btn-disabled-opacity: 1; }`);
  function explain(root) {
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, readable];
    const mend = () => {
      for (const bar of $$("[role=progressbar]", root)) bar.setAttribute("aria-label", "share of the plan");
      for (const heading of $$("h4", root)) heading.setAttribute("aria-level", "3");
    };
    mend();
    new MutationObserver(mend).observe(root, { childList: true, subtree: true });
  }

  async function unpack() {
    const packed = Uint8Array.from(atob($("#data").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const data = JSON.parse(await new Response(stream).text());
    // integers that a number would round came as text
    for (const { kinds, columns } of Object.values(data.chapters)) kinds.forEach((kind, place) => {
      if (["count", "bytes"].includes(kind)) columns[place]?.forEach((value, row) => { if (typeof value === "string") columns[place][row] = BigInt(value); });
    });
    for (const node of $$("table.data")) table(node, data.chapters[node.dataset.chapter]);
    for (const node of $$("figure.picture")) draw(node, data.chapters[node.dataset.chapter]);
    for (const node of $$("details.plan")) node.addEventListener("toggle", () => {
      const { plan, query } = data.plans[node.dataset.plan];
      if (node.open) {
        plans.show($(".viewer", node), plan, query, dark.matches);
        explain($(".viewer", node).shadowRoot);
      }
    });
    document.documentElement.dataset.ready = "yes";
  }
  unpack();
})();
