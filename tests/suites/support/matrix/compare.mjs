// Compares what a client got through the gateway with what it got directly, step by step.
// usage: compare.mjs CLIENT alone|merged DIRECT THROUGH
import { existsSync, readFileSync } from 'node:fs';

const [client, way, ...files] = process.argv.slice(2);
const [direct, through] = files.map((file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}));
const counts = { passed: 0, failed: 0 };

// What only results of one era have: the gateway and a server may be spoken with in different ones.
const ERA = ['execution', 'resultType', 'ttlMs', 'cacheScope', 'io.modelcontextprotocol/serverInfo'];

// Members in the order of their names; what is null is absent.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const says = ([name, member]) => member !== null && member !== undefined && !ERA.includes(name) && !(name === '_meta' && Object.keys(sorted(member)).length === 0);
  const members = Object.entries(value).filter(says);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]));
}

// Names of files that a browser's server writes have the time in them.
const timeless = (value) => JSON.stringify(sorted(value))?.replaceAll(/\d{4}-\d\d-\d\dT[\d-]+Z/g, 'TIME');

// One process serves all clients of the newer era that a principal has. It is told of no roots, since servers ask for
// roots once and keep them; a browser's server then makes its paths relative to its own folder.
const isModern = /^(go|fastmcp-4)$|-(auto|modern)$/.test(client);
const text = (value) => (isModern ? timeless(value)?.replaceAll(/(\.\.\/)+(?=[^"]*\/browser\/)/g, '../') : timeless(value));

// A merged list, cut to what one server lists, under the server's own names.
function unprefixed(mine, server, theirs) {
  if (way === 'alone' || !Array.isArray(mine) || !Array.isArray(theirs)) return mine;
  const prefix = `${server}__`;
  const own = (item) => (item.uri ?? item.uriTemplate) === undefined
    ? item.name.startsWith(prefix)
    : theirs.some((one) => one.uri === item.uri && one.uriTemplate === item.uriTemplate);
  return mine.filter(own).map((item) => (item.name?.startsWith(prefix) ? { ...item, name: item.name.slice(prefix.length) } : item));
}

// A list is the same for all clients: tools that a server lists only to those that it can ask are there for each.
const ROOTS = 'get-roots-list';
const ASKING = /^(get-roots-list|trigger-.*(elicitation|sampling).*)$/;

// In the newer era HTTP's status of an unknown method is 404, of which the npm client makes a code of its own.
const code = ({ error }) => (error?.code === 'CLIENT_HTTP_NOT_IMPLEMENTED' ? -32601 : error?.code);

function listed(mine, theirs, server) {
  // What a server lacks is refused by the same code; among others it is just not there.
  if (theirs.error) return way === 'alone' ? [code(mine), code(theirs)] : ['', ''];
  const own = unprefixed(mine, server, theirs);
  if (!Array.isArray(own)) return [own, theirs];
  const known = (item) => !ASKING.test(item.name) || theirs.some((one) => one.name === item.name);
  // A child that serves several sessions of a principal is told of no roots.
  const there = (item) => item.name !== ROOTS || own.some((one) => one.name === ROOTS);
  return [own.filter(known), theirs.filter(there)];
}

// The last progress and log of a call come together with its result, and clients forget a call as soon as that is there.
const shortened = (mine, theirs) => (mine?.length === theirs?.length + 1 ? mine.slice(0, -1) : mine);

function heard(call) {
  return {
    result: call.result,
    // When a server asks for the roots, and what it logs of them, is no part of the call.
    asked: call.asked?.filter((one) => one.method !== 'roots/list'),
    logs: call.logs?.filter((one) => !String(one.data).startsWith('Roots updated')),
    // The gateway's own progress says what a start waits for: far below one, without a total.
    progress: call.progress?.map((one) => (Array.isArray(one) ? one : [one.progress, one.total, one.message])).filter((one) => one[0] >= 0.001 || one[1]),
  };
}

// What is compared, by the kind of step.
const COMPARED = {
  // The gateway is a server of its own, with a name and capabilities of its own.
  initialize(mine, theirs) {
    const said = theirs.instructions ?? '';
    const found = way === 'alone' ? mine.instructions ?? '' : (mine.instructions ?? '').includes(said) ? said : mine.instructions;
    return [found, said];
  },
  // Clients differ in how they end a program; through the gateway the end is a session's.
  end: (mine) => [mine, 'ended'],
  // The gateway keeps a level for servers that have none.
  level: () => ['', ''],
  list: listed,
  // Of several servers that do not know a resource, the gateway answers.
  // The subscriptions of some clients are those of the older era alone.
  updated: (mine, theirs) => (mine.error && theirs.error ? ['', ''] : [mine, theirs]),
  read: (mine, theirs) => (way === 'merged' && mine.error && theirs.error ? ['', ''] : [mine, theirs]),
  changed: listed,
  call(mine, theirs) {
    const [a, b] = [heard(mine), heard(theirs)];
    // A server that knows what its client cannot be asked refuses in other words than one whose question is refused.
    if (mine.error || theirs.error) return [mine, theirs];
    // The inspector looks a tool up in the list first, and directly such a tool is listed only to those who can be asked.
    if (/Tool '(get-roots-list|trigger-[a-z-]+)' not found on server/.test(text(b.result))) return ['', ''];
    const unable = (one) => one.result.isError && one.asked.length === 0 && /elicit|sampl|roots|method not found|invalid request parameters/i.test(text(one.result));
    if (unable(a) && unable(b)) return ['', ''];
    // Of a server that speaks both eras and asks (or pings) in the older one alone, the gateway's client can be asked.
    if (unable(b) && text(b.result).includes('2026-07-28')) return ['', ''];
    if (text(b.result).includes('"ping failed"')) return ['', ''];
    if (/Tool get-roots-list not found|client supports roots but no roots/.test(text(a.result))) return ['', ''];
    // Spoken with in the newer era, a server logs for those alone who asked for it, and the Go client never does.
    const isSilent = b.logs.length === 0 || (client === 'go' && a.logs.length === 0);
    const cut = (a, b) => ({ ...a, logs: isSilent ? [] : shortened(a.logs, b.logs), progress: shortened(a.progress, b.progress) });
    return [cut(a, b), cut(b, a)];
  },
};

function difference(step, mine, theirs, server) {
  if (step === 'connect') return `it does not connect: ${text(theirs ?? mine)}`;
  // What does not come directly is nothing to compare with. In the newer era FastMCP's client opens no stream for changes
  // and subscribes by the older era's request; behind the gateway's HTTP+SSE endpoint it speaks the older era.
  if (/: not within|^TimeoutError$|missing required Mcp-Name header for `resources\/subscribe`/.test(theirs?.error?.message)) return undefined;
  if (theirs === undefined) return `only through the gateway: ${text(mine).slice(0, 300)}`;
  if (mine === undefined) return `only directly: ${text(theirs).slice(0, 300)}`;
  const compared = COMPARED[step.split(' ')[0]];
  const [a, b] = (compared ? compared(mine, theirs, server) : [mine, theirs]).map(text);
  if (a === b) return undefined;
  let at = 0;
  while (a?.[at] === b?.[at]) at += 1;
  const around = (text) => text?.slice(Math.max(0, at - 80), at + 220);
  return `directly …${around(b)}…, through the gateway …${around(a)}…`;
}

// A client that insists on the newer era reaches servers of the older one only through the gateway: there is nothing to
// compare with, but no step may fail for that reason.
const isRefused = (steps) => JSON.stringify(steps).includes('Version negotiation failed');

for (const server of Object.keys(direct)) {
  const [mine, theirs] = [through[server] ?? {}, direct[server]];
  if (isRefused(theirs)) {
    const works = Array.isArray(mine['list tools']) && !isRefused(mine);
    counts[works ? 'passed' : 'failed'] += 1;
    console.log(`  ${works ? 'ok   ' : 'FAIL '} ${client}, ${way}: ${server}: only through the gateway`);
    continue;
  }
  const steps = new Set([...Object.keys(theirs), ...Object.keys(mine)]);
  const wrong = [...steps].map((step) => [step, difference(step, mine[step], theirs[step], server)]).filter(([, how]) => how);
  counts[wrong.length ? 'failed' : 'passed'] += 1;
  if (wrong.length === 0) console.log(`  ok    ${client}, ${way}: ${server} (${steps.size} steps)`);
  for (const [step, how] of wrong) console.log(`  FAIL  ${client}, ${way}: ${server}: ${step}: ${how}`);
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
