// What the pages about telling people have in common.
import { html } from "../../vendor/preact.js";
import { Tabs } from "../../parts/looking.js";
import { Chip } from "../../parts/marks.js";
import { t, word } from "../../words/index.js";

const STATES = { delivered: "good", pending: "info", delivering: "info", retrying: "warn", suppressed: "warn", dead: "bad" };

export const DeliveryTabs = () => html`<${Tabs} label=${t("deliveries.title")} tabs=${[
  ["/deliveries", t("deliveries.title")], ["/deliveries/targets", t("targets.title")], ["/deliveries/guard", t("guard.title")],
]} />`;

/** How far a delivery is. @param {{state: string}} props */
export const State = ({ state }) => html`<${Chip} kind=${STATES[/** @type {keyof typeof STATES} */ (state)] ?? "none"}>${word("deliveries.state", state)}<//>`;

/** What the guard and the figures call a target: a subscription's number, or below zero a channel's. @param {{target: number, name: string}} props */
export const Target = ({ target, name }) => html`${name} <span class="quiet">${t(target < 0 ? "targets.channel-no" : "targets.subscription-no", { id: String(Math.abs(target)) })}</span>`;
