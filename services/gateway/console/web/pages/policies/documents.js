// The documents that people publish beside policies: where each is, and who may read and publish it.

/** @type {Record<string, {base: string, read: string, write: string, event: string, sited?: boolean}>} */
export const DOCUMENTS = {
  freezes: governance("freezes"),
  groups: { ...governance("groups"), write: "identity:write" },
  kinds: governance("kinds"),
  probes: governance("probes"),
  signers: governance("signers"),
};

/** @param {string} noun */
function governance(noun) {
  return { base: `/api/${noun}`, read: "policy:read", write: "policy:write", event: `governance.${noun}.published` };
}
