// The gateway in front of a protected server: sign-in, calls at a token's end, an issuer that fails for now and for good.
// usage: oauth.mjs GATEWAY FOLDER UPSTREAM ISSUER
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGateway } from './gateway.mjs';
import { RpcError } from './mcp.mjs';
import { Run } from './oauth-run.mjs';
import { signIn } from './sign-in.mjs';
import { tells } from './tells.mjs';

const [program, folder, upstream, issuer] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const run = new Run(issuer);

const config = {
  log: { level: 'trace' },
  metrics_listen: '127.0.0.1:0',
  audit: { file: join(folder, 'audit'), arguments: true },
  servers: { notes: { url: upstream, oauth: true } },
  network: { allow_private: [new URL(issuer).origin] },
};
const gateway = await startGateway(program, folder, config);
const state = join(folder, 'state');
const one = async () => (await run.calls(1, gateway.url))[0];
try {
  const without = await one();
  run.check('a call without a credential says auth_required', without.auth === 'auth_required', without);

  const installed = await signIn(state, 'notes');
  run.check('a sign-in installs a token', installed.owner.startsWith('user/') && Boolean(installed.expires_at), installed);
  const first = await one();
  run.check('the same call goes through, as who signed in', first.text.startsWith('ann '), first);

  await run.renewal(100, first, gateway.url);
  await tells(join(folder, 'told'), 'gateway', state, { tool: 'whoami', principals: [installed.owner.slice('user/'.length)] });

  await run.idp('down');
  await run.ended();
  const down = await one().catch((error) => error);
  run.check('an issuer that is down is told as that, and nobody is sent to sign in',
    down instanceof RpcError && down.data?.retryAfterMs > 0 && down.message.includes('HTTP 503'), String(down));
  await run.idp('up');
  // The pause after a failure is five seconds.
  await new Promise((resolve) => setTimeout(resolve, 6000));
  const up = await one();
  run.check('and once it is back the token is renewed', up.text.startsWith('ann '), up);

  await run.idp('revoke');
  await run.ended();
  const over = await one();
  run.check('a refusal for good asks for a sign-in', over.auth === 'auth_expired', over);
  const asked = await run.refreshes();
  const still = await one();
  run.check('and is remembered', still.auth === 'auth_expired' && (await run.refreshes()) === asked, still);
  await signIn(state, 'notes');
  const again = await one();
  run.check('after which calls go through again', again.text.startsWith('ann '), again);
} catch (error) {
  run.check('the run', false, error.stack);
} finally {
  const { secrets } = await run.idp('seen');
  writeFileSync(join(folder, 'secrets'), `${secrets.join('\n')}\n`);
  await gateway.stop();
}
run.finish();
