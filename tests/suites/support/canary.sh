# The secrets of a suite's run, and the search for them in all that the run leaves. A suite that uses it starts its gateways
# with `watched`, names each secret by `secret`, asks a gateway by `tells` while it runs, and ends with `unseen`.

SECRETS=$WORK/secrets
TOLD=$WORK/told
mkdir -p "$TOLD"

# secret VALUE..: these are looked for.
secret() { printf '%s\n' "$@" >>"$SECRETS"; }

# watched NAME: options for a gateway that logs all it can, audits arguments too, and has metrics.
watched() {
    printf '{"log": {"level": "trace"}, "metrics_listen": "127.0.0.1:0", "audit": {"file": "%s", "arguments": true}}\n' \
        "$WORK/$1.audit" >"$WORK/$1.watched.json"
    WATCHED=(--config "$WORK/$1.watched.json")
}

# tells NAME STATE_DIR TOOL PRINCIPAL..: keeps what a gateway that runs tells of itself, and all that any process was started with.
tells() {
    local name=$1 state=$2 tool=$3 socket who metrics server
    shift 3
    socket=$state/control.sock
    [ ! -e "$state/control.path" ] || socket=$(cat "$state/control.path")
    asked() { curl -sS --max-time 20 --unix-socket "$socket" "http://localhost/v1/$1" "${@:2}"; }
    metrics=$(asked status | tee "$TOLD/$name.status" | grep -oE '"metrics_listen": *"[^"]+"' | grep -oE '[0-9.]+:[0-9]+') || metrics=''
    curl -sS --max-time 20 "http://$metrics/metrics" >"$TOLD/$name.metrics" || fail "$name tells no metrics"
    for who in "$@"; do
        asked explain -H 'content-type: application/json' \
            -d "{\"gateway\": \"${EXPLAINED:-default}\", \"principal\": \"$who\", \"tool\": \"$tool\"}"
    done >"$TOLD/$name.explain" 2>&1
    grep -q '"steps"' "$TOLD/$name.explain" || fail "$name explains nothing: $(head -c 300 "$TOLD/$name.explain")"
    for who in instances installations catalog tokens conflicts; do asked "$who"; done >"$TOLD/$name.lists" 2>&1
    for server in $(grep -oE '"server": *"[a-z0-9-]+"' "$TOLD/$name.lists" | grep -oE '[a-z0-9-]+"$' | tr -d '"' | sort -u); do
        asked "describe/$server"
        asked "servers/$server/logs" -H 'content-type: application/json' -d '{"tail": 1000}'
    done >>"$TOLD/$name.lists" 2>&1
    for who in /proc/[0-9]*/cmdline; do
        { tr '\0' ' ' <"$who"; echo; } 2>/dev/null || true
    done >"$TOLD/$name.arguments"
}

# unseen WHAT=PATH..: no secret of the run stands in what gateways told, or in these places.
unseen() {
    "${NODE:-node}" "$SUITES/support/canary.mjs" "$SECRETS" "what was told=$TOLD" "$@" >"$WORK/canary.said" 2>&1 || true
    cat "$WORK/canary.said"
    count "$WORK/canary.said" "the search"
}
