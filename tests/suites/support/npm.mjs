// The pinned npm packages, which live in the cache and not beside the suites.
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const packages = createRequire(join(process.env.MCPO_NPM, 'package.json'));
export const { Client, StreamableHTTPClientTransport } = packages('@modelcontextprotocol/client');
export const { StdioClientTransport } = packages('@modelcontextprotocol/client/stdio');
