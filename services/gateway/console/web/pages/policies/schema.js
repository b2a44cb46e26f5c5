// What may stand at a place of a YAML text, by its JSON Schema: keys that are not there yet, and the words of a value.
// It goes by indentation and not by a tree, since a text that is being written is mostly none.

/** @typedef {{keyIndent: number, dashIndent: number|null, key: string}} Entry */

/** A line that begins with a key. @param {string} line @returns {Entry|null} */
function entry(line) {
  const found = /^(\s*)((?:-\s+)*)(?:"([^"]+)"|'([^']+)'|([\w.-]+))\s*:(?:\s|$)/.exec(line);
  if (!found) return null;
  const [, space, dashes, ...keys] = found;
  return { keyIndent: space.length + dashes.length, dashIndent: dashes ? space.length : null, key: keys.find((one) => one !== undefined) ?? "" };
}

/** The path of the mapping that a key at `indent` of line `at` belongs to: keys, and "[]" for an item of a list.
 * @param {string[]} lines @param {number} at @param {number} indent @param {number|null} dash where the dash before it stands */
export function pathAt(lines, at, indent, dash) {
  const path = /** @type {string[]} */ ([]);
  let level = indent;
  let inList = false;
  const intoItem = (/** @type {number} */ place) => {
    path.unshift("[]");
    level = place;
    inList = true;
  };
  if (dash !== null) intoItem(dash);
  for (let number = at - 1; number >= 0 && (level > 0 || inList); number -= 1) {
    const one = entry(lines[number]);
    if (!one) continue;
    if (!inList && one.keyIndent === level && one.dashIndent !== null) intoItem(one.dashIndent);
    else if (one.dashIndent !== null ? one.keyIndent < level || (inList && one.dashIndent < level && one.keyIndent <= level) : one.keyIndent < level || (inList && one.keyIndent === level)) {
      path.unshift(one.key);
      level = one.keyIndent;
      inList = false;
      if (one.dashIndent !== null) intoItem(one.dashIndent);
    }
  }
  return path;
}

/** What the schema says of a path; several where it leaves a choice. @param {any} schema @param {string[]} path @returns {any[]} */
export function schemasAt(schema, path) {
  let found = open(schema);
  for (const step of path) {
    found = found.flatMap((one) => open(step === "[]" ? one.items : (one.properties?.[step] ?? (typeof one.additionalProperties === "object" ? one.additionalProperties : undefined))));
  }
  return found;
}

/** @param {any} schema @returns {any[]} */
const open = (schema) => (schema === undefined ? [] : [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].flatMap((one) => (one === schema ? [one] : open(one))));

/** @param {any[]} schemas @returns {{label: string, type: string, detail?: string, info?: string}[]} */
function words(schemas) {
  const values = schemas.flatMap((one) => one.enum ?? ("const" in one ? [one.const] : one.type === "boolean" ? [true, false] : []));
  return [...new Set(values)].map((value) => ({ label: String(value), type: "enum" }));
}

/** @param {any[]} schemas @param {Set<string>} there */
function keys(schemas, there) {
  return schemas.flatMap((one) =>
    Object.entries(one.properties ?? {})
      .filter(([name]) => !there.has(name))
      .map(([name, about]) => ({
        label: name,
        type: "property",
        apply: `${name}: `,
        info: about.description,
        boost: about.deprecated ? -50 : one.required?.includes(name) ? 20 : 0,
      })),
  );
}

/** Keys of the same mapping, above and below. @param {string[]} lines @param {number} at @param {number} indent @param {boolean} begins */
function siblings(lines, at, indent, begins) {
  const there = /** @type {Set<string>} */ (new Set());
  const look = (/** @type {number} */ step) => {
    for (let number = at + step; number >= 0 && number < lines.length; number += step) {
      if (lines[number].trim() === "") continue;
      const one = entry(lines[number]);
      const width = lines[number].length - lines[number].trimStart().length;
      if (one?.keyIndent === indent && (step < 0 || one.dashIndent === null)) there.add(one.key);
      if (width < indent) return;
    }
  };
  if (!begins) look(-1);
  look(1);
  return there;
}

/** What may be written where a line so far reads `head`. `from`: how many characters back what is offered begins.
 * @param {any} schema @param {string[]} lines @param {number} at @param {string} head */
export function offers(schema, lines, at, head) {
  const value = /^(\s*)((?:-\s+)*)([\w.-]+):\s+(["']?[\w.-]*)$/.exec(head);
  if (value) {
    const [, space, dashes, key, word] = value;
    const path = [...pathAt(lines, at, space.length + dashes.length, dashes ? space.length : null), key];
    return { back: word.length, options: words(schemasAt(schema, path)) };
  }
  const key = /^(\s*)((?:-\s+)*)([\w.-]*)$/.exec(head);
  if (!key) return null;
  const [, space, dashes, word] = key;
  const indent = space.length + dashes.length;
  const found = schemasAt(schema, pathAt(lines, at, indent, dashes ? space.length : null));
  return { back: word.length, options: [...keys(found, siblings(lines, at, indent, dashes !== "")), ...words(found)] };
}
