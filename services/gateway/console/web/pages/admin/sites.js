// Sites: which there are.
import { html } from "../../vendor/preact.js";
import { order } from "../../api/client.js";
import { useAsked } from "../../api/asking.js";
import { mayAll } from "../../api/session.js";
import { Shown } from "../../parts/states.js";
import { When } from "../../parts/when.js";
import { t } from "../../words/index.js";
import { Rows, Section, useDeeds } from "./parts.js";

export default function Sites() {
  const asked = useAsked("/api/sites", { on: ["gateway.site."] });
  const { ask, dialog } = useDeeds(asked.reload);
  const create = () =>
    ask({
      title: t("admin.site.create"), why: t("admin.site.why"), submit: t("admin.create"),
      fields: [{ name: "site", label: t("site"), required: true, hint: t("admin.name.hint") }, { name: "title", label: t("admin.site.title"), required: true }],
      run: ({ site, title, _key }) => order("POST", "/api/sites", { site, title }, { key: _key }),
    });
  return html`<${Section} title=${t("admin.sites")} side=${mayAll("site:write") && html`<button type="button" class="primary" onClick=${create}>${t("admin.site.create")}</button>`}>
    <${Shown} asked=${asked}>${(/** @type {any[]} */ found) => html`<${Rows} rows=${found} keyOf=${(/** @type {any} */ one) => one.site} empty=${t("admin.none-found")} label=${t("admin.sites")} columns=${[
      [t("site"), (/** @type {any} */ one) => one.site],
      [t("admin.site.title"), (/** @type {any} */ one) => one.title],
      [t("admin.created"), (/** @type {any} */ one) => html`<${When} at=${one.created_at} how="both" />`],
    ]} />`}<//>${dialog}<//>`;
}
