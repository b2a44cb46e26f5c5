// Reads a whole stream with the NATS client for Node and parses each message with the CloudEvents SDK, strictly.
// Usage: NATS_URL=… node consume.mjs STREAM [FILE]; FILE holds messages to publish first: [{subject, headers, body}].
// Says one JSON object: {count, last, ids, types, modes, unparsed: [{seq, subject, error}]}.
import { readFileSync } from "node:fs";
import { connect, headers } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { HTTP } from "cloudevents";

const url = new URL(process.env.NATS_URL);
const client = await connect({ servers: url.host, user: url.username, pass: decodeURIComponent(url.password) });
const js = jetstream(client);
const [stream, file] = process.argv.slice(2);

for (const message of file ? JSON.parse(readFileSync(file, "utf8")) : []) {
  const named = headers();
  for (const [name, value] of Object.entries(message.headers)) named.set(name, value);
  await js.publish(message.subject, message.body, { headers: named });
}

const manager = await jetstreamManager(client);
const { first_seq: first, last_seq: last, messages } = (await manager.streams.info(stream)).state;
const found = { count: 0, last, ids: 0, types: {}, modes: { structured: 0, binary: 0 }, unparsed: [] };
const ids = new Set();
if (messages > 0) {
  const consumer = await js.consumers.get(stream);
  for await (const message of await consumer.consume()) {
    found.count += 1;
    const given = Object.fromEntries([...(message.headers ?? [])].map(([name, values]) => [name.toLowerCase(), values[0]]));
    try {
      const event = HTTP.toEvent({ headers: given, body: message.string() });
      event.validate();
      ids.add(event.source + " " + event.id);
      found.types[event.type] = (found.types[event.type] ?? 0) + 1;
      found.modes["ce-specversion" in given ? "binary" : "structured"] += 1;
    } catch (error) {
      found.unparsed.push({ seq: message.seq, subject: message.subject, error: String(error.message).slice(0, 300) });
    }
    if (message.seq >= last) break;
  }
}
found.ids = ids.size;
found.first = first;
console.log(JSON.stringify(found));
await client.close();
