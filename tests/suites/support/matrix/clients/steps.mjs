// The steps of the matrix for clients in JavaScript: a client is an adapter that offers them, see sdk.mjs.
// usage of a client: CLIENT JOBS RESULTS. JOBS is a list of {server, target, steps}; a target is {command, env} or
// {url, transport: "http" | "sse"}. RESULTS has what each step of each server gave.
import { readFileSync, writeFileSync } from 'node:fs';

const DEADLINE = 40_000;
export const ROOTS = { roots: [{ uri: 'file:///matrix', name: 'matrix' }] };
export const SAMPLED = { role: 'assistant', model: 'matrix', content: { type: 'text', text: 'sampled by the matrix' }, stopReason: 'endTurn' };
export const ELICITED = { action: 'accept', content: { name: 'Elicited Person', value: 'elicited', random: 'elicited' } };

export const failure = (error) => ({ error: { code: error?.code ?? null, message: String(error?.message ?? error) } });

async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${DEADLINE / 1000} s`)), DEADLINE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function until(holds) {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 25));
}

async function all(client, of) {
  const items = [];
  const seen = new Set();
  let cursor;
  do {
    const page = await client.list(of, cursor);
    items.push(...page.items);
    cursor = page.next;
    if (seen.has(cursor)) throw new Error(`the cursor ${cursor} came again`);
    seen.add(cursor);
  } while (cursor !== undefined && cursor !== null);
  return items;
}

const STEPS = {
  initialize: (client) => client.initialized(),
  ping: (client) => client.ping(),
  level: (client, { level }) => client.level(level),
  list: (client, { of }) => all(client, of),
  read: (client, { uri }) => client.read(uri),
  prompt: (client, { name, arguments: values }) => client.prompt(name, values),
  complete: (client, { ref, argument }) => client.complete(ref, argument),
  async call(client, { name, arguments: values }) {
    const progress = [];
    client.events.logs.length = 0;
    client.events.asked.length = 0;
    const result = await client.call(name, values ?? {}, { onprogress: (one) => progress.push(one) }).catch(failure);
    return { result, progress, logs: [...client.events.logs], asked: [...client.events.asked] };
  },
  async cancel(client, { name, arguments: values }) {
    const abort = new AbortController();
    const options = { signal: abort.signal, onprogress: () => abort.abort() };
    return client.call(name, values ?? {}, options).then(() => 'answered', () => 'cancelled');
  },
  async changed(client, { name, arguments: values, of }) {
    await client.listen?.({ changes: of });
    const before = client.events.changes[of] ?? 0;
    await client.call(name, values ?? {}, {});
    await until(() => (client.events.changes[of] ?? 0) > before);
    return all(client, of);
  },
  async updated(client, { uri, name, arguments: values }) {
    await client.subscribe(uri);
    await client.call(name, values ?? {}, {});
    await until(() => client.events.updates.includes(uri));
    await client.unsubscribe(uri);
    return 'heard';
  },
};

// `connect(target)` gives a client: see sdk.mjs. A client that cannot take every step names those that it can: `ops`.
export async function run(connect, ops = Object.keys(STEPS)) {
  const [jobsFile, resultsFile] = process.argv.slice(-2);
  const results = {};
  for (const { server, target, steps } of JSON.parse(readFileSync(jobsFile, 'utf8'))) {
    const said = (results[server] = {});
    let client;
    try {
      client = await within('connect', connect(target));
    } catch (error) {
      said.connect = failure(error);
      continue;
    }
    for (const step of steps.filter(({ op }) => ops.includes(op))) {
      said[step.key] = await within(step.key, STEPS[step.op](client, step)).catch(failure);
    }
    said.end = await within('end', client.close()).then(() => 'ended', failure);
  }
  writeFileSync(resultsFile, JSON.stringify(results, null, 1));
  process.exit(0);
}
