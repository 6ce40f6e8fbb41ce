# The gateway inside, by `kubectl apply -k` with a kustomization of one's own.

step "inside, by the manifests"
space manifests
PLAIN=$SPACE
mkdir -p "$WORK/kustom"
cat >"$WORK/kustom/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: $PLAIN
resources: [$(realpath --relative-to="$(realpath "$WORK/kustom")" "$WORKSPACE/deploy/manifests")]
images: [{name: ghcr.io/mcp-orchestrator/gateway, newName: localhost/gateway, newTag: suite}]
patches:
  - path: config.yaml
  - target: {kind: Deployment, name: mcp-orchestrator}
    patch: |
      - op: add
        path: /spec/template/spec/containers/0/env
        value: [{name: SUITE_TOKEN, valueFrom: {secretKeyRef: {name: suite-token, key: token}}}]
END
{
    printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mcp-orchestrator-config, namespace: mcp-orchestrator}\ndata:\n  config.yaml: |\n'
    # All that the manifests say but the servers; then ours.
    sed -n '/^  config.yaml: |$/,/^---$/p' "$WORKSPACE/deploy/manifests/mcp-orchestrator.yaml" |
        sed -e '1d' -e '/^---$/d' -e '/^    servers: {}$/d' -e 's/^      name: mcp-orchestrator$/&\n      base_image: localhost\/base:suite/'
    sed 's/^/    /' "$WORK/servers.yaml"
} >"$WORK/kustom/config.yaml"
kubectl apply -k "$WORK/kustom" >"$WORK/apply.log" 2>&1 || die "kubectl apply -k: $(tail -3 "$WORK/apply.log")"
ready "$PLAIN" mcp-orchestrator
forward "$PLAIN" mcp-orchestrator
admin "$PLAIN" mcp-orchestrator
session manifests
says "the secret is in its server" "$(printf '%s' "$CANARY" | sha256sum | cut -d' ' -f1)" call npm__hash
stop "$FORWARD"
kubectl delete -k "$WORK/kustom" --wait=false >"$WORK/apply.log" 2>&1 || fail "kubectl delete -k: $(tail -1 "$WORK/apply.log")"
