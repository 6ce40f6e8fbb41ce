# Whose credential a call is made with, on processes and as pods: with the store of credentials in the cluster.

space owners
OWNED_SPACE=$SPACE
account "$OWNED_SPACE" owners
# A Secret of the cluster may be named where servers are processes too.
owned processes "credentials: {store: local}
kubernetes: {kubeconfig: $WORK/kubeconfig-owners}"
stop "$PID"

owned pods 'credentials: {store: kubernetes}
kubernetes: {name: owners}' --backend kubernetes --kubeconfig "$WORK/kubeconfig-owners"

step "where these secrets stand"
kubectl -n "$OWNED_SPACE" get "$kinds" --ignore-not-found -o json >"$WORK/owners.objects" 2>>"$WORK/kubectl.log"
kept=$(stored "$OWNED_SPACE" | sed 's,.*/,,' | paste -sd'|' -)
grep -v '^mcpo_' "$SECRETS" >"$WORK/owners.values"
node "$SUITES/support/cluster-canary.mjs" "$WORK/owners.values" "secret/(mcp-(jira|github|servicenow|wiki)-[0-9a-f]*|$kept)" \
    <"$WORK/owners.objects" >"$WORK/canary.said" 2>&1 || true
cat "$WORK/canary.said"
count "$WORK/canary.said" "the search"
# No token stands anywhere: what is kept of it is a hash.
grep '^mcpo_' "$SECRETS" >"$WORK/owners.tokens"
node "$SUITES/support/canary.mjs" "$WORK/owners.tokens" "a cluster's objects=$WORK/owners.objects" >"$WORK/canary.said" 2>&1 || true
cat "$WORK/canary.said"
count "$WORK/canary.said" "the search"
for pod in $(kubectl -n "$OWNED_SPACE" get pods -o name); do kubectl -n "$OWNED_SPACE" logs "$pod"; done >"$TOLD/pods.logged" 2>&1
stop "$PID"
unseen "what gateways and callers were told=$TOLD" "the logs at trace=$WORK/owners-processes.log" "the logs of a gateway with pods=$WORK/owners-pods.log" \
    "an audit=$WORK/owners-processes.audit" "the other audit=$WORK/owners-pods.audit" \
    "a sealed store=$WORK/owners-processes.state" "a state directory=$WORK/owners-pods.state" \
    "the audit log of the cluster=$MCPO_AUDIT"
