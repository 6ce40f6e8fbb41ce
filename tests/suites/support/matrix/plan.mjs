// Writes the gateway's configuration, and the jobs of a client: each server directly, each behind a gateway of its own,
// and its group merged.
// usage: plan.mjs config PLACES CONFIG | plan.mjs jobs PLACES direct|alone|merged|lists http|sse URL SERVERS JOBS
import { readFileSync, writeFileSync } from 'node:fs';
import { servers } from './servers.mjs';

const [what, placesFile, ...more] = process.argv.slice(2);
const all = servers(JSON.parse(readFileSync(placesFile, 'utf8')));
const write = (file, value) => writeFileSync(file, JSON.stringify(value, null, 1));

function entry({ command, env, url, transport, isolation }) {
  if (url) return { url, ...(transport && { type: transport }) };
  return { command, env: env ?? {}, ...(isolation && { isolation }) };
}

const group = (number) => `merged-${number}`;

// The names under which a gateway of several servers shows what a server names.
function prefixed(step, prefix) {
  if (step.name !== undefined) return { ...step, name: prefix + step.name };
  if (step.ref?.name !== undefined) return { ...step, ref: { ...step.ref, name: prefix + step.ref.name } };
  return step;
}

if (what === 'config') {
  const gateways = Object.fromEntries(Object.keys(all).map((name) => [name, { servers: [name] }]));
  for (const number of new Set(Object.values(all).map((server) => server.group))) {
    const members = Object.keys(all).filter((name) => all[name].group === number);
    gateways[group(number)] = { servers: members, tool_names: 'prefixed' };
  }
  const entries = Object.fromEntries(Object.entries(all).map(([name, server]) => [name, entry(server)]));
  write(more[0], { servers: entries, gateways });
} else {
  const [way, transport, url, names, file] = more;
  const target = (name, server) => {
    if (way === 'direct') return { command: server.command, env: server.env, url: server.url, transport: server.transport };
    const base = transport === 'sse' ? url.replace(/\/mcp$/, '/sse') : url;
    return { url: `${base}/${way === 'merged' ? group(server.group) : name}`, transport };
  };
  write(file, names.split(',').map((name) => {
    const server = all[name];
    let { steps } = server;
    if (way === 'merged') steps = steps.map((step) => prefixed(step, `${name}__`));
    if (way === 'lists') steps = steps.filter(({ op }) => op === 'list');
    return { server: name, target: target(name, server), steps };
  }));
}
