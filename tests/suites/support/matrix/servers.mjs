// The servers of the matrix: how each is started or reached, and the steps that every client takes with it. A step
// gives the same every time it is taken.
const GENERAL = ['tools', 'prompts', 'resources', 'templates'].map((of) => ({ op: 'list', of }));
const call = (name, values) => ({ op: 'call', name, arguments: values ?? {} });
const read = (uri) => ({ op: 'read', uri });
const prompt = (name, values) => ({ op: 'prompt', name, arguments: values });
const complete = (ref, name, value) => ({ op: 'complete', ref, argument: { name, value } });
const level = (name) => ({ op: 'level', level: name });

const EVERYTHING = [
  level('debug'),
  call('echo', { message: 'from the matrix ✓ ü' }),
  call('get-sum', { a: 2, b: 3 }),
  call('get-sum', { a: 'two' }),
  call('get-structured-content', { location: 'New York' }),
  call('get-tiny-image'),
  call('get-annotated-message', { messageType: 'error', includeImage: true }),
  call('get-resource-links', { count: 3 }),
  call('trigger-long-running-operation', { duration: 0.4, steps: 4 }),
  { op: 'cancel', name: 'trigger-long-running-operation', arguments: { duration: 20, steps: 40 } },
  call('trigger-sampling-request', { prompt: 'a word', maxTokens: 10 }),
  call('trigger-elicitation-request'),
  call('get-roots-list'),
  read('demo://resource/static/document/features.md'),
  prompt('simple-prompt'),
  prompt('args-prompt', { city: 'Paris', state: 'Texas' }),
  prompt('args-prompt', {}),
  complete({ type: 'ref/prompt', name: 'completable-prompt' }, 'department', 'E'),
];

// A connection of HTTP+SSE serves all sessions of a principal, whose roots differ.
const WITHOUT_ROOTS = EVERYTHING.filter((step) => step.name !== 'get-roots-list');

const FASTMCP = [
  level('debug'),
  call('add', { a: 2, b: 3 }),
  call('add', { a: 'two' }),
  call('weather', { city: 'Zürich' }),
  call('fails'),
  call('steps', { count: 4 }),
  call('logs'),
  { op: 'cancel', name: 'wait' },
  call('who'),
  call('word'),
  read('matrix://text'),
  read('matrix://binary'),
  read('matrix://items/seven'),
  prompt('greeting', { name: 'Ann' }),
  prompt('greeting', {}),
];

const FIXTURE = [
  call('greet', { name: 'matrix' }),
  call('test_error_handling'),
  call('test_tool_with_progress'),
  call('test_tool_with_logging'),
  { op: 'cancel', name: 'test_wait_for_cancel' },
  { op: 'changed', of: 'tools', name: 'test_trigger_tool_change' },
  { op: 'changed', of: 'tools', name: 'test_trigger_tool_change' },
  { op: 'updated', uri: 'test://watched-resource', name: 'test_trigger_resource_update' },
  read('test://static-text'),
  read('test://static-binary'),
  prompt('test_prompt_with_arguments', { arg1: 'one', arg2: 'two' }),
  complete({ type: 'ref/resource', uri: 'test://template/{id}/data' }, 'id', 'par'),
];

const GO = [
  level('debug'),
  call('greet', { name: 'Ann' }),
  call('greet (structured)', { name: 'Ann' }),
  call('greet (content with ResourceLink)', { name: 'Ann' }),
  call('greet', {}),
  call('ping'),
  call('log'),
  call('sample'),
  call('elicit (form)'),
  call('roots'),
  read('embedded:info'),
  read('embedded:nothing'),
  prompt('greet', { name: 'Ann' }),
  complete({ type: 'ref/prompt', name: 'greet' }, 'name', 'An'),
];

// `places` says where the programs, files and HTTP servers are. Servers of one group stand behind one gateway: no two of
// them have a resource of the same URI. What asks its client is started for each session, so that it knows its client.
export function servers(places) {
  const { node, modules, python, folder, urls } = places;
  const all = {
    everything: { group: 1, isolation: 'session', command: [node, `${modules.suites}/@modelcontextprotocol/server-everything/dist/index.js`, 'stdio'], steps: EVERYTHING },
    'everything-http': { group: 2, url: urls.everything, steps: EVERYTHING },
    'everything-sse': { group: 3, url: urls['everything-sse'], transport: 'sse', steps: WITHOUT_ROOTS },
    fixture: { group: 1, command: [places.fixture, '--stdio', '--page-size', '7'], steps: FIXTURE },
    'fixture-http': { group: 2, url: urls.fixture, steps: FIXTURE },
    fastmcp2: { group: 1, isolation: 'session', command: [python.fastmcp2, '-W', 'ignore', places.fastmcp, 'stdio'], steps: FASTMCP },
    'fastmcp2-http': { group: 2, url: urls.fastmcp2, steps: FASTMCP },
    'fastmcp2-sse': { group: 4, url: urls['fastmcp2-sse'], transport: 'sse', steps: FASTMCP },
    fastmcp4: { group: 5, isolation: 'session', command: [python.fastmcp4, '-W', 'ignore', places.fastmcp, 'stdio'], steps: FASTMCP },
    'fastmcp4-http': { group: 3, url: urls.fastmcp4, steps: FASTMCP },
    go: { group: 1, isolation: 'session', command: [places.go], steps: GO },
    'go-http': { group: 2, url: urls.go, steps: GO },
    files: { group: 1,
      command: [node, `${modules.suites}/@modelcontextprotocol/server-filesystem/dist/index.js`, `${folder}/files`],
      steps: [call('read_text_file', { path: `${folder}/files/hello.txt` }), call('list_directory', { path: `${folder}/files` }), call('read_text_file', { path: '/etc/hostname' })],
    },
    memory: { group: 1,
      command: [node, `${modules.suites}/@modelcontextprotocol/server-memory/dist/index.js`],
      env: { MEMORY_FILE_PATH: `${folder}/memory.jsonl` },
      steps: [call('search_nodes', { query: 'remembered' }), call('read_graph'), read('memory://knowledge-graph')],
    },
    git: { group: 1,
      command: [`${python.suites}/mcp-server-git`, '--repository', `${folder}/repository`],
      steps: [call('git_log', { repo_path: `${folder}/repository`, max_count: 1 }), call('git_status', { repo_path: `${folder}/nowhere` })],
    },
    time: { group: 1,
      command: [`${python.suites}/mcp-server-time`, '--local-timezone', 'UTC'],
      steps: [call('convert_time', { source_timezone: 'UTC', time: 'noon', target_timezone: 'Asia/Tokyo' })],
    },
    fetch: { group: 1,
      command: [`${python.fetch}/mcp-server-fetch`, '--ignore-robots-txt', '--allow-private-ips'],
      steps: [call('fetch', { url: urls.page }), call('fetch', { url: urls.page, raw: true, max_length: 20 }), call('fetch', {}), prompt('fetch', { url: urls.page })],
    },
    sqlite: { group: 1,
      command: [`${python.sqlite}/mcp-server-sqlite`, '--db-path', `${folder}/matrix.db`],
      steps: [
        call('list_tables'),
        call('read_query', { query: 'SELECT * FROM people' }),
        call('read_query', { query: 'SELECT nothing' }),
        read('memo://insights'),
        prompt('mcp-demo', { topic: 'people' }),
      ],
    },
    thinking: { group: 1,
      command: [node, `${modules.matrix}/@modelcontextprotocol/server-sequential-thinking/dist/index.js`],
      env: { DISABLE_THOUGHT_LOGGING: 'true' },
      steps: [call('sequentialthinking', { thought: 'x' })],
    },
    context7: { group: 1,
      command: [node, `${modules.matrix}/@upstash/context7-mcp/dist/index.js`],
      env: { CONTEXT7_API_KEY: '' },
      steps: [call('resolve-library-id', {})],
    },
    // It asks its client for roots, and paths in its answers are relative to the first one.
    playwright: { group: 1, isolation: 'session',
      command: [node, `${modules.matrix}/@playwright/mcp/cli.js`, '--headless', '--isolated', '--no-sandbox', '--executable-path', places.chromium, '--output-dir', `${folder}/browser`],
      steps: [call('browser_navigate', { url: urls.page }), call('browser_snapshot'), call('browser_click', {}), call('browser_close')],
    },
  };
  for (const server of Object.values(all)) {
    const taken = new Map();
    server.steps = [{ op: 'initialize' }, { op: 'ping' }, ...GENERAL, ...server.steps, { op: 'ping' }].map((step) => {
      const what = [step.op, step.of ?? step.name ?? step.uri ?? step.ref?.name ?? step.ref?.uri ?? step.level].filter(Boolean).join(' ');
      const times = (taken.get(what) ?? 0) + 1;
      taken.set(what, times);
      return { ...step, key: times > 1 ? `${what} (${times})` : what };
    });
  }
  return all;
}
