// The table of contents: which address shows which page, and what it takes to see it. Pages load when they are looked at.

/**
 * @typedef {{pattern: string, load: () => Promise<{default: any}>, permission?: string, sited?: boolean, nav?: string}} Route
 * `sited`: it shows what is at the site that is looked at, so the permission must be held there.
 * `nav`: the key of its entry in the menu; pages without one belong to that of the entry before.
 */

/** @type {Route[]} */
export const ROUTES = [
  { pattern: "/", load: () => import("./pages/overview.js"), permission: "gate:read", sited: true, nav: "nav.overview" },
  { pattern: "/gates/:gate", load: () => import("./pages/gate.js"), permission: "gate:read", sited: true },
  { pattern: "/gates/:gate/runs/:run", load: () => import("./pages/verdict.js"), permission: "gate:read", sited: true },
  { pattern: "/board", load: () => import("./pages/board.js"), permission: "remediation:read", sited: true, nav: "nav.board" },
  { pattern: "/autopilot", load: () => import("./pages/autopilot.js"), permission: "remediation:read", sited: true, nav: "nav.autopilot" },
  { pattern: "/audit", load: () => import("./pages/audit.js"), permission: "audit:read", sited: true, nav: "nav.audit" },
  { pattern: "/audit/verification", load: () => import("./pages/audit/verification.js"), permission: "audit:read" },
  { pattern: "/audit/witnesses", load: () => import("./pages/audit/witnesses.js"), permission: "audit:read" },
  { pattern: "/audit/archives", load: () => import("./pages/audit/archives.js"), permission: "audit:read" },
  { pattern: "/audit/traces/:trace", load: () => import("./pages/audit/trace.js"), permission: "audit:read" },
  { pattern: "/deliveries", load: () => import("./pages/deliveries.js"), permission: "subscription:read", sited: true, nav: "nav.deliveries" },
  { pattern: "/deliveries/targets", load: () => import("./pages/deliveries/targets.js") },
  { pattern: "/deliveries/guard", load: () => import("./pages/deliveries/guard.js"), permission: "subscription:read", sited: true },
  { pattern: "/jobs", load: () => import("./pages/jobs.js"), permission: "job:read", sited: true, nav: "nav.jobs" },
  { pattern: "/checks", load: () => import("./pages/checks.js"), permission: "operations:read", nav: "nav.checks" },
  { pattern: "/backups", load: () => import("./pages/backups.js"), permission: "operations:read", nav: "nav.backups" },
  { pattern: "/reports", load: () => import("./pages/reports.js"), permission: "operations:read", nav: "nav.reports" },
  { pattern: "/reports/slo", load: () => import("./pages/reports/slo.js"), permission: "metrics:read" },
  { pattern: "/policies", load: () => import("./pages/policies.js"), permission: "policy:read", sited: true, nav: "nav.policies" },
  { pattern: "/policies/:gate", load: () => import("./pages/policy.js"), permission: "policy:read", sited: true },
  { pattern: "/admin", load: () => import("./pages/admin.js"), nav: "nav.admin" },
  { pattern: "/admin/users", load: () => import("./pages/admin/users.js"), permission: "identity:read" },
  { pattern: "/admin/users/:name", load: () => import("./pages/admin/user.js"), permission: "identity:read" },
  { pattern: "/admin/tokens", load: () => import("./pages/admin/tokens.js"), permission: "token:read" },
  { pattern: "/admin/accounts", load: () => import("./pages/admin/accounts.js"), permission: "identity:read" },
  { pattern: "/admin/roles", load: () => import("./pages/admin/roles.js"), permission: "identity:read" },
  { pattern: "/admin/grants", load: () => import("./pages/admin/grants.js"), permission: "identity:read" },
  { pattern: "/admin/sites", load: () => import("./pages/admin/sites.js"), permission: "site:read" },
  { pattern: "/admin/webhooks", load: () => import("./pages/admin/webhooks.js"), permission: "signal:read", sited: true },
  { pattern: "/admin/settings", load: () => import("./pages/admin/settings.js"), permission: "token:read" },
  { pattern: "/admin/risk", load: () => import("./pages/admin/risk.js"), permission: "identity:read", sited: true },
  { pattern: "/admin/risk/:name", load: () => import("./pages/admin/actor.js"), permission: "identity:read", sited: true },
  { pattern: "/admin/dead-letters", load: () => import("./pages/admin/dead_letters.js"), permission: "deadletter:read" },
  { pattern: "/admin/status", load: () => import("./pages/admin/status.js"), permission: "status:read" },
  { pattern: "/documents/:document", load: () => import("./pages/document.js"), permission: "policy:read", sited: true },
  { pattern: "/me", load: () => import("./pages/me.js"), permission: "me:read" },
];
