// Standing in: who approves for the reader at the site that is looked at, and for whom the reader does.
import { html } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { sited, useAsked } from "../../api/asking.js";
import { may, site } from "../../api/session.js";
import { Chip } from "../../parts/marks.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t } from "../../words/index.js";
import { Rows, useDeeds } from "../admin/parts.js";

const AT = "/api/delegations";

/** @returns {import("../admin/parts.js").Deed} */
const giving = () => ({
  title: t("me.delegation.give"), why: t("me.delegations.why", { site: site() }), submit: t("me.delegation.give.go"),
  fields: [
    { name: "to_user", label: t("me.delegation.to"), required: true, autocomplete: "off" },
    { name: "ends_at", label: t("admin.grant.until"), type: "datetime-local", required: true },
    { name: "reason", label: t("reason"), hint: t("reason.hint"), required: true },
  ],
  run: ({ to_user, ends_at, reason, _key }) => order("POST", sited(AT), { to_user: to_user.trim(), ends_at: new Date(ends_at).toISOString(), reason }, { key: _key }),
});

/** @param {{name: string}} props the reader's */
export function Delegations({ name }) {
  const on = ["governance.delegation."];
  const given = useAsked(sited(AT, { from_user: name, limit: 200 }), { on });
  const got = useAsked(sited(AT, { to_user: name, limit: 200 }), { on });
  const { ask, dialog } = useDeeds(() => (given.reload(), got.reload()));
  const says = (/** @type {any} */ one) => (one.from_user === name ? t("me.delegation.for-me", { name: one.to_user }) : t("me.delegation.by-me", { name: one.from_user }));
  const end = (/** @type {any} */ one) => ask({
    title: says(one), danger: true, submit: t("admin.end"), fields: [{ name: "reason", label: t("reason"), hint: t("reason.hint"), required: true }],
    run: ({ reason, _key }) => order("POST", sited(`${AT}/${one.delegation_id}/end`), { reason }, { key: _key }),
  });
  const standing = (/** @type {any} */ found) => [...found.items, ...(got.data?.items ?? [])].filter((one) => !one.ended_at && Date.parse(one.ends_at) > Date.now());
  return html`<p class="quiet">${t("me.delegations.why", { site: site() })}</p>
    ${may("gate:approve") && html`<p><button type="button" onClick=${() => ask(giving())}>${t("me.delegation.give")}</button></p>`}
    <${Shown} asked=${given}>${(/** @type {any} */ found) => html`<${Rows} rows=${standing(found)} keyOf=${(/** @type {any} */ one) => one.delegation_id} empty=${t("me.delegations.none")} label=${t("me.delegations")} columns=${[
      [t("admin.user"), says],
      [t("admin.state"), (/** @type {any} */ one) => html`<${Chip} kind=${one.in_force ? "good" : "none"}>${t(one.in_force ? "me.delegation.on" : "me.delegation.off")}<//>`],
      [t("admin.grant.until"), (/** @type {any} */ one) => html`<${When} at=${one.ends_at} />`],
      [t("reason"), (/** @type {any} */ one) => one.reason],
      ...(may("gate:approve") ? [[t("admin.deeds"), (/** @type {any} */ one) => html`<button type="button" aria-label="${t("admin.end")}: ${says(one)}" onClick=${() => end(one)}>${t("admin.end")}</button>`]] : []),
    ]} />`}<//>${dialog}`;
}
