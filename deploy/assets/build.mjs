// Writes what the console takes from npm into services/gateway/console/web/vendor: one ES module per entry, their types,
// and the licences of everything in them. The console's own files need no build: the browser loads them as they are.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../../services/gateway/console/web/vendor");

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const entries = (await readdir(join(here, "entries"))).filter((name) => name.endsWith(".js"));
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: entries.map((name) => join("entries", name)),
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none", // licences.txt has them, whole
  metafile: true,
  logLevel: "warning",
});
await copyFile(join(here, "node_modules/uplot/dist/uPlot.min.css"), join(out, "uplot.css"));
for (const name of entries) {
  const types = await readFile(join(here, "entries", name.replace(".js", ".d.ts")), "utf8").catch(() => null);
  if (types !== null) await writeFile(join(out, name.replace(".js", ".d.ts")), types);
}
await writeFile(join(out, "licences.txt"), await licences(Object.keys(metafile.inputs)));

/** The licence of each package of which a file went in. A package without one stops the build. */
async function licences(files) {
  const packages = new Set(files.map((file) => /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[0]).filter(Boolean));
  const texts = [];
  for (const folder of [...packages].sort()) {
    const about = JSON.parse(await readFile(join(here, folder, "package.json"), "utf8"));
    const name = (await readdir(join(here, folder))).find((file) => /^licen[cs]e/i.test(file));
    if (name === undefined) throw new Error(`${relative(here, folder)} has no licence file; what it says: ${about.license}`);
    const text = await readFile(join(here, folder, name), "utf8");
    texts.push(`${about.name} ${about.version} (${about.license})\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
