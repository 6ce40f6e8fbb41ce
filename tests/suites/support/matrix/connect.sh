# The files that `connect CLIENT --write` writes, read by the client itself: Claude Code, Gemini CLI, Codex and opencode,
# for a gateway without tokens and for one with. Those that can say so really connect. Sourced by ../../matrix; each
# client gets a home folder of its own.

# Installs the programs; sets PROGRAMS.
matrix_programs() {
    PROGRAMS=$CACHE/matrix-programs-$(sha256sum "$MATRIX/programs/package.json" | cut -c1-12)
    once "$PROGRAMS" matrix_programs_install
}

matrix_programs_install() {
    step "install Claude Code, Gemini CLI, Codex and opencode"
    mkdir -p "$1"
    cp "$MATRIX/programs/package.json" "$1/"
    (cd "$1" && npm install --no-audit --no-fund --loglevel=error) || die "npm install failed"
}

# Builds the command line; sets CLI.
build_cli() {
    CLI=${MCPO_CLI:-${CARGO_TARGET_DIR:-$WORKSPACE/target}/debug/mcp-orchestrator}
    if [ -z "${MCPO_CLI:-}" ]; then
        (cd "$WORKSPACE" && cargo build --quiet -p mcp-orchestrator-cli --bin mcp-orchestrator) || die "the build failed"
    fi
}

# program HOME TOKEN NAME ARGS..: runs a client in a home folder, with the token in its variable unless that is empty.
# Node of the suites is first in its path, for programs that need a newer one than the machine has.
program() {
    local variables=(HOME="$1" XDG_CONFIG_HOME="$1/.config" XDG_DATA_HOME="$1/.data" XDG_CACHE_HOME="$1/.cache"
        XDG_STATE_HOME="$1/.state" PATH="$(dirname "$NODE"):$PATH" NO_COLOR=1 CI=1 GEMINI_CLI_TRUST_WORKSPACE=true
        DISABLE_AUTOUPDATER=1 OPENCODE_DISABLE_AUTOUPDATE=1)
    [ -z "$2" ] || variables+=(MCP_ORCHESTRATOR_TOKEN="$2")
    (cd "$1" && env "${variables[@]}" timeout 120 "$PROGRAMS/node_modules/.bin/$3" "${@:4}" </dev/null 2>&1)
}

# reads WHO HOME TOKEN PATTERN NAME ARGS..: the client's output matches.
reads() {
    local said
    said=$(program "$2" "$3" "${@:5}") || true
    if grep -qE "$4" <<<"$said"; then
        pass "$1: ${*:5}"
    else
        fail "$1: ${*:5}: no '$4' in: $(tr -s '\n ' ' ' <<<"$said" | cut -c1-600)"
    fi
}

# written STATE CONFIG HOME TOKEN WHO: `connect --write` for the four clients, and what each makes of it.
written() {
    local state=$1 home=$3 token=$4 who=$5 client
    for client in claude-code gemini codex opencode; do
        mkdir -p "$home/$client"
        if ! HOME=$home/$client XDG_CONFIG_HOME=$home/$client/.config "$CLI" connect "$client" --write \
            --config "$2" --state-dir "$state" >"$WORK/connect.log" 2>&1; then
            fail "$who: connect $client --write: $(cat "$WORK/connect.log")"
        fi
    done
    reads "$who" "$home/claude-code" "$token" "mcp-orchestrator: $URL .*(Connected|✓|✔)" claude mcp list
    reads "$who" "$home/claude-code" "$token" "URL: $URL" claude mcp get mcp-orchestrator
    reads "$who" "$home/gemini" "$token" "mcp-orchestrator: $URL .*Connected" gemini mcp list
    reads "$who" "$home/codex" "$token" "mcp-orchestrator .*$URL" codex mcp list
    reads "$who" "$home/codex" "$token" "url: $URL" codex mcp get mcp-orchestrator
    reads "$who" "$home/opencode" "$token" "mcp-orchestrator.*connected" opencode mcp list
}

# refused HOME WHO: with no token in the variable, none of them connects.
refused() {
    reads "$2" "$1/claude-code" '' "mcp-orchestrator: $URL .*(Failed|Needs|✗|✘|!)" claude mcp list
    reads "$2" "$1/gemini" '' "mcp-orchestrator: $URL .*Disconnected" gemini mcp list
    reads "$2" "$1/opencode" '' "mcp-orchestrator.*(failed|needs)" opencode mcp list
}

connect_clients() {
    step "files that connect writes"
    build_cli
    matrix_programs
    local config token server
    server='{ "command": ["'$NODE'", "'$NPM'/node_modules/@modelcontextprotocol/server-memory/dist/index.js"] }'
    config=$WORK/open.json
    printf '{ "servers": { "memory": %s } }\n' "$server" >"$config"
    gateway open "$config"
    written "$WORK/open.state" "$config" "$WORK/home/open" '' "without tokens"
    config=$WORK/tokens.json
    printf '{ "auth": { "local": false, "tokens": true }, "servers": { "memory": %s } }\n' "$server" >"$config"
    gateway tokens "$config"
    token=$("$CLI" token create --user ann --config "$config" --state-dir "$WORK/tokens.state") || die "no token"
    written "$WORK/tokens.state" "$config" "$WORK/home/tokens" "$token" "with a token"
    refused "$WORK/home/tokens" "without the token that is wanted"
}
