// PEV2 in a shadow root, so that its style sheets and the report's don't meet.
import { createApp, h } from "vue";
import bootstrap from "bootstrap/dist/css/bootstrap.min.css";
import icons from "@fortawesome/fontawesome-svg-core/styles.css";
import pev2 from "pev2/dist/pev2.css";
import { Plan } from "pev2";

const own = ":host { display: block; } .viewer { height: 34rem; font-size: .9rem; background: var(--bs-body-bg); color: var(--bs-body-color); font-family: inherit; overflow-wrap: normal; }";
const sheets = [bootstrap, icons, pev2, own].map((text) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text.replaceAll(":root", ":host"));
  return sheet;
});

globalThis.plans = {
  show(host, plan, query, isDark) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = sheets;
    const viewer = document.createElement("div");
    viewer.className = "viewer d-flex flex-column";
    viewer.dataset.bsTheme = isDark ? "dark" : "light";
    root.replaceChildren(viewer);
    createApp({ render: () => h(Plan, { planSource: plan, planQuery: query }) }).mount(viewer);
  },
};
