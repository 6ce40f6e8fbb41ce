// What a modern client cannot get from a legacy server, by set and scenario, with the reason.
const TASKS = 'tasks of the eras differ: the gateway waits for the result of a legacy server\'s task itself';

export const IMPOSSIBLE = {
  '2026-07-28': {
    'server-stateless':
      'of its checks, -32021 before the call: a legacy server learns of capabilities once for a session, not with each request',
    'input-required-result-basic-elicitation':
      'it expects the key that the server chose for its question; the questions of a legacy server have none',
    'tasks-lifecycle': TASKS,
    'tasks-capability-negotiation': TASKS,
    'tasks-wire-fields': TASKS,
    'tasks-request-state-removal': TASKS,
    'tasks-mrtr-input': TASKS,
    'tasks-request-headers': TASKS,
    'tasks-dispatch-and-envelope': TASKS,
    'tasks-mrtr-composition': TASKS,
  },
};

// The scenarios of a set that a target cannot pass.
export function impossible(target, set) {
  return target.startsWith('crossed-') ? (IMPOSSIBLE[set] ?? {}) : {};
}
