// Reads [{where, language, text}] as JSON; answers {where: the first place that the grammar can't read} as JSON.
import {parser as logql} from "@grafana/lezer-logql";
import {parser as promql} from "@prometheus-io/lezer-promql";

const GRAMMARS = {loki: logql, prometheus: promql};

/** The first place that is no sentence of the grammar, or null. */
function fault(language, text) {
  let found = null;
  GRAMMARS[language].parse(text).iterate({
    enter(node) {
      if (node.type.isError && found === null) {
        found = `at ${node.from}: ${text.slice(node.from, node.from + 40) || "the end"}`;
      }
    },
  });
  return found;
}

let input = "";
for await (const part of process.stdin) input += part;
const wrong = JSON.parse(input).map(({where, language, text}) => [where, fault(language, text)]);
process.stdout.write(JSON.stringify(Object.fromEntries(wrong.filter(([, what]) => what !== null))));
