// An identity provider for the suite: npm's oidc-provider, with clients that register themselves, JWT access tokens for
// the resource that was asked for, and one user who signs in at once. It prints `listening on URL`. With a redirect
// address it has a client `gateway` too, and asks who signs in.
//
// usage: idp.mjs USER [REDIRECT]
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
        scope: 'mcp', audience: resource, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
const callback = provider.callback();

async function handle(request, response) {
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
