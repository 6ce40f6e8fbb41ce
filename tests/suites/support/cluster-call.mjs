// Calls one tool and prints the text of its answer; an error's message with `error: ` before it. Where a credential is
// missing, the word for that alone.
// usage: cluster-call.mjs URL TOOL [ARGUMENTS]
import { Modern } from './mcp.mjs';

const [url, name, values = '{}'] = process.argv.slice(2);
try {
  const result = await new Modern(url, {}).request('tools/call', { name, arguments: JSON.parse(values) });
  const lacks = result._meta?.['mcp-orchestrator.dev/auth']?.error;
  console.log(lacks ?? result.content.map((one) => one.text ?? one.type).join('\n'));
} catch (error) {
  console.log(`error: ${error.message}`);
}
