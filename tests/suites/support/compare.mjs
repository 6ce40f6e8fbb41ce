// Judges conformance results: every scored scenario must pass, exactly as many as the requirement set has, and
// every check that passed against the fixture directly must pass through the gateway.
// usage: compare.mjs CONFORMANCE RESULTS direct [TARGET..]
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { impossible } from './crossed.mjs';

const [conformance, results, ...targets] = process.argv.slice(2);
const SCORED = { '2025-11-25': 30, '2026-07-28': 37 };
const SETS = [...Object.keys(SCORED), '2025-06-18', '2025-03-26'];
let passed = 0;
let failed = 0;

const ok = (text) => { passed += 1; console.log(`  ok    ${text}`); };
const bad = (text, details = []) => {
  failed += 1;
  console.log(`  FAIL  ${text}`);
  for (const detail of details) console.log(`          ${detail}`);
};

// What a requirement set scores, as the suite itself lists it.
function scoredScenarios(set) {
  const listed = execFileSync(process.execPath, [conformance, 'list', '--server', '--requirements', set], { encoding: 'utf8' });
  const scored = listed.split('Server scenarios')[1].split('Client scenarios')[0].split(/not scored/i)[0];
  return new Set([...scored.matchAll(/^\s*- ([a-z0-9-]+)/gm)].map((match) => match[1]));
}

// The fixture ends a stream in the middle of a call, and its client has to come back. A gateway comes back itself, or
// has a pipe that does not break, so that its own client hears the answer on the stream where it asked.
const unbroken = ({ id, status, details }) => id === 'server-sse-disconnect-resume' && status === 'INFO' && details?.receivedToolResponse === true;

// Checks that are made only where the answer to a POST is a stream. A gateway may answer with JSON where nothing comes
// before the response; then they are absent, and their scenarios still have to pass.
const OF_STREAMS = new Set([
  'server-sse-streams-functional',
  'server-sse-priming-event',
  'server-sse-retry-field',
  'server-sse-disconnect-resume',
]);

// Scenario -> check -> the statuses and messages that it had. INFO says what happened, it judges nothing.
function read(target, set) {
  const folder = join(results, target, set);
  const scenarios = new Map();
  if (!existsSync(folder)) return scenarios;
  for (const entry of readdirSync(folder)) {
    const scenario = entry.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, '');
    const checks = new Map();
    for (const check of JSON.parse(readFileSync(join(folder, entry, 'checks.json'), 'utf8'))) {
      if (unbroken(check)) check.status = 'SUCCESS';
      if (check.status === 'INFO') continue;
      const name = `${check.id} ${check.name}`;
      const known = checks.get(name) ?? { statuses: [], messages: [] };
      known.statuses.push(check.status);
      if (check.status !== 'SUCCESS' && check.errorMessage) known.messages.push(check.errorMessage);
      checks.set(name, known);
    }
    scenarios.set(scenario, checks);
  }
  return scenarios;
}

const fails = (checks) => [...checks].filter(([, check]) => check.statuses.includes('FAILURE'));
const passes = (checks) => checks !== undefined && checks.size > 0 && fails(checks).length === 0;
const brief = (text) => text.replace(/\s+/g, ' ').slice(0, 300);

// What passed directly and does not pass here.
function lost(direct, here) {
  const found = [];
  for (const [scenario, checks] of direct) {
    const ours = here.get(scenario);
    for (const [name, check] of checks) {
      if (check.statuses.some((status) => status !== 'SUCCESS')) continue;
      const mine = ours?.get(name);
      if (mine?.statuses.length >= check.statuses.length && mine.statuses.every((status) => status === 'SUCCESS')) continue;
      if (!mine && ours && fails(ours).length === 0 && OF_STREAMS.has(name.split(' ')[0])) continue;
      const seen = mine ? [...new Set(mine.statuses)].join('+') : 'absent';
      found.push(`${scenario}: ${name}: ${seen} ${brief(mine?.messages.join('; ') ?? '')}`);
    }
    for (const [name, check] of ours ?? []) {
      if (!checks.has(name) && check.statuses.includes('FAILURE')) {
        found.push(`${scenario}: ${name}: FAILURE ${brief(check.messages.join('; '))}`);
      }
    }
  }
  return found;
}

const summary = [];
for (const set of SETS) {
  const scored = SCORED[set] ? scoredScenarios(set) : undefined;
  if (scored && scored.size !== SCORED[set]) {
    bad(`${set}: the set scores ${scored.size} scenarios, ${SCORED[set]} are known`);
  }
  const direct = read('direct', set);
  for (const target of targets) {
    const here = read(target, set);
    const cannot = impossible(target, set);
    for (const scenario of Object.keys(cannot)) {
      if (passes(here.get(scenario))) bad(`${set} ${target}: ${scenario} passes, and is listed as impossible`);
      here.delete(scenario);
    }
    const names = [...here.keys()];
    const good = names.filter((name) => passes(here.get(name)));
    const all = [...here.values()].flatMap((checks) => [...checks.values()].flatMap((check) => check.statuses));
    const successes = all.filter((status) => status === 'SUCCESS').length;
    const row = { set, target, scored: '-', unscored: '-', checks: `${successes}/${all.length}` };
    if (scored) {
      const inSet = good.filter((name) => scored.has(name));
      const expected = [...scored].filter((name) => !(name in cannot));
      const others = names.filter((name) => !scored.has(name));
      row.scored = `${inSet.length}/${expected.length}`;
      row.unscored = `${others.filter((name) => fails(here.get(name)).length === 0).length}/${others.length}`;
      const text = `${set} ${target}: ${row.scored} scored scenarios`;
      if (inSet.length === expected.length) ok(text);
      else bad(text, expected.filter((name) => !inSet.includes(name)).map((name) => (here.has(name) ? `${name}` : `${name} (did not run)`)));
    } else if (target === 'direct') {
      if (names.length > 0 && names.every((name) => fails(here.get(name)).length === 0)) ok(`${set} direct: ${row.checks} checks`);
      else bad(`${set} direct: ${row.checks} checks`);
    }
    if (target !== 'direct') {
      const possible = new Map([...direct].filter(([name]) => !(name in cannot)));
      const differing = direct.size === 0 ? ['there is no baseline'] : lost(possible, here);
      if (differing.length === 0) ok(`${set} ${target}: as directly, ${row.checks} checks`);
      else bad(`${set} ${target}: ${differing.length} checks pass directly only`, differing);
    }
    summary.push(row);
  }
}

console.log('\n  set         target     scored  unscored  checks');
for (const row of summary) {
  console.log(`  ${row.set.padEnd(11)} ${row.target.padEnd(10)} ${row.scored.padEnd(7)} ${row.unscored.padEnd(9)} ${row.checks}`);
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
