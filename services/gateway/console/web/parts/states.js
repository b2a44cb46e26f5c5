// What a page shows when it has nothing to show yet, or may not, or can't.
import { html } from "../vendor/preact.js";
import { t } from "../words/index.js";
import { When } from "./when.js";

/** @param {{label?: string}} props */
export const Loading = ({ label }) => html`<p class="state loading" role="status"><span class="spinner" aria-hidden="true"></span> ${label ?? t("loading")} …</p>`;

/** @param {{title: string, children?: any}} props */
export const Empty = ({ title, children }) => html`<div class="state empty"><p class="state-title">${title}</p>${children}</div>`;

/** The API's own sentence, and what helps to find out more. @param {{problem: any, retry?: () => void, inline?: boolean}} props */
export function Refused({ problem, retry, inline }) {
  const { status = 0, body = {}, slug = "broken" } = problem;
  const forbidden = status === 403 && slug === "forbidden";
  const title = status === 0 ? t(slug === "broken" ? "problem.broken" : "problem.unreachable") : slug === "pending" || slug === "other-person" ? t(`problem.${slug}`) : forbidden && !inline ? t("problem.forbidden") : body.title;
  const detail = status === 0 ? (slug === "broken" ? body.detail : t("problem.unreachable.more")) : slug === "pending" ? "" : body.detail;
  return html`<div class=${inline ? "refused inline" : "state refused"} role="alert">
    <p class="state-title">${title}</p>
    ${detail && html`<p>${detail}</p>`}
    ${(body.errors ?? []).map((/** @type {any} */ one) => html`<p><code>${one.field ?? one.pointer ?? one.loc ?? ""}</code> ${one.message ?? one.detail ?? ""}</p>`)}
    ${body.trace_id && html`<p class="quiet">${t("problem.trace")} <code>${body.trace_id}</code></p>`}
    ${retry && html`<button type="button" onClick=${retry}>${t("reload")}</button>`}
  </div>`;
}

/** The answer of `useAsked`, or what stands for it; old data stays readable when it can't be brought up to date.
 * @param {{asked: import("../api/asking.js").Asked, children: (data: any) => any, label?: string}} props */
export function Shown({ asked, children, label }) {
  if (asked.data === undefined) return asked.problem ? html`<${Refused} problem=${asked.problem} retry=${asked.reload} />` : html`<${Loading} label=${label} />`;
  return html`${asked.problem && html`<p class="stale" role="status">${t("old", { time: new Date(asked.at).toLocaleTimeString() })} <button type="button" onClick=${asked.reload}>${t("reload")}</button></p>`}${children(asked.data)}`;
}

export { When };
