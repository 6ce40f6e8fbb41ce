// Two gateways with remote servers alone, and one store in the cluster: who signs in at one calls by both, and a token is
// renewed once for both.
// usage: oauth-two.mjs GATEWAY FOLDER UPSTREAM ISSUER KUBECONFIG
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGateway } from './gateway.mjs';
import { Run } from './oauth-run.mjs';
import { signIn } from './sign-in.mjs';
import { tells } from './tells.mjs';

const [program, folder, upstream, issuer, kubeconfig] = process.argv.slice(2);
const ROUNDS = 3;
const run = new Run(issuer);
const gateways = [];
try {
  for (const name of ['one', 'other']) {
    const config = {
      log: { level: 'trace' },
      metrics_listen: '127.0.0.1:0',
      audit: { file: join(folder, `${name}.audit`), arguments: true },
      servers: { notes: { url: upstream, oauth: true } },
      network: { allow_private: [new URL(issuer).origin] },
      credentials: { store: 'kubernetes' },
      kubernetes: { kubeconfig, name: 'two' },
    };
    gateways.push(await startGateway(program, join(folder, name), config));
  }
  const [one, other] = gateways.map(({ url }) => url);
  const installed = await signIn(join(folder, 'one', 'state'), 'notes');
  const first = (await run.calls(1, one))[0];
  run.check('who signed in at one calls there', first.text.startsWith('ann '), first);
  const there = (await run.calls(1, other))[0];
  run.check('and by the other with the same token', there.text === first.text, there);
  let last = first;
  for (let round = 0; round < ROUNDS; round += 1) last = await run.renewal(100, last, one, other);

  for (const name of ['one', 'other']) {
    await tells(join(folder, 'told'), name, join(folder, name, 'state'), { tool: 'whoami', principals: [installed.owner.slice('user/'.length)] });
  }
  await run.idp('revoke');
  await run.ended();
  const over = await run.calls(20, one, other);
  run.check('a refusal for good is one for both', over.every(({ auth }) => auth === 'auth_expired'), over.filter(({ auth }) => auth !== 'auth_expired')[0]);
  const asked = await run.refreshes();
  await run.calls(2, one, other);
  run.check('and remembered by both', (await run.refreshes()) === asked, asked);
  await signIn(join(folder, 'other', 'state'), 'notes');
  const again = await run.calls(10, one, other);
  run.check('who signs in at the other calls by both again', again.every(({ text }) => text.startsWith('ann ')), again[0]);
} catch (error) {
  run.check('the run', false, error.stack);
} finally {
  const { secrets } = await run.idp('seen');
  writeFileSync(join(folder, 'secrets'), `${secrets.join('\n')}\n`);
  for (const gateway of gateways) await gateway.stop();
}
run.finish();
