// Signing in: with the organization's provider, a password, a token, or a code with which one chooses a password.
import { html, useEffect, useState } from "../vendor/preact.js";
import { get, order } from "../api/client.js";
import { signInByPassword, signInByToken } from "../api/session.js";
import { LANGUAGES, languageNow, t } from "../words/index.js";
import { Field, Form } from "./form.js";

const MAX_NEXT = 200; // what the door of sign-in takes

/** @param {{speak: (language: any) => void, inside?: boolean}} props */
export function SignIn({ speak, inside }) {
  const [how, setHow] = useState("password");
  const [chosen, setChosen] = useState(false);
  const [providers, setProviders] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    get("/api/sign-in").then((found) => setProviders(found.providers), () => {}); // passwords and tokens work without
  }, []);
  const at = window.location.pathname + window.location.search;
  const next = encodeURIComponent(at.length <= MAX_NEXT ? at : "/console");
  const password = (/** @type {any} */ said) => signInByPassword(said.username.trim(), said.password, said.code.trim());
  const token = (/** @type {any} */ said) => signInByToken(said.token.trim());
  const redeem = async (/** @type {any} */ { username, code, password: wanted, _key }) => {
    await order("POST", "/api/passwords", { username: username.trim(), code: code.trim(), password: wanted }, { key: _key });
    // The code is used up, so what is missing, such as a second factor, is asked for where one signs in.
    await signInByPassword(username.trim(), wanted, "").catch(() => (setChosen(true), setHow("password")));
  };
  const name = html`<${Field} name="username" label=${t("sign-in.username")} autocomplete="username" required />`;
  return html`<section class="sign-in">
    ${!inside && html`<h1 tabindex="-1">${t("sign-in.title")}</h1>`}
    ${providers.map((one) => html`<p><a class="button primary" href="/api/sign-in/${one.name}?next=${next}">${t("sign-in.with", { name: one.name })}</a></p>`)}
    <fieldset class="choice"><legend class="hidden">${t("sign-in.how")}</legend>
      ${["password", "token", "redeem"].map((one) => html`<label><input type="radio" name="how" value=${one} checked=${how === one} onChange=${() => setHow(one)} /> ${t(`sign-in.${one}`)}</label>`)}
    </fieldset>
    ${how === "password"
      ? html`${chosen && html`<p role="status">${t("sign-in.chosen")}</p>`}<${Form} key="password" deed=${password} submit=${t("sign-in.go")}>
          ${name}
          <${Field} name="password" type="password" label=${t("sign-in.password")} autocomplete="current-password" required />
          <${Field} name="code" label=${t("sign-in.code")} autocomplete="one-time-code" />
        <//>`
      : how === "redeem"
      ? html`<${Form} key="redeem" deed=${redeem} submit=${t("sign-in.redeem.go")}>
          ${name}
          <${Field} name="code" label=${t("sign-in.redeem.code")} hint=${t("sign-in.redeem.hint")} autocomplete="off" required />
          <${Field} name="password" type="password" label=${t("sign-in.redeem.password")} hint=${t("sign-in.redeem.length")} autocomplete="new-password" required />
        <//>`
      : html`<${Form} key="token" deed=${token} submit=${t("sign-in.go")}>
          <${Field} name="token" type="password" label=${t("sign-in.token.field")} hint=${t("sign-in.token.hint")} autocomplete="off" required />
        <//>`}
    ${!inside && html`<p class="languages">${Object.entries(LANGUAGES).map(([code, name]) => html`<button type="button" class="plain" lang=${code} aria-pressed=${code === languageNow()} onClick=${() => speak(code)}>${name}</button>`)}</p>`}
  </section>`;
}
