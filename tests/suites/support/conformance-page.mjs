// Writes the results of the official suite as a page: each scenario, directly and through the gateway.
// usage: conformance-page.mjs RESULTS
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMPOSSIBLE, impossible } from './crossed.mjs';

const [results] = process.argv.slice(2);
const SETS = ['2025-11-25', '2026-07-28'];
const COLUMNS = [
  ['direct', 'direct'],
  ['one server, HTTP', 'http'],
  ['one server, stdio', 'stdio-own'],
  ['five servers', 'five'],
  ['crossed, HTTP', 'crossed-http'],
  ['crossed, stdio', 'crossed-stdio'],
];

// Scenario -> whether no check of it failed.
function read(set, target) {
  const folder = join(results, target, set);
  const found = new Map();
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder)) {
    const scenario = entry.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, '');
    const checks = JSON.parse(readFileSync(join(folder, entry, 'checks.json'), 'utf8'));
    found.set(scenario, checks.every((check) => check.status !== 'FAILURE'));
  }
  return found;
}

const lines = [
  '# Conformance',
  '',
  'The results of the official conformance suite (npm `@modelcontextprotocol/conformance` 0.2.0-alpha.12), written by',
  '`tests/suites/conformance`, which fails if this page is out of date. The server is the fixture of the tests; *direct* is',
  'without the gateway. *Five servers* are the fixture and the public servers filesystem, memory, git and time behind one',
  'endpoint. *Crossed* is a client of one era with a server of the other. [Eras](eras.md) says how each feature crosses.',
];
for (const set of SETS) {
  const columns = COLUMNS.map(([title, target]) => [title, read(set, target), target]).filter(([, found]) => found.size > 0);
  const scenarios = [...columns[0][1].keys()].sort();
  lines.push('', `## ${set}`, '', `| scenario | ${columns.map(([title]) => title).join(' | ')} |`, `|---|${columns.map(() => '---').join('|')}|`);
  for (const scenario of scenarios) {
    const cells = columns.map(([, found, target]) => {
      if (!found.has(scenario)) return 'not run';
      if (found.get(scenario)) return 'pass';
      return scenario in impossible(target, set) ? 'cannot' : '**fail**';
    });
    lines.push(`| \`${scenario}\` | ${cells.join(' | ')} |`);
  }
  const totals = columns.map(([, found]) => `${[...found.values()].filter(Boolean).length}/${found.size}`);
  lines.push(`| **all** | ${totals.join(' | ')} |`);
  const reasons = Map.groupBy(Object.entries(IMPOSSIBLE[set] ?? {}), ([, reason]) => reason);
  if (reasons.size > 0) lines.push('', 'What a modern client cannot get from a legacy server:', '');
  for (const [reason, names] of reasons) {
    lines.push(`- ${names.map(([name]) => `\`${name}\``).join(', ')}: ${reason}.`);
  }
}
console.log(lines.join('\n'));
