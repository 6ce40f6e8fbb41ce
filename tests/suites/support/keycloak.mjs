// Keycloak for a suite: started on a free port of the loopback, with what docs/authentication.md says done by its admin API.
// It prints `listening on ISSUER` once the realm is ready, and ends with this program.
//
// usage: keycloak.mjs FOLDER AUDIENCE...   (FOLDER: an unpacked Keycloak; BROWSE_USER gets BROWSE_PASSWORD and the group ops)
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';

const [folder, ...audiences] = process.argv.slice(2);
const { BROWSE_USER: user, BROWSE_PASSWORD: password } = process.env;
const PATIENCE = 400_000;
const REALM = 'mcp';

const port = await new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port: free } = server.address();
    server.close(() => done(free));
  });
});
const base = `http://127.0.0.1:${port}`;
const child = spawn('bash', [join(folder, 'bin', 'kc.sh'), 'start-dev', '--db=dev-mem', '--http-host=127.0.0.1', `--http-port=${port}`], {
  stdio: ['ignore', 2, 2],
  env: { ...process.env, KC_BOOTSTRAP_ADMIN_USERNAME: 'admin', KC_BOOTSTRAP_ADMIN_PASSWORD: password },
  detached: true,
});
// The script's own child is the program: the whole group ends.
process.on('exit', () => {
  try {
    process.kill(-child.pid, 'SIGTERM');
  } catch {
    // It has ended already.
  }
});
process.on('SIGTERM', () => process.exit(0)).on('SIGINT', () => process.exit(0));
child.once('exit', (code) => {
  console.error(`keycloak ended with ${code}`);
  process.exit(1);
});

const until = Date.now() + PATIENCE;
while (!(await fetch(`${base}/realms/master`).then(({ ok }) => ok, () => false))) {
  if (Date.now() > until) throw new Error('keycloak does not answer');
  await new Promise((resolve) => setTimeout(resolve, 250));
}

const form = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', username: 'admin', password });
const signedIn = await fetch(`${base}/realms/master/protocol/openid-connect/token`, { method: 'POST', body: form });
const { access_token: token } = await signedIn.json();
async function admin(method, path, body) {
  const answer = await fetch(`${base}/admin/realms${path}`, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : answer.headers.get('location')?.split('/').pop();
}

// The realm, a group, a user in it.
await admin('POST', '', { realm: REALM, enabled: true, accessTokenLifespan: 300 });
const group = await admin('POST', `/${REALM}/groups`, { name: 'ops' });
const account = await admin('POST', `/${REALM}/users`, {
  username: user, enabled: true, email: `${user}@example.com`, emailVerified: true, firstName: user, lastName: user,
  credentials: [{ type: 'password', value: password, temporary: false }],
});
await admin('PUT', `/${REALM}/users/${account}/groups/${group}`);

// A client scope `mcp`, which every client has by default: with the audience of the gateway, the user's name and the groups. A
// client that registers for `mcp` alone does not have the scope `profile`, whose the name is else.
const mapper = (name, kind, config) => ({ name, protocol: 'openid-connect', protocolMapper: kind, config: { 'access.token.claim': 'true', ...config } });
const scope = await admin('POST', `/${REALM}/client-scopes`, {
  name: 'mcp', protocol: 'openid-connect', attributes: { 'include.in.token.scope': 'true', 'display.on.consent.screen': 'true' },
  protocolMappers: [
    ...audiences.map((audience, n) => mapper(`audience-${n}`, 'oidc-audience-mapper', { 'included.custom.audience': audience })),
    mapper('username', 'oidc-usermodel-property-mapper', { 'user.attribute': 'username', 'claim.name': 'preferred_username', 'jsonType.label': 'String', 'id.token.claim': 'true' }),
    mapper('groups', 'oidc-group-membership-mapper', { 'claim.name': 'groups', 'full.path': 'false', 'id.token.claim': 'true' }),
  ],
});
await admin('PUT', `/${REALM}/default-default-client-scopes/${scope}`);

// Clients register themselves from hosts that are trusted.
const POLICY = 'org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy';
const policies = await admin('GET', `/${REALM}/components?type=${POLICY}`);
const hosts = policies.find(({ providerId, subType }) => providerId === 'trusted-hosts' && subType === 'anonymous');
hosts.config['trusted-hosts'] = ['127.0.0.1', 'localhost'];
await admin('PUT', `/${REALM}/components/${hosts.id}`, hosts);

console.log(`listening on ${base}/realms/${REALM}`);
