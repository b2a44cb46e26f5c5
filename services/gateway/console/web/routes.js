// The table of contents: which address shows which page, and what it takes to see it. Pages load when they are looked at.

/**
 * @typedef {{pattern: string, load: () => Promise<{default: any}>, permission?: string, nav?: string}} Route
 * `nav`: the key of its entry in the menu; pages without one belong to that of the entry before.
 */

/** @type {Route[]} */
export const ROUTES = [
  { pattern: "/", load: () => import("./pages/overview.js"), permission: "gate:read", nav: "nav.overview" },
  { pattern: "/board", load: () => import("./pages/board.js"), permission: "remediation:read", nav: "nav.board" },
  { pattern: "/jobs", load: () => import("./pages/jobs.js"), permission: "job:read", nav: "nav.jobs" },
  { pattern: "/admin", load: () => import("./pages/admin.js"), nav: "nav.admin" },
  { pattern: "/admin/users", load: () => import("./pages/admin/users.js"), permission: "identity:read" },
  { pattern: "/admin/users/:name", load: () => import("./pages/admin/user.js"), permission: "identity:read" },
  { pattern: "/admin/tokens", load: () => import("./pages/admin/tokens.js"), permission: "token:read" },
];
