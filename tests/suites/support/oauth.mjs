// The gateway in front of a protected server: sign-in, calls at a token's end, an issuer that fails for now and for good.
// usage: oauth.mjs GATEWAY FOLDER UPSTREAM ISSUER
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGateway } from './gateway.mjs';
import { Legacy, RpcError } from './mcp.mjs';
import { signIn } from './sign-in.mjs';

const [program, folder, upstream, issuer] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
let passed = 0;
let failed = 0;
function check(what, holds, seen) {
  if (holds) passed += 1;
  else failed += 1;
  console.log(holds ? `  ok    ${what}` : `  FAIL  ${what}: ${JSON.stringify(seen)}`);
}

// What the issuer counted, and what it is told to do.
const idp = async (path) => (await fetch(`${issuer}/control/${path}`, { method: 'POST' })).json();
const refreshes = async () => (await idp('seen')).refreshes;
const ended = async () => {
  const { expires } = await idp('seen');
  // A token is over a second after its end at the latest: both clocks are this machine's.
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, expires * 1000 - Date.now()) + 1000));
};

const config = {
  servers: { notes: { url: upstream, oauth: true } },
  network: { allow_private: [new URL(issuer).origin] },
};
const gateway = await startGateway(program, folder, config);
const state = join(folder, 'state');
const calls = async (number) => {
  const clients = await Promise.all(Array.from({ length: 10 }, () => Legacy.connect(gateway.url, '2025-11-25')));
  const all = Array.from({ length: number }, (_, n) => clients[n % clients.length].call({ name: 'whoami', inputSchema: {} }, {}));
  const results = await Promise.all(all);
  return results.map((result) => ({ text: result.content[0].text, auth: result._meta?.['mcp-orchestrator.dev/auth']?.error }));
};
const one = async () => (await calls(1))[0];
try {
  const without = await one();
  check('a call without a credential says auth_required', without.auth === 'auth_required', without);

  const installed = await signIn(state, 'notes');
  check('a sign-in installs a token', installed.owner.startsWith('user/') && Boolean(installed.expires_at), installed);
  const first = await one();
  check('the same call goes through, as who signed in', first.text.startsWith('ann '), first);

  await ended();
  const before = await refreshes();
  const many = await calls(100);
  const after = await refreshes();
  check('100 calls at its end are answered', many.every(({ text }) => text.startsWith('ann ')), many.filter(({ text }) => !text.startsWith('ann '))[0]);
  check('by one token, another than before', new Set(many.map(({ text }) => text)).size === 1 && many[0].text !== first.text, many.map(({ text }) => text));
  check('with one refresh', after - before === 1, { before, after });

  await idp('down');
  await ended();
  const down = await one().catch((error) => error);
  check('an issuer that is down is told as that, and nobody is sent to sign in',
    down instanceof RpcError && down.data?.retryAfterMs > 0 && down.message.includes('HTTP 503'), String(down));
  await idp('up');
  // The pause after a failure is five seconds.
  await new Promise((resolve) => setTimeout(resolve, 6000));
  const up = await one();
  check('and once it is back the token is renewed', up.text.startsWith('ann '), up);

  await idp('revoke');
  await ended();
  const over = await one();
  check('a refusal for good asks for a sign-in', over.auth === 'auth_expired', over);
  const asked = await refreshes();
  const still = await one();
  check('and is remembered', still.auth === 'auth_expired' && (await refreshes()) === asked, still);
  await signIn(state, 'notes');
  const again = await one();
  check('after which calls go through again', again.text.startsWith('ann '), again);
} catch (error) {
  check('the run', false, error.stack);
} finally {
  const { secrets } = await idp('seen');
  writeFileSync(join(folder, 'secrets'), `${secrets.join('\n')}\n`);
  await gateway.stop();
}
console.log(`${passed} passed, ${failed} failed`);
