# The gateway on this machine, its servers as pods: by a service account that has the Role and `pods/portforward`.

step "on the cluster, from outside"
space outside
OUTSIDE=$SPACE
account "$OUTSIDE" outside
outside() {
    cp "$WORK/servers.yaml" "$WORK/outside.yaml"
    printf 'kubernetes: {name: outside, base_image: "localhost/base:suite"%s}\n' "$1" >>"$WORK/outside.yaml"
}
outside ""
NAMED=(--config "$WORK/outside.yaml" --state-dir "$WORK/outside.state" --backend kubernetes --kubeconfig "$WORK/kubeconfig-outside")
start outside "$MCPO_CLI" up "${NAMED[@]}" --listen 127.0.0.1:0 --log-level trace
GATEWAY_PID=$PID URL=$URL/mcp
session outside
says "a package runs by npx in the base image" "$(printf '%s' "$CANARY" | sha256sum | cut -d' ' -f1)" call npm__hash
says "a Python program runs in the base image" python3 call python__language

# A default for all pods is part of what each server is: what runs is replaced, what is new first.
before=$(deployed "$OUTSIDE" two)
outside ', defaults: {resources: {requests: {cpu: 20m}}}'
replaced() { [ -n "$(deployed "$OUTSIDE" two)" ] && [ "$(deployed "$OUTSIDE" two)" != "$before" ]; }
asks() {
    kubectl -n "$OUTSIDE" get deploy -l app.kubernetes.io/name=two \
        -o 'jsonpath={.items[*].spec.template.spec.containers[0].resources.requests.cpu}'
}
settled() { [ "$(asks)" = 20m ] && [ "$(deployed "$OUTSIDE" two)" != "$before" ]; }
soon 60 settled && pass "a changed default for all pods replaces those that run" ||
    fail "a changed default is not taken up: $(deployed "$OUTSIDE" two) asks for $(asks)"

# The end of a program is told with its last lines, and it starts again at the next call.
said=$(call python__end)
[[ $said == error:* && $said == *"told to end"* ]] && pass "a program that ends is told with its last line" ||
    fail "a program that ends: '$said'"
says "and starts again" python3 call python__language
ends "$OUTSIDE" outside

if "$MCPO_CLI" purge --yes "${NAMED[@]}" >"$WORK/purge.log" 2>&1; then
    fail "purge goes on beside a gateway"
elif grep -q "process $GATEWAY_PID" "$WORK/purge.log"; then
    pass "purge refuses beside a gateway, and says which"
else
    fail "purge beside a gateway says: $(cat "$WORK/purge.log")"
fi
ADMIN=(--kubeconfig "$KUBECONFIG" --namespace "$OUTSIDE" --name outside)
says "and beside one of another machine" \
    "mcp-orchestrator: lease outside in namespace $OUTSIDE is held by $(hostname):$WORK/outside.state: end that gateway first" \
    "$MCPO_CLI" purge --yes "${ADMIN[@]}"
# One that is killed gives nothing up: its Lease has to run out.
kill -KILL "$GATEWAY_PID"
wait "$GATEWAY_PID" 2>/dev/null || true

# Sealed ids and lists are kept in the state directory here, and in the cluster inside of it.
audit "$OUTSIDE" outside "get /secrets" "patch /configmaps"

"$MCPO_CLI" purge --yes "${ADMIN[@]}" >"$WORK/purge.log" 2>&1 || fail "purge: $(cat "$WORK/purge.log")"
left "$OUTSIDE" Role/forward RoleBinding/forward Role/outside RoleBinding/outside ServiceAccount/outside &&
    pass "purge leaves nothing of it ($(grep -c '^removed' "$WORK/purge.log") objects)" ||
    fail "purge leaves: $(objects "$OUTSIDE" | tr '\n' ' ')"
