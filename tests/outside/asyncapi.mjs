// Checks an AsyncAPI document with the AsyncAPI initiative's own parser. Usage: node asyncapi.mjs FILE
// Says one JSON object: {channels, operations, messages, problems: [{severity, code, path, message}]}; severity 0 is an error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
console.log(JSON.stringify({
  channels: document?.channels().length ?? 0,
  operations: document?.operations().length ?? 0,
  messages: document?.messages().length ?? 0,
  problems: diagnostics.map(({ severity, code, path, message }) => ({ severity, code, path: path.join("."), message })),
}));
