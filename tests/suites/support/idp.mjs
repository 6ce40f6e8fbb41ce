// An identity provider for the suite: npm's oidc-provider, with clients that register themselves, JWT access tokens for
// the resource that was asked for, and one user who signs in at once. It prints `listening on URL`. With a redirect
// address it has a client `gateway` too, and asks who signs in.
//
// usage: idp.mjs USER [REDIRECT], with IDP_TOKEN_LIFE (seconds) and IDP_CONTROL=1 for a suite that counts and breaks things: /control/seen
// answers how many refreshes there were, every token given, and the end of the last one; down, up and revoke do what they say
import { createServer } from 'node:http';
import { packages } from './npm.mjs';

const { Provider } = await import(packages.resolve('oidc-provider'));
const [user, redirect] = process.argv.slice(2);
const server = createServer((request, response) => handle(request, response));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: redirect ? [{
    client_id: 'gateway', client_secret: 'the-gateways-own', redirect_uris: [redirect], grant_types: ['authorization_code'],
  }] : [],
  scopes: ['openid', 'offline_access', 'mcp'],
  clientDefaults: { grant_types: ['authorization_code', 'refresh_token'] },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'mcp', audience: resource, accessTokenTTL: Number(process.env.IDP_TOKEN_LIFE ?? 300), accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  rotateRefreshToken: () => true,
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
const callback = provider.callback();

const seen = { refreshes: 0, secrets: [], expires: 0 };
let down = false;
provider.on('grant.success', (ctx) => {
  if (ctx.oidc.params.grant_type === 'refresh_token') seen.refreshes += 1;
  seen.secrets.push(...[ctx.body.access_token, ctx.body.refresh_token, ctx.oidc.params.code].filter(Boolean));
  seen.expires = Date.now() / 1000 + ctx.body.expires_in;
});
provider.on('grant.error', (ctx) => {
  if (ctx.oidc?.params?.grant_type === 'refresh_token') seen.refreshes += 1;
});

// What the suite asks for; every refresh token there is can be taken back.
async function control(path, response) {
  if (path === 'down' || path === 'up') down = path === 'down';
  if (path === 'revoke') {
    for (const token of seen.secrets) await (await provider.RefreshToken.find(token))?.destroy();
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(seen));
}

async function handle(request, response) {
  if (process.env.IDP_CONTROL && request.url.startsWith('/control/')) return control(request.url.slice('/control/'.length), response);
  if (down && request.url === '/token') {
    response.statusCode = 503;
    return response.end('down');
  }
  if (!request.url.startsWith('/sign-in/')) return callback(request, response);
  const { prompt, params, grantId, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login' && redirect) {
    if (request.method === 'GET') {
      const page = '<form method="post"><label for="n">Your name</label><input id="n" name="n"><button>Sign in there</button></form>';
      return response.setHeader('content-type', 'text/html').end(page);
    }
    let body = '';
    for await (const part of request) body += part;
    const accountId = new URLSearchParams(body).get('n');
    return provider.interactionFinished(request, response, { login: { accountId } });
  }
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: user } });
  }
  const grant = grantId ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true });
}

console.log(`listening on ${issuer}`);
