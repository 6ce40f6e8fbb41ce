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

# tells NAME STATE_DIR GATEWAY TOOL PRINCIPAL..: keeps what a gateway that runs tells of itself, and all that any process was
# started with.
tells() { "${NODE:-node}" "$SUITES/support/tells.mjs" "$TOLD" "$@" 2>"$WORK/tells.log" || fail "$1 tells nothing: $(tail -3 "$WORK/tells.log")"; }

# unseen WHAT=PATH..: no secret of the run stands in these places.
unseen() {
    "${NODE:-node}" "$SUITES/support/canary.mjs" "$SECRETS" "$@" >"$WORK/canary.said" 2>&1 || true
    cat "$WORK/canary.said"
    count "$WORK/canary.said" "the search"
}
