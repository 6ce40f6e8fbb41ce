# What the suite `cluster` does with a cluster: namespaces, ways in, and looks at what is there.

STAMP=$(printf '%s-%04x' "$$" "$RANDOM")
SPACES=()

# space NAME: a namespace of this run that admits restricted pods only, with what the servers' pods need. Sets SPACE.
space() {
    SPACE=mcpo-$1-$STAMP
    SPACES+=("$SPACE")
    kubectl create namespace "$SPACE" >/dev/null
    kubectl label namespace "$SPACE" pod-security.kubernetes.io/enforce=restricted >/dev/null
    kubectl -n "$SPACE" create configmap suite-programs --from-file="$WORK/programs" >/dev/null
    kubectl -n "$SPACE" create secret generic suite-token --from-literal=token="$CANARY" >/dev/null
}

drop_spaces() {
    [ "${#SPACES[@]}" -eq 0 ] || kubectl delete namespace --wait=false "${SPACES[@]}" >/dev/null 2>&1 || true
}

# soon SECONDS COMMAND..: until the command succeeds; fails where it does not in time.
soon() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.25
    done
}

# forward SPACE DEPLOYMENT: a way to the gateway's own loopback. Sets URL.
forward() {
    local log=$WORK/forward-$1.log
    : >"$log"
    kubectl -n "$1" port-forward "deploy/$2" :8080 >"$log" 2>&1 &
    FORWARD=$!
    STARTED+=("$FORWARD")
    soon 30 grep -q '^Forwarding from 127' "$log" || die "no way to $2: $(tail -3 "$log")"
    URL=http://127.0.0.1:$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$log" | head -1)/mcp
}

# account SPACE NAME: a service account of a gateway outside of the cluster, with the Role and `pods/portforward`; its way is
# in $WORK/kubeconfig-NAME.
account() {
    local way=$WORK/kubeconfig-$2
    helm template "$2" "$CHART" --namespace "$1" --set fullnameOverride="$2" \
        --show-only templates/role.yaml --show-only templates/serviceaccount.yaml | kubectl apply -f - >/dev/null
    kubectl -n "$1" create role forward --verb=get,create --resource=pods/portforward >/dev/null
    kubectl -n "$1" create rolebinding forward --role=forward --serviceaccount="$1:$2" >/dev/null
    cp "$KUBECONFIG" "$way"
    chmod 600 "$way"
    kubectl --kubeconfig "$way" config set-credentials "$2" --token="$(kubectl -n "$1" create token "$2" --duration=1h)" >/dev/null
    kubectl --kubeconfig "$way" config set-context --current --user="$2" --namespace="$1" >/dev/null
}

# ready SPACE DEPLOYMENT: waits for the gateway.
ready() {
    kubectl -n "$1" rollout status "deploy/$2" --timeout=90s >"$WORK/rollout.log" 2>&1 && return
    kubectl -n "$1" get pods >&2
    kubectl -n "$1" logs "deploy/$2" --tail=5 >&2 || true
    die "the gateway does not become ready: $(tail -1 "$WORK/rollout.log")"
}

# admin SPACE NAME: from now on clients show the token of the first admin of this orchestrator.
admin() {
    MCPO_TOKEN=$(kubectl -n "$1" get secret "$2-first-admin" -o 'jsonpath={.data.token}' | base64 -d)
    export MCPO_TOKEN
    [[ $MCPO_TOKEN == mcpo_* ]] && pass "$2 has made its first admin" || fail "there is no token of a first admin of $2"
}

# session NAME: the client's session against URL, in $WORK/NAME.json; it must be that of the processes.
session() {
    local record=$WORK/$1.json
    if ! timeout 120 node "$SUITES/support/cluster-session.mjs" "$URL" "$record" >"$WORK/session-$1.log" 2>&1; then
        fail "$1: the session ends early: $(tail -1 "$WORK/session-$1.log")"
    elif [ "$1" = processes ]; then
        local told
        told=$(grep -c '"result"' "$record")
        [ "$told" -gt 30 ] && pass "$1: a session with $told results" || fail "$1: only $told results"
    elif cmp -s "$WORK/processes.json" "$record"; then
        pass "$1: the same session, byte for byte, as on processes"
    else
        fail "$1: the session differs: $(diff "$WORK/processes.json" "$record" | head -8 | tr '\n' ' ')"
    fi
}

call() { timeout 60 node "$SUITES/support/cluster-call.mjs" "$URL/base" "$@"; }

# says WHAT WANTED COMMAND..: the command's output is that.
says() {
    local what=$1 wanted=$2 said
    shift 2
    said=$("$@" 2>&1) || true
    [ "$said" = "$wanted" ] && pass "$what" || fail "$what: '$(printf '%s' "$said" | head -c 300)', not '$wanted'"
}

kinds=$(kubectl api-resources --namespaced --verbs=list -o name | paste -sd, -)

# Every object of a namespace that is not the cluster's own or this suite's, one KIND/NAME a line.
objects() {
    local kinds
    kinds=$(kubectl api-resources --namespaced --verbs=list -o name | grep -v '^events' | paste -sd, -)
    kubectl -n "$1" get "$kinds" --ignore-not-found --no-headers -o custom-columns=KIND:.kind,NAME:.metadata.name 2>>"$WORK/kubectl.log" |
        sed 's/  */\//' | grep -vxE 'ConfigMap/(kube-root-ca.crt|suite-programs)|Secret/suite-token|ServiceAccount/default|(PodMetrics)/.*' | sort
}

# left SPACE OBJECT..: nothing but these is left.
left() {
    local space=$1 wanted
    shift
    wanted=$(printf '%s\n' "$@" | grep -v '^$' | sort || true)
    soon 60 same_objects "$space" "$wanted"
}
same_objects() { [ "$(objects "$1")" = "$2" ]; }

# Pods of servers: name, UID and restarts of each.
pods() {
    kubectl -n "$1" get pods -l app.kubernetes.io/component=mcp-server --field-selector=status.phase=Running \
        -o 'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}{"\n"}{end}' | sort
}

# deployed SPACE SERVER: the names of its Deployments.
deployed() { kubectl -n "$1" get deploy -l "app.kubernetes.io/component=mcp-server,app.kubernetes.io/name=$2" -o name; }

# ends SPACE ACCOUNT: the program of `python` ends, and what is left of its pod is deleted by that account: that right is
# used nowhere else. The next start may take the pod over before, so it is tried again.
ends() { soon 120 deletes_pod "$@" || fail "$2 deletes no pod after the end of its program"; }
deletes_pod() {
    call python__end >/dev/null 2>&1 || true
    soon 10 deleted_pod "$@"
}
deleted_pod() { grep -F "\"system:serviceaccount:$1:$2\"" "$MCPO_AUDIT" | grep -F '"verb":"delete"' | grep -qF '"resource":"pods"'; }

# stored SPACE: the Secrets that keep records, one KIND/NAME a line.
stored() { kubectl -n "$1" get secret -l app.kubernetes.io/component=credential -o name | sed 's/^secret/Secret/'; }

# audit SPACE ACCOUNT [RIGHT..]: what the account did is what its Roles allow; these rights it need not use. What it does
# last, as after the end of a program, may take a moment.
audit() {
    kubectl -n "$1" get roles -o json >"$WORK/roles-$1.json"
    soon 20 judged "$@" || true
    cat "$WORK/audit.said"
    count "$WORK/audit.said" "the audit"
}
judged() {
    node "$SUITES/support/cluster-audit.mjs" "$MCPO_AUDIT" "system:serviceaccount:$1:$2" "${@:3}" \
        <"$WORK/roles-$1.json" >"$WORK/audit.said" 2>&1
}
