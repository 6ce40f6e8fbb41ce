// A gateway in front of a protected server whose tokens Keycloak gives: it registers itself, somebody signs in, calls go
// through, also after the token's end.
// usage: keycloak-upstream.mjs FOLDER GATEWAY ISSUER UPSTREAM
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startGateway } from './gateway.mjs';
import { Run } from './oauth-run.mjs';
import { signIn } from './sign-in.mjs';

const [folder, program, issuer, upstream] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const run = new Run(issuer);
const gateway = await startGateway(program, folder, {
  log: { level: 'trace' },
  audit: { file: join(folder, 'audit'), arguments: true },
  servers: { notes: { url: upstream, oauth: { scopes: ['mcp', 'offline_access'] } } },
  network: { allow_private: [new URL(issuer).origin] },
});
try {
  const without = (await run.calls(1, gateway.url))[0];
  run.check('a call without a credential says auth_required', without.auth === 'auth_required', without);
  const installed = await signIn(join(folder, 'state'), 'notes');
  run.check('a sign-in installs a token', installed.owner.startsWith('user/') && Boolean(installed.expires_at), installed);
  const first = (await run.calls(1, gateway.url))[0];
  run.check('the same call goes through', /^[0-9a-f-]{36} [0-9a-f]{16}$/.test(first.text), first);
} catch (error) {
  run.check('the run', false, error.stack);
} finally {
  await gateway.stop();
}
run.finish();
