// A provider of OpenID Connect that is not ours (oidc-provider). Usage: node provider.mjs PORT CALLBACK LOGOUT
// Whoever is named in the form of its sign-in page is let in. Says "ready" when it listens. The line "rotate" on stdin
// gives it other keys. Identity tokens of the client "brief" hold for a second.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const [port, callback, logout] = process.argv.slice(2);
const secret = "not so secret, but long enough";
const roles = { mia: ["staff", "releases"], lee: ["staff"] };
let count = 0;

function key() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  count += 1;
  return { ...privateKey.export({ format: "jwk" }), kid: `key-${count}`, use: "sig", alg: "RS256" };
}

function client(client_id, more = {}) {
  const common = { response_types: ["code"], grant_types: ["authorization_code"], redirect_uris: [callback] };
  return { client_id, client_secret: secret, ...common, ...more };
}

function provider() {
  const made = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      client("headgate", {
        backchannel_logout_uri: logout,
        backchannel_logout_session_required: true,
        post_logout_redirect_uris: [callback.replace(/callback$/, "signed-out")],
      }),
      client("pipelines"),
      client("brief"),
    ],
    jwks: { keys: [key()] },
    claims: { openid: ["sub", "realm_access"], profile: ["preferred_username"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["a key of a test"] },
    features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
    pkce: { required: () => true },
    // It calls no addresses of this machine by itself, and here there are no others.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    ttl: { IdToken: (_, __, { clientId }) => (clientId === "brief" ? 1 : 600) },
    async findAccount(_, id) {
      const claims = { sub: id, preferred_username: id, realm_access: { roles: roles[id] ?? [] } };
      return { accountId: id, claims: () => claims };
    },
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid profile email");
      await grant.save();
      return grant;
    },
  });
  made.on("backchannel.success", (_, client) => console.log(`told ${client.clientId} that somebody left`));
  made.on("backchannel.error", (_, error, client) => console.log(`could not tell ${client.clientId}: ${error} (${error.cause})`));
  made.on("server_error", (_, error) => console.log(`failed: ${error.stack}`));
  return made;
}

let answer = provider().callback();
createServer((request, response) => answer(request, response)).listen(Number(port), "127.0.0.1", () => console.log("ready"));
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "rotate") answer = provider().callback();
  console.log(line);
});
