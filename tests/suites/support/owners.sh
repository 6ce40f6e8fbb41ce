# Whose credential a call is made with, by the command line and a client: two users, a team, the organization, on processes
# and as pods. Who rotates, removes, leaves a team.

declare -A TOKEN_OF

# own COMMAND..: the operator's command line, beside the gateway. as WHO COMMAND..: that of somebody with a token.
own() { timeout 90 "$MCPO_CLI" "$@" --config "$WORK/owners-$OWNED.yaml" --state-dir "$WORK/owners-$OWNED.state"; }
as() { MCP_ORCHESTRATOR_TOKEN=${TOKEN_OF[$1]} timeout 90 "$MCPO_CLI" "${@:2}" --gateway "$ENDPOINT"; }

# value NAME: a secret of this run and place. sum NAME: what the server answers who was given it.
value() { printf 'canary-%s-%s-%s' "$STAMP" "$OWNED" "$1"; }
sum() { value "$1" | sha256sum | cut -d' ' -f1; }

# puts WHO OWNER SERVER NAME [rotate]: somebody installs a value.
puts() {
    secret "$(value "$4")"
    GIVEN=$(value "$4") as "$1" "${5:-install}" "$3" --owner "$2" --value token=env:GIVEN >>"$TOLD/$OWNED.installs" 2>&1 ||
        fail "$OWNED: $1 cannot ${5:-install} $3 for $2: $(tail -2 "$TOLD/$OWNED.installs")"
}

# asks_who WHO PATH TOOL: the hash that the server answers, or why there is none.
asks_who() {
    MCPO_TOKEN=${TOKEN_OF[$1]} timeout 60 node "$SUITES/support/cluster-call.mjs" "$ENDPOINT$2" "$3" '{"name":"TOKEN"}' 2>&1 |
        tee -a "$TOLD/$OWNED.answers"
}
# acts WHO PATH TOOL NAME: the answer is by this value.
acts() { says "$OWNED: $1 by $3 of $2 acts as $4" "$(sum "$4")" asks_who "$1" "$2" "$3"; }

# shared NAME: an operator puts a value into the cluster.
shared() {
    secret "$(value "$1")"
    value "$1" >"$WORK/wiki.value"
    kubectl -n "$OWNED_SPACE" create secret generic wiki --from-file=token="$WORK/wiki.value" --dry-run=client -o yaml |
        kubectl apply -f - >/dev/null
    rm "$WORK/wiki.value"
}
acts_soon() { [ "$(asks_who "$1" "$2" "$3")" = "$(sum "$4")" ]; }

# The instances that run, `server owner` each; the pods that run, by server.
runs() {
    own ps --output json | node -e '
        const all = JSON.parse(require("fs").readFileSync(0, "utf8")).filter(({ state }) => state === "running");
        console.log(all.map(({ server, owner }) => `${server} ${owner}`).sort().join(", "));'
}
running() { [ "$(runs)" = "$1" ] && { [ "$OWNED" != pods ] || [ "$(pods "$OWNED_SPACE" | wc -l)" -eq "$(tr ',' '\n' <<<"$1" | wc -l)" ]; }; }
# run WHAT WANTED: soon these instances run and no others, as pods one each.
run() {
    soon 60 running "$2" && pass "$OWNED: $1: $2" ||
        fail "$OWNED: $1: $(runs), not $2; pods: $(pods "$OWNED_SPACE" | tr '\n' ' ')"
}

people() {
    local who
    for who in ann bob mia; do TOKEN_OF[$who]=$(own token create --user "$who" 2>/dev/null); done
    TOKEN_OF[team]=$(own token create --team ops 2>/dev/null)
    TOKEN_OF[root]=$(own token create --user root --admin 2>/dev/null)
    secret "${TOKEN_OF[@]}"
}

# owners PLACE [OPTION..]: the whole story against the gateway that runs at ENDPOINT.
owners() {
    people
    says "$OWNED: who has none is told so" auth_required asks_who ann /mcp digest
    puts ann me jira ann-1
    puts mia team/ops jira ops-1
    acts ann /mcp digest ann-1
    acts bob /mcp digest ops-1
    acts team /mcp digest ops-1
    run "one instance an owner" "jira team/ops, jira user/ann"

    puts bob me jira bob-1
    puts bob me servicenow bob-servicenow
    puts root organization github acme-1
    acts bob /mcp/ops servicenow__digest bob-servicenow
    acts bob /mcp/ops github__digest acme-1
    acts bob /mcp/ops jira__digest bob-1
    acts bob /mcp/ops jira-ops__digest ops-1
    acts ann /mcp digest ann-1
    run "the picture, and what is ann's beside it" "github organization, jira team/ops, jira user/ann, jira user/bob, servicenow user/bob"
    says "$OWNED: to who is not of the team the gateway does not exist" "error: HTTP 404: \"no answer\"" asks_who ann /mcp/ops jira-ops__digest

    puts bob me jira bob-2 rotate
    acts bob /mcp/ops jira__digest bob-2
    run "a rotated credential replaces its instance alone" \
        "github organization, jira team/ops, jira user/ann, jira user/bob, servicenow user/bob"
    tells "$OWNED" "$WORK/owners-$OWNED.state" ops jira__digest bob ann eve

    as bob uninstall jira >>"$TOLD/$OWNED.installs" 2>&1 || fail "$OWNED: bob cannot uninstall"
    run "what is removed ends at once" "github organization, jira team/ops, jira user/ann, servicenow user/bob"
    acts bob /mcp digest ops-1
    as mia uninstall jira --owner team/ops >>"$TOLD/$OWNED.installs" 2>&1 || fail "$OWNED: mia cannot uninstall"
    says "$OWNED: nobody else's takes the place of a pinned one" auth_required asks_who bob /mcp/ops jira-ops__digest
    says "$OWNED: and a team's token finds none" auth_required asks_who team /mcp digest

    puts mia team/ops jira ops-2
    acts bob /mcp digest ops-2
    sed -i 's/members: \[bob\]/members: [eve]/' "$WORK/owners-$OWNED.yaml"
    own reload >>"$TOLD/$OWNED.installs" 2>&1 || fail "$OWNED: no reload"
    says "$OWNED: who has left the team has its credential no longer" auth_required asks_who bob /mcp digest
    says "$OWNED: nor its gateway" "error: HTTP 404: \"no answer\"" asks_who bob /mcp/ops jira-ops__digest
    acts ann /mcp digest ann-1
    run "what is the others' goes on" "github organization, jira team/ops, jira user/ann, servicenow user/bob"

    shared wiki-1
    acts ann /mcp/all digest wiki-1
    acts bob /mcp/all digest wiki-1
    run "one instance for all, by a Secret that the configuration names" \
        "github organization, jira team/ops, jira user/ann, servicenow user/bob, wiki organization"
    shared wiki-2
    soon 60 acts_soon ann /mcp/all digest wiki-2 && pass "$OWNED: a changed Secret is a new instance" ||
        fail "$OWNED: the changed Secret is not taken up"
    kubectl -n "$OWNED_SPACE" delete secret wiki >/dev/null
    GIVEN='{"name": "wiki", "key": "token"}' as bob install jira --value token=env:GIVEN >>"$TOLD/$OWNED.installs" 2>&1 || true
    says "$OWNED: what somebody installs names nothing" "$(printf '%s' '{"name": "wiki", "key": "token"}' | sha256sum | cut -d' ' -f1)" \
        asks_who bob /mcp digest
}

# owned PLACE LINE [OPTION..]: starts a gateway with this line of configuration and these options, and tells the story.
owned() {
    OWNED=$1
    step "whose credential: $OWNED"
    { cat "$SUITES/support/owners.yaml"; printf '%s\n' "$2"; } >"$WORK/owners-$OWNED.yaml"
    watched "owners-$OWNED"
    PATH=$WORK/bin:$PATH start "owners-$OWNED" "$MCPO_CLI" up --config "$WORK/owners-$OWNED.yaml" "${WATCHED[@]}" \
        --state-dir "$WORK/owners-$OWNED.state" --listen 127.0.0.1:0 "${@:3}"
    ENDPOINT=$URL
    owners
}
