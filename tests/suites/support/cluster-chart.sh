# The gateway inside, by the chart: its session, policies on the wire, upgrades, the secret, uninstall.

step "inside, by the chart"
RELEASE=suite-mcp-orchestrator
{
    cat <<END
image: {repository: localhost/gateway, tag: suite}
baseImage: localhost/base:suite
env:
  - name: SUITE_TOKEN
    valueFrom: {secretKeyRef: {name: suite-token, key: token}}
log: {level: debug}
networkPolicy: {from: [{podSelector: {matchLabels: {suite: stranger}}}]}
config:
END
    sed 's/^/  /' "$WORK/servers.yaml"
} >"$WORK/values.yaml"
chart() { helm "$1" suite "$CHART" --namespace "$CHARTED" --values "$WORK/values.yaml" --wait --timeout 90s "${@:2}" >"$WORK/helm.log" 2>&1; }
helm lint --quiet --strict "$CHART" --values "$WORK/values.yaml" >"$WORK/lint.log" && pass "helm lint" || fail "helm lint: $(cat "$WORK/lint.log")"
chart install || { ready "$CHARTED" "$RELEASE"; die "helm install: $(tail -1 "$WORK/helm.log")"; }
forward "$CHARTED" "$RELEASE"
admin "$CHARTED" "$RELEASE"
session chart
says "the secret is in its server" "$(printf '%s' "$CANARY" | sha256sum | cut -d' ' -f1)" call npm__hash

# asks HOST [TOKEN]: the status that another pod gets from the gateway there, with this token.
asks() {
    kubectl -n "$CHARTED" exec stranger -c first -- python3 -c \
        $'import http.client, json, sys\nsaid = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "stranger", "version": "1"}}})\nheads = {"content-type": "application/json", "accept": "application/json, text/event-stream"}\nif len(sys.argv) > 2: heads["authorization"] = "Bearer " + sys.argv[2]\nasked = http.client.HTTPConnection(sys.argv[1], 80, timeout=10)\nasked.request("POST", "/mcp", said, heads)\nprint(asked.getresponse().status)' "$@"
}
says "by its Service nobody comes in without a token" 401 asks "$RELEASE.$CHARTED.svc"
says "and the first admin does" 200 asks "$RELEASE.$CHARTED.svc" "$MCPO_TOKEN"
reach() {
    kubectl -n "$CHARTED" exec stranger -c first -- python3 -c \
        $'import socket, sys\ntry: socket.create_connection((sys.argv[1], int(sys.argv[2])), 2.5); print("connected")\nexcept TimeoutError: print("no answer")' "$@"
}
closed() {
    local held=0
    kubectl -n "$CHARTED" label pod stranger suite=other --overwrite >/dev/null
    soon 20 refused || held=1
    kubectl -n "$CHARTED" label pod stranger suite=stranger --overwrite >/dev/null
    return "$held"
}
refused() { [ "$(reach "$RELEASE.$CHARTED.svc" 80)" = "no answer" ]; }
closed && pass "a pod without the label does not reach it" || fail "a pod without the label reaches the gateway"
open() { [ "$(asks "$RELEASE.$CHARTED.svc" 2>/dev/null)" = 401 ]; }
soon 20 open || fail "a pod with the label does not reach the gateway again"
says "a foreign name is refused" 403 asks "$RELEASE.$CHARTED.svc.cluster.local." "$MCPO_TOKEN"
logged() { kubectl -n "$CHARTED" logs "deploy/$RELEASE"; }
logged | grep -qF "$MCPO_TOKEN" && fail "the token stands in the gateway's log" || pass "the token does not stand in the gateway's log"

step "policies on the wire"
address() { kubectl -n "$CHARTED" get pods -l "app.kubernetes.io/name=$1,$2" -o 'jsonpath={.items[0].status.podIP}'; }
connect() { call "$1__connect" "{\"host\":\"$TARGET\",\"port\":$2}"; }
says "another pod may connect where no policy is in its way" connected reach "$TARGET" 8081
says "another pod does not reach a server" "no answer" reach "$(address two app.kubernetes.io/component=mcp-server)" 8080
says "a server reaches a network of its list" connected connect npm 8080
says "but no other port of it" "no answer" connect npm 8081
says "a name is found where a network is allowed" found call npm__find '{"name":"kubernetes.default.svc.cluster.local"}'
says "a server that may reach nothing does not" "no answer" connect python 8080

step "upgrades"
others() { pods "$CHARTED" | grep -v "^mcp-two"; }
gateway_pod() { kubectl -n "$CHARTED" get pods -l app.kubernetes.io/component=gateway -o 'jsonpath={.items[*].metadata.uid}'; }
before=$(pods "$CHARTED")
gateway_before=$(gateway_pod)
chart upgrade --set log.level=trace || fail "helm upgrade: $(tail -1 "$WORK/helm.log")"
[ "$(gateway_pod)" != "$gateway_before" ] && pass "a changed setting of the gateway starts it anew" || fail "the gateway did not start anew"
stop "$FORWARD"
forward "$CHARTED" "$RELEASE"
before_token=$MCPO_TOKEN
admin "$CHARTED" "$RELEASE"
[ "$MCPO_TOKEN" = "$before_token" ] && pass "the first admin is the same after a restart" || fail "there is another first admin"
session chart-upgraded
says "no server was touched by the upgrade" "$before" pods "$CHARTED"
[ "$(wc -l <<<"$before")" -eq 4 ] && ! grep -qv ' 0$' <<<"$before" && pass "four servers run, none was restarted" || fail "the pods before: $before"

gateway_before=$(gateway_pod)
two_before=$(deployed "$CHARTED" two)
chart upgrade --set log.level=trace --set config.servers.two.env.LEVEL=2 || fail "helm upgrade: $(tail -1 "$WORK/helm.log")"
# The kubelet brings a mounted ConfigMap up to date when it next looks at the pod, which a change of the pod makes it do.
kubectl -n "$CHARTED" annotate pods -l app.kubernetes.io/component=gateway suite/looked="$STAMP" >/dev/null
changed() { local now; now=$(deployed "$CHARTED" two); [ "$(wc -l <<<"$now")" -eq 1 ] && [ "$now" != "$two_before" ]; }
soon 90 changed && pass "a changed server is taken up, and its old objects go" || fail "the changed server: $(deployed "$CHARTED" two | tr '\n' ' ')"
says "without a restart of the gateway" "$gateway_before" gateway_pod
says "and no other server was touched" "$(grep -v '^mcp-two' <<<"$before")" others
session chart-changed
said=$(call python__end)
# Others call this instance too: its last lines may be theirs, and only an admin reads them.
[[ $said == error:* && $said == *"its log says more"* && $said != *"told to end"* ]] &&
    pass "the end of a shared program is told without its last lines" || fail "a program that ends: '$said'"
said=$(MCP_ORCHESTRATOR_TOKEN=$MCPO_TOKEN timeout 60 "$MCPO_CLI" logs python --gateway "${URL%/mcp}" 2>&1)
[[ $said == *"told to end"* ]] && pass "and an admin reads them in its log" || fail "the log of a program that ended: '$said'"
ends "$CHARTED" "$RELEASE"

step "the secret"
for place in "$OUTSIDE" "$CHARTED"; do
    kubectl -n "$place" get "$kinds" --ignore-not-found -o json 2>>"$WORK/kubectl.log" |
        node "$SUITES/support/cluster-canary.mjs" "$WORK/suite.canary" "secret/(suite-token|mcp-(one|npm)-[0-9a-f]*)" | tee "$WORK/canary.said" || true
    count "$WORK/canary.said" "the search"
    for pod in $(kubectl -n "$place" get pods -o name); do
        kubectl -n "$place" logs --all-containers "$pod" || true
    done >>"$WORK/pods.logged" 2>&1
done
[ "$(wc -l <"$WORK/pods.logged")" -gt 50 ] && [ -s "$WORK/outside.log" ] || fail "there are no logs to look at"
for log in "$WORK/pods.logged" "$WORK/outside.log" "$MCPO_AUDIT"; do
    grep -qF "$CANARY" "$log" && fail "it stands in $log" || pass "it does not stand in ${log##*/} ($(wc -l <"$log") lines)"
done

step "rights"
audit "$CHARTED" "$RELEASE"

step "uninstall"
stop "$FORWARD"
helm uninstall suite --namespace "$CHARTED" --wait >"$WORK/helm.log" 2>&1 || fail "helm uninstall: $(tail -1 "$WORK/helm.log")"
kept=$(stored "$CHARTED")
[ "$(wc -l <<<"$kept")" -eq 1 ] || fail "one token is stored, not: $kept"
left "$CHARTED" Pod/stranger "Secret/$RELEASE-state-key" "Secret/$RELEASE-first-admin" "$kept" &&
    pass "uninstall leaves the state key, the token and nothing else" ||
    fail "uninstall leaves: $(objects "$CHARTED" | tr '\n' ' ')"
says "purge removes them too, and says so" "$(printf 'removed secret %s\n' "${kept#Secret/}" "$RELEASE-first-admin" "$RELEASE-state-key" | sort)" \
    eval '"$MCPO_CLI" purge --yes --kubeconfig "$KUBECONFIG" --namespace "$CHARTED" --name "$RELEASE" | sort'
left "$CHARTED" Pod/stranger && pass "and nothing is left" || fail "purge leaves: $(objects "$CHARTED" | tr '\n' ' ')"
