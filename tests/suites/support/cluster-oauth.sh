# Two gateways and one store in the cluster: tokens of a protected server, renewed once for both.

step "two gateways on one store"
npm_tools
python_tools
space tokens
TOKENS_SPACE=$SPACE
account "$TOKENS_SPACE" tokens
IDP_TOKEN_LIFE=12 IDP_CONTROL=1 start idp "$NODE" "$SUITES/support/idp.mjs" ann
ISSUER=$URL
start protected "$PYTHON" "$SUITES/support/protected.py" "$ISSUER"
mkdir "$WORK/two"
MCPO_TOKEN='' timeout 200 "$NODE" "$SUITES/support/oauth-two.mjs" "$MCPO_GATEWAY" "$WORK/two" "$URL" "$ISSUER" \
    "$WORK/kubeconfig-tokens" 2>"$WORK/two.log" | tee "$WORK/two.said" || true
count "$WORK/two.said" "two gateways"

step "where these tokens stand"
kubectl -n "$TOKENS_SPACE" get "$kinds" --ignore-not-found -o json >"$WORK/two.objects" 2>>"$WORK/kubectl.log"
node "$SUITES/support/cluster-canary.mjs" "$WORK/two/secrets" "$(stored "$TOKENS_SPACE" | sed 's,.*/,secret/,' | paste -sd'|' -)" \
    <"$WORK/two.objects" >"$WORK/canary.said" 2>&1 || true
cat "$WORK/canary.said"
count "$WORK/canary.said" "the search"
cat "$WORK/two/secrets" >>"$SECRETS"
rm "$WORK/two/secrets"
unseen "what two gateways told=$WORK/two/told" "what they logged and kept=$WORK/two" "what the run said=$WORK/two.said" \
    "the audit log of the cluster=$MCPO_AUDIT"
