# `quickstart` with stand-ins for kind and Docker: the cluster is there already, and it is this one.

step "quickstart"
mkdir -p "$WORK/quick/bin"
cp "$KUBECONFIG" "$WORK/quick/kubeconfig"
kubectl --kubeconfig "$WORK/quick/kubeconfig" config rename-context \
    "$(kubectl --kubeconfig "$WORK/quick/kubeconfig" config current-context)" kind-suite >/dev/null
printf '#!/bin/sh\n[ "$1 $2" != "get clusters" ] || echo suite\n' >"$WORK/quick/bin/kind"
printf '#!/bin/sh\n:\n' >"$WORK/quick/bin/docker"
chmod +x "$WORK/quick/bin/kind" "$WORK/quick/bin/docker"
SPACES+=(mcp-orchestrator)
quickstart() {
    KUBECONFIG=$WORK/quick/kubeconfig PATH=$WORK/quick/bin:$PATH "$MCPO_CLI" quickstart --name suite \
        --image localhost/gateway:suite "$@" 2>>"$WORK/quickstart.log"
}
kubectl get namespace mcp-orchestrator >/dev/null 2>&1 && die "there is a namespace mcp-orchestrator already: delete it"
says "quickstart deploys the gateway and says how to reach it" \
    "  kubectl --context kind-suite --namespace mcp-orchestrator port-forward deploy/mcp-orchestrator 8080" \
    eval 'quickstart | grep port-forward'
forward mcp-orchestrator mcp-orchestrator
admin mcp-orchestrator mcp-orchestrator
greet() { timeout 60 node "$SUITES/support/cluster-call.mjs" "$URL" greet '{"name":"Ann"}'; }
says "its own small server answers there" "Hello, Ann!" greet
gateway_of_it() { kubectl -n mcp-orchestrator get pods -l app.kubernetes.io/component=gateway -o 'jsonpath={.items[*].metadata.uid}'; }
before=$(gateway_of_it)
quickstart >/dev/null || fail "quickstart once more: $(tail -3 "$WORK/quickstart.log")"
says "once more it changes nothing" "$before" gateway_of_it
stop "$FORWARD"
