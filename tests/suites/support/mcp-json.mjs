// Writes the suite's config as the `mcpServers` file that desktop clients have, or compares what a gateway that was
// started with such a file lists with the plan.
// usage: mcp-json.mjs write CONFIG FILE | mcp-json.mjs check URL PLAN
import { readFileSync, writeFileSync } from 'node:fs';
import { Checks, compareList, expect } from './checks.mjs';
import { Legacy, Modern } from './mcp.mjs';

const [action, from, to] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

// Clients add keys of their own, which are nobody's error.
const entry = ({ command, env, url }) =>
  url ? { type: 'http', url } : { command: command[0], args: command.slice(1), ...(env && { env }), disabled: false, autoApprove: [] };

async function check(url, plan) {
  const checks = new Checks('an mcpServers file');
  for (const era of ['legacy', 'modern']) {
    await checks.check(`lists every tool, ${era}`, async () => {
      const client = era === 'legacy' ? await Legacy.connect(url) : new Modern(url);
      const listed = await client.list('tools/list', 'tools');
      compareList(listed.map((tool) => tool.name), plan.always.tools, plan.sometimes.tools);
      const { tool, arguments: values, text } = plan.calls.find((one) => one.tool === 'memory__search_nodes');
      const result = await client.request('tools/call', { name: tool, arguments: values });
      expect(result.content[0].text.includes(text), `'${text}', which comes by env`);
      await client.close();
    });
  }
  checks.end();
}

if (action === 'write') {
  const servers = Object.entries(read(from).servers).map(([name, server]) => [name, entry(server)]);
  writeFileSync(to, JSON.stringify({ mcpServers: Object.fromEntries(servers) }, null, 2));
} else {
  await check(from, read(to));
}
