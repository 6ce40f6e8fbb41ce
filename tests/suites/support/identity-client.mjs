// The npm client, which gets a token on its own from nothing but the gateway's URL, and calls a tool.
//
// usage: identity-client.mjs URL
import { browse } from './browse.mjs';
import { Client, StreamableHTTPClientTransport } from './npm.mjs';

const url = new URL(process.argv[2]);
const redirect = 'http://127.0.0.1:9/callback';
let landed;
const kept = {};
const authProvider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: 'suite', redirect_uris: [redirect], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  redirectToAuthorization: async (address) => { landed = await browse(address.href, redirect); },
};

const first = new StreamableHTTPClientTransport(url, { authProvider });
try {
  await new Client({ name: 'suite', version: '1' }).connect(first);
} catch (error) {
  if (!landed) throw error;
}
if (!landed) throw new Error('it was let in without a token');
await first.finishAuth(new URL(landed).searchParams);
const client = new Client({ name: 'suite', version: '1' });
await client.connect(new StreamableHTTPClientTransport(url, { authProvider }));
const result = await client.callTool({ name: 'test_simple_text', arguments: {} });
if (!result.content?.length) throw new Error(JSON.stringify(result));
await client.close();
console.log('  ok    npm client: signed in by itself and called a tool');
console.log('1 passed, 0 failed');
