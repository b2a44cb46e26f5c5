// The frame of every page: menu, site, language, colours, the state of the line, and the page itself.
import { Component, html, useEffect, useRef, useState } from "../vendor/preact.js";
import { forgetAll } from "../api/asking.js";
import { get } from "../api/client.js";
import { watchLine } from "../api/events.js";
import { chooseSite, loadForThem, may, mayAnywhere, reader, signOut, site, sitesOf, strangeSite, stranger, watchSession } from "../api/session.js";
import { BASE, match, usePlace } from "../router.js";
import { ROUTES } from "../routes.js";
import { LANGUAGES, chooseLanguage, languageNow, t } from "../words/index.js";
import { Dialog } from "./dialog.js";
import { Notices, sayRefused } from "./notices.js";
import { loadAnew, outdated } from "./outdated.js";
import { SignIn } from "./sign_in.js";
import { Empty, Loading, Refused } from "./states.js";
import { StepUp } from "./step_up.js";
import { THEMES, chooseTheme, themeNow } from "./theme.js";

/** @param {{unreachable: any}} props */
export function Layout({ unreachable }) {
  const [, redraw] = useState(0);
  const [version, setVersion] = useState(0); // a new one draws the page anew, with other words or for another reader
  const wasIn = useRef(false);
  useEffect(() => watchSession(() => redraw((count) => count + 1)), []);
  const other = stranger();
  const me = other ? null : reader();
  const who = useRef("");
  if (me !== null) {
    if (who.current && who.current !== me.username) forgetAll(); // what one person saw is not shown to the next
    who.current = me.username;
    wasIn.current = true;
  }
  const speak = async (/** @type {any} */ language) => {
    await chooseLanguage(language);
    setVersion((count) => count + 1);
  };
  if (unreachable && me === null) return html`<main class="alone"><${Refused} problem=${unreachable} retry=${() => window.location.reload()} /></main>`;
  if (me === null && !wasIn.current) return html`<main class="alone"><${SignIn} speak=${speak} /></main>`;
  return html`
    <a class="skip" href="#content" onClick=${skip}>${t("skip")}</a>
    <${Top} key=${who.current} me=${me} speak=${speak} />
    <div class="columns" hidden=${other !== null}>
      <${Menu} />
      <main id="content" tabindex="-1"><${Boundary} key="${version} ${site()} ${who.current}"><${PageOf} /><//></main>
    </div>
    <${Notices} /><${StepUp} />
    ${other && html`<${Dialog} key="other" title=${t("other-person.title", { now: other.now })} keep><p>${t("other-person.what", other)}</p>
      <div class="form-buttons"><button type="button" class="primary" onClick=${loadForThem}>${t("other-person.go", { now: other.now })}</button></div><//>`}
    ${me === null && !other && html`<${Dialog} key="again" title=${t("sign-in.title")} keep><p>${t("sign-in.again")}</p><${SignIn} speak=${speak} inside /><//>`}`;
}

/** A page that breaks takes only itself with it. */
class Boundary extends Component {
  constructor() {
    super();
    this.state = { error: null };
  }

  /** @param {any} error */
  static getDerivedStateFromError(error) {
    return { error };
  }

  /** @param {any} error */
  componentDidCatch(error) {
    console.error(error);
  }

  /** @param {any} props @param {any} state */
  render(props, state) {
    const problem = { status: 0, slug: "broken", body: { detail: String(state.error) } };
    return state.error ? html`<${Refused} problem=${problem} retry=${() => this.setState({ error: null })} />` : props.children;
  }
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/** @param {{me: any, speak: (language: any) => void}} props */
function Top({ me, speak }) {
  const [line, setLine] = useState("off");
  useEffect(() => watchLine(setLine), []);
  const [theme, setTheme] = useState(themeNow);
  const paint = (/** @type {string} */ next) => {
    chooseTheme(next);
    setTheme(next);
  };
  return html`<header class="top">
    <a class="brand" href=${BASE}>Headgate</a>
    <${Sites} me=${me} />
    <span class="line ${line}" role="status" title=${t(`line.${line}`)}><span class="dot" aria-hidden="true"></span><span>${line === "lost" ? t("line.lost") : t(`line.${line}`)}</span></span>
    <div class="settings">
      <label><span class="hidden">${t("language")}</span><select value=${languageNow()} onChange=${(/** @type {any} */ event) => speak(event.target.value)}>
        ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code} selected=${code === languageNow()}>${name}</option>`)}</select></label>
      <label><span class="hidden">${t("theme")}</span><select value=${theme} onChange=${(/** @type {any} */ event) => paint(event.target.value)}>
        ${THEMES.map((one) => html`<option value=${one} selected=${one === theme}>${t(`theme.${one}`)}</option>`)}</select></label>
      ${me && html`<a class="who" href="${BASE}/me" title=${t("me.title")}>${me.username}</a>`}
      <button type="button" onClick=${() => signOut().catch(sayRefused)}>${t("sign-out")}</button>
    </div>
  </header>`;
}

/** Which site is looked at. Who may see all sites may name any. @param {{me: any}} props */
function Sites({ me }) {
  const now = site();
  const sites = me?.sites ?? [];
  const known = [...new Set([now, ...(sites.includes("*") ? ["global"] : []), ...sites.filter((/** @type {string} */ one) => one !== "*")])].sort();
  const [named, setNamed] = useState(known);
  useEffect(() => {
    if (!mayAnywhere("site:read")) return;
    get("/api/sites").then(
      (found) => setNamed([...new Set([...known, ...(found.items ?? found).map((/** @type {any} */ one) => one.name ?? one.site)])].sort()),
      () => {}, // those of the reader's own rights are there already
    );
  }, [me?.username]);
  return html`<label class="site-pick"><span>${t("site")}</span> <select value=${now} onChange=${(/** @type {any} */ event) => chooseSite(event.target.value)}>
    ${[...new Set([...known, ...named])].map((one) => html`<option value=${one} selected=${one === now}>${one}</option>`)}</select></label>`;
}

function Menu() {
  const { path } = usePlace();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [path]);
  const at = ROUTES.findIndex((route) => match(route.pattern, path));
  const current = ROUTES.slice(0, at + 1).findLast((route) => route.nav);
  return html`<nav class=${open ? "menu open" : "menu"} aria-label=${t("nav.main")}>
    <button type="button" class="menu-button" aria-expanded=${open} onClick=${() => setOpen(!open)}>☰ ${t("menu")}</button>
    <ul>${ROUTES.filter((route) => route.nav && (!route.permission || mayAnywhere(route.permission))).map(
      (route) => html`<li><a href=${BASE + (route.pattern === "/" ? "" : route.pattern)} aria-current=${route === current ? "page" : undefined}>${t(/** @type {string} */ (route.nav))}</a></li>`,
    )}</ul>
  </nav>`;
}

/** The page of the address: loaded, allowed, or what stands for it. */
function PageOf() {
  const { path } = usePlace();
  const route = ROUTES.find((one) => match(one.pattern, path));
  const [loaded, setLoaded] = useState(/** @type {{route: any, page: any, problem: any}} */ ({ route: null, page: null, problem: null }));
  const first = useRef(true);
  useEffect(() => {
    if (!route) return;
    route.load().then(
      (module) => setLoaded({ route, page: module.default, problem: null }),
      async () => {
        if (await outdated()) loadAnew();
        else setLoaded({ route, page: null, problem: { status: 0, slug: "broken", body: { detail: "" } } });
      },
    );
  }, [route]);
  useEffect(() => {
    // Who uses a screen reader or the keyboard begins at the new page's title, not where the old link was.
    if (!first.current && loaded.page) document.querySelector("h1")?.focus();
    if (loaded.page) first.current = false;
  }, [path, loaded.page]);
  if (!route) return html`<h1 tabindex="-1">${t("not-found")}</h1><${Empty} title=${t("not-found.more")}><a href=${BASE}>${t("not-found.back")}</a><//>`;
  const strange = strangeSite();
  if (strange) return html`<h1 tabindex="-1">${t("problem.forbidden")}</h1><${Empty} title=${t("problem.strange-site", { site: strange })}><button type="button" onClick=${() => chooseSite(site())}>${site()}</button><//>`;
  if (route.permission && !(route.sited ? may : mayAnywhere)(route.permission)) {
    const there = sitesOf(route.permission);
    return html`<h1 tabindex="-1">${t("problem.forbidden")}</h1><${Empty} title=${there.length ? t("problem.elsewhere", { site: site() }) : t("problem.forbidden.more", { permission: route.permission })}>
      ${there.map((one) => html`<button type="button" onClick=${() => chooseSite(one)}>${one}</button> `)}<//>`;
  }
  if (loaded.problem) return html`<${Refused} problem=${loaded.problem} retry=${() => window.location.reload()} />`;
  if (loaded.route !== route) return html`<${Loading} />`;
  return html`<${loaded.page} ...${match(route.pattern, path)} key=${path} />`;
}

/** The title of a page, also of the window. @param {{children: any, side?: any}} props */
export function Title({ children, side }) {
  const text = [children].flat(9).filter((part) => typeof part === "string" || typeof part === "number").join("");
  useEffect(() => {
    document.title = `${text} · Headgate`;
  }, [text]);
  return html`<div class="title"><h1 tabindex="-1">${children}</h1>${side && html`<div class="title-side">${side}</div>`}</div>`;
}
