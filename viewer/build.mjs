// Bundles src/ into the one page that the package ships. It states the digest of its sources, which the tests compare.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const here = (name) => new URL(name, import.meta.url);
const options = { bundle: true, minify: true, write: false, legalComments: "inline", target: "es2022" };
const text = async (name, more) => (await build({ ...options, ...more, entryPoints: [here(name).pathname] })).outputFiles[0].text;

const sources = ["package-lock.json", ...readdirSync(here("src")).sort().map((name) => `src/${name}`), "build.mjs"];
const digest = createHash("sha256");
for (const name of sources) digest.update(readFileSync(here(name)));

// What is bundled asks for its copyright notice and licence in every copy: in every page.
const bundled = Object.keys(JSON.parse(readFileSync(here("package.json"), "utf8")).dependencies);
const licences = bundled.map((name) => `Contains ${name}:\n\n${readFileSync(here(`node_modules/${name}/LICENSE`), "utf8")}`);

const script = (await text("src/main.js", { format: "iife" })).replaceAll("</script", "<\\/script");
const style = await text("src/style.css", {});
const page = readFileSync(here("src/index.html"), "utf8")
  .replace("<!--DIGEST-->", digest.digest("hex"))
  .replace("<!--LICENCES-->", () => `<!--\n${licences.join("\n")}-->`)
  .replace("/*STYLE*/", () => style)
  .replace("/*SCRIPT*/", () => script);
writeFileSync(here("../prpose/view/page.html"), page);
console.log(`prpose/view/page.html: ${Math.round(page.length / 1024)} KiB`);
