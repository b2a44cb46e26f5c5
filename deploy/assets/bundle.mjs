// Writes the console as browsers load it fastest into services/gateway/console/built: small, a file per section of the
// menu, all styles in one. The gateway serves it while the files that it was made of are the ones that lie there (their
// digests are in sources.json), else those themselves: who changes one needs no build. Needs what build.mjs wrote.
import { gzipAsync } from "@gfx/zopfli";
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, extname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const home = join(dirname(fileURLToPath(import.meta.url)), "../../services/gateway/console");
const web = join(home, "web");
const out = join(home, "built");
// Which kinds of file the gateway serves, and so looks at: KINDS in services/gateway/static_files.py.
const KINDS = [".css", ".js", ".png", ".svg", ".txt"];
// Pages that are loaded with those of another folder, beside which they are looked at or of which they share parts. What one
// looks things up in is one file: much is alike in these pages, and gzip finds that only within a file (4 kB of all).
const BESIDE = { gate: "verdict", policy: "policies", document: "policies", me: "admin", backups: "audit", checks: "audit", deliveries: "audit", jobs: "audit" };
// What is loaded at once because most pages need it. The chart is left out: it comes with uPlot.
const shared = (await readdir(join(web, "parts"))).filter((name) => name.endsWith(".js") && name !== "chart.js");
const PARTS = shared.map((name) => `import "./parts/${name}";`).join("\n");
const common = { absWorkingDir: web, bundle: true, minify: true, charset: "utf8", target: "es2022", legalComments: "none", metafile: true, logLevel: "warning" };

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const page = await readFile(join(home, "index.html"), "utf8");
const styles = [...page.matchAll(/^<link rel="stylesheet" href="\{\{ assets \}\}\/(.+)">\n/gm)];
if (!styles.length) throw new Error("index.html names no styles in lines of their own");
await build({ ...common, stdin: { contents: styles.map(([, name]) => `@import "./${name}";`).join("\n"), loader: "css", resolveDir: web }, outfile: join(out, "style.css") });
const { metafile } = await build({ ...common, entryPoints: ["main.js"], outdir: out, format: "esm", splitting: true, plugins: [sections()] });
await build({ ...common, entryPoints: ["again.js"], outdir: out, format: "iife" });
for (const name of ["icon.svg", "vendor/licences.txt"]) {
  await mkdir(dirname(join(out, name)), { recursive: true });
  await copyFile(join(web, name), join(out, name));
}
await writeFile(join(out, "index.html"), built(page));
await pack();
await writeFile(join(out, "sources.json"), JSON.stringify(await digests(), null, 1)); // the last: with it all is there

/** Pages of a section are one file: `import("./pages/admin/users.js")` becomes the import of all of `pages/admin`. */
function sections() {
  /** @type {Map<string, Map<string, string>>} section → name of the page in it → its file */
  const found = new Map();
  return {
    name: "sections",
    setup(made) {
      made.onLoad({ filter: /[\\/]web[\\/]routes\.js$/ }, async ({ path }) => {
        const text = await readFile(path, "utf8");
        let count = 0;
        const contents = text.replace(/import\("(\.\/pages\/(\w+)(?:\/(\w+))?\.js)"\)/g, (_, file, folder, inner) => {
          count += 1;
          const section = BESIDE[folder] ?? folder;
          const name = inner ? `${folder}_${inner}` : folder;
          if (!found.has(section)) found.set(section, new Map());
          found.get(section).set(name, file);
          return `import("section:${section}").then((all) => ({ default: all.${name} }))`;
        });
        const routes = text.match(/pattern: "/g)?.length;
        if (count !== routes) throw new Error(`routes.js has ${routes} routes, of which ${count} import their page as this file expects`);
        return { contents, loader: "js", resolveDir: web };
      });
      made.onLoad({ filter: /[\\/]web[\\/]main\.js$/ }, async ({ path }) => ({ contents: `${PARTS}\n${await readFile(path, "utf8")}`, loader: "js", resolveDir: web }));
      made.onResolve({ filter: /^section:/ }, ({ path }) => ({ path: path.slice("section:".length), namespace: "section" }));
      made.onLoad({ filter: /.*/, namespace: "section" }, ({ path }) => ({
        contents: [PARTS, ...[...found.get(path)].map(([name, file]) => `export { default as ${name} } from "${file}";`)].join("\n"),
        loader: "js",
        resolveDir: web,
      }));
    },
  };
}

/** The page with one style, and with preloads of what it begins with. @param {string} text */
function built(text) {
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, one]) => [relative(out, join(web, path)).split(sep).join("/"), one]));
  const needed = new Set();
  const follow = (/** @type {string} */ name) => {
    for (const one of outputs.get(name).imports) {
      const inner = relative(out, join(web, one.path)).split(sep).join("/");
      if (one.kind !== "import-statement" || needed.has(inner)) continue;
      needed.add(inner);
      follow(inner);
    }
  };
  follow("main.js");
  const preloads = [...needed].sort().map((name) => `<link rel="modulepreload" href="{{ assets }}/${name}">`);
  return text
    .replace(styles[0][0], `<link rel="stylesheet" href="{{ assets }}/style.css">\n`)
    .replace(/^<link rel="stylesheet" href="\{\{ assets \}\}\/(?!style\.css).+">\n/gm, "")
    .replace(/^<link rel="modulepreload" .+>\n/gm, "")
    .replace("{{ preloads }}", preloads.join("\n"));
}

/** Beside each file, the same in gzip: zopfli takes seconds for it and finds 3 to 4 % less than a gateway would. */
async function pack() {
  const names = (await readdir(out, { recursive: true, withFileTypes: true })).filter((one) => one.isFile() && KINDS.includes(extname(one.name)));
  for (const one of names) {
    const path = join(one.parentPath ?? one.path, one.name);
    await writeFile(`${path}.gz`, await gzipAsync(await readFile(path), {}));
  }
}

/** Of everything that the gateway would serve instead, by its path: the beginning of its SHA-256, as `Asset.digest`. */
async function digests() {
  const names = (await readdir(web, { recursive: true, withFileTypes: true }))
    .filter((one) => one.isFile() && KINDS.includes(extname(one.name)))
    .map((one) => join(one.parentPath ?? one.path, one.name));
  const lines = [...names, join(home, "index.html")].map(async (name) => [
    relative(home, name).split(sep).join("/"),
    createHash("sha256").update(await readFile(name)).digest("hex").slice(0, 16),
  ]);
  return Object.fromEntries((await Promise.all(lines)).sort(([one], [other]) => (one < other ? -1 : 1)));
}
