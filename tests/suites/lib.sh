# What the suites share: the public tools at their pinned versions, programs of our own that are started and
# ended, and the count of what passed. A suite sources this file first.
#
# MCPO_CACHE   where the tools are kept (default ~/.cache/mcp-orchestrator-tests); filled once, then reused
# MCPO_GATEWAY the gateway to test (default: the workspace's, built first)
# MCPO_FIXTURE the fixture server (default: the workspace's, built first)
# MCPO_KEEP    set: keeps the folder with logs and results also when everything passed

set -euo pipefail

SUITES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORKSPACE=$(cd "$SUITES/../.." && pwd)
CACHE=${MCPO_CACHE:-$HOME/.cache/mcp-orchestrator-tests}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/mcpo-suite.XXXXXX")
STARTED=()
AT_END=:
WATCHED=()
PASSED=0
FAILED=0

pass() { PASSED=$((PASSED + 1)); printf '  ok    %s\n' "$*"; }
fail() { FAILED=$((FAILED + 1)); printf '  FAIL  %s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() { printf 'cannot run: %s\n' "$*" >&2; exit 2; }

# Adds the `N passed, N failed` line of a program's output to the count.
count() {
    local line
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -1) || line=''
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        PASSED=$((PASSED + BASH_REMATCH[1]))
        FAILED=$((FAILED + BASH_REMATCH[2]))
    else
        fail "$2 ended without saying what passed"
    fi
}

# The suite's last words and its exit code.
finish() {
    printf '\n%d passed, %d failed\n' "$PASSED" "$FAILED"
    [ "$FAILED" -eq 0 ] && [ "$PASSED" -gt 0 ]
}

# Ends what this suite started, the latest first, after the suite's own AT_END.
cleanup() {
    local code=$? index
    "$AT_END" || true
    for ((index = ${#STARTED[@]} - 1; index >= 0; index--)); do
        stop "${STARTED[index]}"
    done
    if [ "$code" -eq 0 ] && [ -z "${MCPO_KEEP:-}" ]; then
        rm -rf "$WORK"
    else
        printf 'logs and results: %s\n' "$WORK" >&2
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# stop PID: asks the process to end, waits for it, and insists after 15 seconds.
stop() {
    kill -0 "$1" 2>/dev/null || return 0
    kill -TERM "$1" 2>/dev/null || true
    if ! timeout 15 tail -s 0.05 --pid="$1" -f /dev/null; then
        kill -KILL "$1" 2>/dev/null || true
    fi
    wait "$1" 2>/dev/null || true
}

# The processes below PID, children first.
descendants() {
    local child
    for child in $(pgrep -P "$1" || true); do
        echo "$child"
        descendants "$child"
    done
}

# start NAME COMMAND..: starts a program of ours, waits until it says where it listens.
# Sets URL (what it printed) and PID; STARTS is how many seconds it may take (60). Its stderr goes to $WORK/NAME.log.
start() {
    local name=$1 pipe line fd
    shift
    pipe="$WORK/$name.pipe"
    rm -f "$pipe"
    mkfifo "$pipe"
    "$@" >"$pipe" 2>"$WORK/$name.log" </dev/null &
    PID=$!
    STARTED+=("$PID")
    exec {fd}<"$pipe"
    if ! read -r -t "${STARTS:-60}" line <&"$fd" || [[ $line != "listening on http"* ]]; then
        tail -20 "$WORK/$name.log" >&2
        die "$name did not say where it listens; it said '${line:-}'"
    fi
    URL=${line#listening on }
}

# gateway NAME CONFIG: starts the gateway with a config file, and with WATCHED; URL is its default endpoint.
gateway() {
    mkdir -p "$WORK/$1.state"
    start "$1" "$GATEWAY" --config "$2" "${WATCHED[@]}" --listen 127.0.0.1:0 --state-dir "$WORK/$1.state"
    URL=$URL/mcp
}

# Builds what is tested. Sets FIXTURE and GATEWAY.
build() {
    step "build"
    local target=${CARGO_TARGET_DIR:-$WORKSPACE/target}/debug
    local packages=()
    if [ -z "${MCPO_FIXTURE:-}" ]; then
        packages+=(-p mcp-orchestrator-tests --bin fixture-server)
    fi
    if [ -z "${MCPO_GATEWAY:-}" ]; then
        packages+=(-p mcp-orchestrator-gateway --bin mcp-orchestrator-gateway)
    fi
    if [ "${#packages[@]}" -gt 0 ]; then
        (cd "$WORKSPACE" && cargo build --quiet "${packages[@]}") || die "the build failed"
    fi
    FIXTURE=${MCPO_FIXTURE:-$target/fixture-server}
    GATEWAY=${MCPO_GATEWAY:-$target/mcp-orchestrator-gateway}
    [ -x "$GATEWAY" ] || die "no gateway at $GATEWAY"
}

# Installs the npm packages. Sets NPM (the folder), NODE and the path to the conformance suite.
npm_tools() {
    NPM=$CACHE/npm-$(sha256sum "$SUITES/package.json" | cut -c1-12)
    once "$NPM" npm_install
    NODE=$NPM/node_modules/node/bin/node
    CONFORMANCE=$NPM/node_modules/@modelcontextprotocol/conformance/dist/index.js
    export MCPO_NPM=$NPM
}

npm_install() {
    step "install the npm packages"
    command -v npm >/dev/null || die "npm is needed"
    mkdir -p "$1"
    cp "$SUITES/package.json" "$1/"
    (cd "$1" && npm install --no-audit --no-fund --loglevel=error) || die "npm install failed"
    local node=$1/node_modules/node/bin/node
    [ -x "$node" ] || (cd "$1" && npm rebuild node) || die "the node package has no program"
    "$node" -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)' || die "node 22 or later is needed"
}

# Installs the Python packages. Sets PYTHON.
python_tools() {
    local venv
    venv=$CACHE/venv-$(sha256sum "$SUITES/requirements.txt" | cut -c1-12)
    once "$venv" python_install
    PYTHON=$venv/bin/python
    VENV=$venv
}

python_install() {
    step "install the Python packages"
    python3 -m venv "$1" || die "python3 with venv is needed"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$SUITES/requirements.txt" || die "pip failed"
}

# once FOLDER COMMAND: runs the command with the folder unless it has succeeded before, one suite at a time.
once() {
    command -v flock >/dev/null || die "flock is needed"
    mkdir -p "$CACHE"
    local lock
    exec {lock}>"$1.lock"
    flock -w 600 "$lock" || die "another suite has been installing for ten minutes"
    if [ ! -e "$1/.complete" ]; then
        rm -rf "$1"
        "$2" "$1"
        touch "$1/.complete"
    fi
    exec {lock}>&-
}
