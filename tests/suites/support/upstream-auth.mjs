// The auth/* scenarios of `conformance client`: how the upstream server is configured, and what a person does then.
import { Refused, signIn } from './sign-in.mjs';

// Where a person tries again at most.
const SIGN_INS = 3;
// Scenarios whose server or issuer lies: the gateway must not go on.
const LIES = ['resource-mismatch', 'iss-supported-missing', 'iss-wrong-issuer', 'iss-unexpected', 'iss-normalized', 'metadata-issuer-mismatch'];

const known = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const OAUTH = {
  'basic-cimd': { client_id: 'https://conformance-test.local/client-metadata.json' },
  'pre-registration': { client_id: known.client_id, client_secret: known.client_secret },
  'client-credentials-basic': { grant: 'client_credentials', client_id: known.client_id, client_secret: known.client_secret },
};

// A client with a secret has its issuer in the configuration, as who writes it reads it at the server.
async function issuerOf(url) {
  const { origin, pathname } = new URL(url);
  for (const path of [pathname, '']) {
    const answer = await fetch(`${origin}/.well-known/oauth-protected-resource${path}`);
    if (answer.ok) return (await answer.json()).authorization_servers[0];
  }
  return origin;
}

export async function authConfig(name, url) {
  const oauth = OAUTH[name] ? { ...OAUTH[name] } : true;
  if (oauth.client_secret) oauth.issuer = await issuerOf(url);
  return { servers: { upstream: { url, oauth } }, network: { allow_private: ['localhost'] } };
}

const auth = (result) => (result.isError ? result._meta?.['mcp-orchestrator.dev/auth']?.error : undefined);

export function authScenario(name) {
  return async (client, stateDir) => {
    let signedIn = 0;
    const enter = async () => {
      for (;;) {
        signedIn += 1;
        try {
          return await signIn(stateDir, 'upstream');
        } catch (error) {
          // The first token may be of an issuer that the server left meanwhile.
          if (name !== 'authorization-server-migration' || !(error instanceof Refused) || signedIn >= SIGN_INS) throw error;
        }
      }
    };
    const refused = async () => {
      try {
        await enter();
      } catch (error) {
        if (error instanceof Refused) return error.message;
        throw error;
      }
      throw new Error('expected the gateway to refuse');
    };
    if (LIES.includes(name)) {
      console.error(`refused: ${await refused()}`);
      return;
    }
    if (name === 'scope-retry-limit') {
      console.error(`refused: ${await refused()}`);
      return;
    }
    if (name !== 'client-credentials-basic') await enter();
    for (;;) {
      const result = await client.call({ name: 'test-tool', inputSchema: {} }, {});
      const word = auth(result);
      if (!word) {
        if (result.content?.[0]?.text !== 'test') throw new Error(`expected the answer, not ${JSON.stringify(result)}`);
        return;
      }
      if (signedIn >= SIGN_INS) throw new Error(`expected an answer after ${signedIn} sign-ins, not ${word}`);
      await enter();
    }
  };
}
