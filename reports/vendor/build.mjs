// npm install && npm run build: bundles charts.js and plans.js anew and collects the licences.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const common = { bundle: true, minify: true, format: "iife", target: "es2022", legalComments: "none", metafile: true };
const define = {
  "process.env.NODE_ENV": '"production"',
  __VUE_OPTIONS_API__: "true",
  __VUE_PROD_DEVTOOLS__: "false",
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
};
const made = await Promise.all([
  build({ ...common, entryPoints: ["charts.entry.mjs"], outfile: "charts.js" }),
  build({
    ...common,
    entryPoints: ["plans.entry.mjs"],
    outfile: "plans.js",
    define,
    loader: { ".css": "text" },
    alias: { vue: "vue/dist/vue.runtime.esm-bundler.js" },
    // Font Awesome would put a style element into the page, which its policy forbids.
    banner: { js: "window.FontAwesomeConfig={autoAddCss:false};" },
  }),
]);

// A script element ends at the first closing tag, wherever it stands.
for (const file of ["charts.js", "plans.js"]) {
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--"));
}

// Every package that a bundle holds, and what pev2 itself was bundled of.
const inside = new Set(["pev2", ...Object.keys(JSON.parse(readFileSync("node_modules/pev2/package.json")).dependencies)]);
for (const { metafile } of made) {
  for (const path of Object.keys(metafile.inputs)) {
    const name = path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1];
    if (name) inside.add(name);
  }
}
const parts = [...inside].sort().map((name) => {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const files = readdirSync(folder, { withFileTypes: true }).filter((f) => f.isFile() && /^(licen[cs]e|notice)/i.test(f.name)).map((f) => f.name).sort();
  const texts = files.map((f) => readFileSync(`${folder}/${f}`, "utf8").trim());
  return `${name} ${version} (${license})\n${"-".repeat(72)}\n${texts.join("\n\n") || "(no licence file in the package)"}`;
});
writeFileSync("LICENSES.txt", `What charts.js and plans.js are bundled of.\n\n${parts.join("\n\n\n")}\n`);
