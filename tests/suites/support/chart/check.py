"""Renders the chart and verifies the result:

    check.py --chart DIR --config-schema FILE --crd FILE... --helm COMMAND...

Each manifest is validated strictly, against the API of every supported version of Kubernetes and the resource
definitions in the --crd files. Ends with `N passed, N failed`.
"""
import argparse
import json
import os
import subprocess
import sys

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36"]
HERE = os.path.dirname(os.path.abspath(__file__))
counts = {True: 0, False: 0}


def verdict(holds, what, detail=""):
    counts[bool(holds)] += 1
    print(f"  {'ok   ' if holds else 'FAIL '} {what}{'' if holds or not detail else ': ' + str(detail)}")


class Strict(yaml.SafeLoader):
    """Refuses a key that occurs twice, as the API server does."""


def mapping(loader, node):
    keys = [key.value for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.YAMLError(f"{key} occurs twice, {node.start_mark}")
    return loader.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


class Helm:
    def __init__(self, command, chart):
        self.command, self.chart = command.split(), chart

    def run(self, verb, *args, kube="1.31"):
        name = ["x"] if verb == "template" else []
        line = ["env", *self.command, verb, *name, self.chart, "--namespace", "ns", "--kube-version", f"{kube}.0", *args]
        return subprocess.run(line, capture_output=True, text=True)

    def objects(self, *args, kube="1.31"):
        done = self.run("template", *args, kube=kube)
        if done.returncode:
            raise SystemExit(f"helm template {' '.join(args)}: {done.stderr}")
        return [one for one in yaml.load_all(done.stdout, Strict) if one]


def one(objects, kind, end=""):
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(end)]
    assert len(found) == 1, f"{kind} *{end}: {[each['metadata']['name'] for each in found]}"
    return found[0]


def config(objects):
    return yaml.load(one(objects, "ConfigMap", "-config")["data"]["config.yaml"], Strict)


# Manifests

def closed(schema):
    """The schema with unknown members refused, as a strict API server refuses them."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    open_ = made.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in made
    if isinstance(made.get("properties"), dict) and made.get("type") == "object" and not open_:
        made["additionalProperties"] = False
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None)
    return made


def definitions(files):
    known = {}
    for file in files:
        with open(file) as text:
            # Go allows flags within an expression, Python only at its start.
            text = text.read().replace("pattern: ^(?i)", "pattern: (?i)^")
            for crd in yaml.safe_load_all(text):
                if not crd or crd["kind"] != "CustomResourceDefinition":
                    continue
                spec = crd["spec"]
                for version in spec["versions"]:
                    schema = closed(version["schema"]["openAPIV3Schema"])
                    schema["properties"]["metadata"] = {"type": "object"}
                    known[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return known


def invalid(objects, kube, crds):
    problems = []
    for each in objects:
        kind, api = each["kind"], each["apiVersion"]
        try:
            if (api, kind) in crds:
                jsonschema.validate(each, crds[api, kind])
            else:
                kubernetes_validate.validate(each, kube, strict=True)
        except Exception as error:
            problems.append(f"{kind}: {getattr(error, 'message', error)} at {list(getattr(error, 'path', []))}")
    return problems


# Values

def leaves(schema, before=()):
    for name, described in schema["properties"].items():
        if isinstance(described.get("properties"), dict):
            yield from leaves(described, (*before, name))
        else:
            yield (*before, name)


def at(values, path):
    for name in path:
        if not isinstance(values, dict) or name not in values:
            return None
        values = values[name]
    return values


# A switch that is on by default, and whose other position the facts below cover.
SWITCHES = {"service.enabled", "networkPolicy.enabled", "serviceAccount.create", "rbac.create"}

REFUSED = [
    ("a misspelt key of the configuration", {"config": {"server": {}}}, "server"),
    ("a misspelt key of a server", {"config": {"servers": {"a": {"comand": "x"}}}}, "comand"),
    ("a misspelt key deep in the configuration", {"config": {"auth": {"issuers": [{"issuer": "https://a", "claim": {}}]}}}, "claim"),
    ("a key of the configuration with a value of another type", {"config": {"servers": []}}, "servers"),
    ("an unknown choice in the configuration", {"config": {"servers": {"a": {"command": "x", "isolation": "none"}}}}, "isolation"),
    ("a list of teams where names belong", {"config": {"teams": ["a"]}}, "teams"),
    ("a misspelt value", {"ingres": {"enabled": True}}, "ingres"),
    ("a misspelt value in a section", {"tls": {"secret": "x"}}, "secret"),
    ("a misspelt key of an issuer reference", {"tls": {"certificate": {"create": True, "issuerRef": {"names": "x"}}}}, "names"),
    ("a port out of range", {"service": {"port": 70000}}, "port"),
    ("a network without a length", {"proxyNetworks": ["10.0.0.0"]}, "proxyNetworks"),
    ("a digest that is none", {"image": {"digest": "latest"}}, "digest"),
    ("no port of the API server", {"networkPolicy": {"apiServer": {"ports": []}}}, "ports"),
    ("an ingress without a host", {"ingress": {"enabled": True}}, "ingress.host"),
    ("an ingress without a Service", {"ingress": {"enabled": True, "host": "a.b"}, "service": {"enabled": False}}, "service.enabled"),
    ("a route without a Gateway", {"route": {"enabled": True, "hostnames": ["a.b"]}}, "route.parentRefs"),
    ("a route without a Service", {"route": {"enabled": True, "parentRefs": [{"name": "a"}]}, "service": {"enabled": False}}, "service.enabled"),
    ("a certificate without an issuer", {"tls": {"certificate": {"create": True}}}, "issuerRef"),
    ("a Service for a loopback listener", {"listen": "127.0.0.1:8080"}, "loopback"),
]


def values(*changes):
    """Arguments for values, each written as JSON."""
    for key, value in changes:
        yield from ("--set-json", f"{key}={json.dumps(value)}")


INGRESS = list(values(("ingress", {"enabled": True, "host": "mcp.example.com"})))
ROUTE = list(values(("route", {"enabled": True, "parentRefs": [{"name": "g", "namespace": "edge"}], "hostnames": ["*.example.com", "mcp.example.com"]})))
TLS = list(values(("ingress.tls", [{"hosts": ["mcp.example.com"], "secretName": "s"}])))
BALANCER = list(values(("service.type", "LoadBalancer")))
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]


def addresses(helm):
    for what, args, url, proxies in [
        ("without an ingress", [], None, None),
        ("an ingress without TLS", INGRESS, "http://mcp.example.com", PRIVATE),
        ("an ingress with TLS", INGRESS + TLS, "https://mcp.example.com", PRIVATE),
        ("a route, by its first full host", ROUTE, "https://mcp.example.com", PRIVATE),
        ("named proxies", ROUTE + list(values(("proxyNetworks", ["10.1.0.0/16"]))), "https://mcp.example.com", ["10.1.0.0/16"]),
        ("without a policy nobody is trusted", INGRESS + list(values(("networkPolicy.enabled", False))), "http://mcp.example.com", None),
        ("the configuration's own", INGRESS + list(values(("config.public_url", "https://a.b/c"), ("config.trusted_proxies", []))), "https://a.b/c", []),
    ]:
        said = config(helm.objects(*args))
        got = (said.get("public_url"), said.get("trusted_proxies"))
        verdict(got == (url, proxies), f"public address and proxies: {what}", got)
    hosts = config(helm.objects(*ROUTE))["allowed_hosts"]
    verdict("mcp.example.com" in hosts and "*.example.com" not in hosts, "hosts of a route are allowed", hosts)


def policies(helm):
    def rules(*args):
        return one(helm.objects(*args), "NetworkPolicy")["spec"]

    spec = rules()
    verdict(spec["policyTypes"] == ["Ingress", "Egress"], "the policy covers both directions")
    client = {"podSelector": {"matchLabels": {"mcp-orchestrator.dev/client": "x-mcp-orchestrator"}}}
    verdict(spec["ingress"] == [{"ports": [{"port": "http"}], "from": [client]}], "by default only labelled pods may call", spec["ingress"])
    verdict(all(rule.get("from") for args in ([], INGRESS, ROUTE, BALANCER) for rule in rules(*args)["ingress"]), "no rule admits everyone by its silence")
    verdict(all(rule.get("to") or rule.get("ports") for rule in spec["egress"]), "no egress rule opens everything", spec["egress"])
    ports = {(port["protocol"], port["port"]) for rule in spec["egress"] for port in rule.get("ports", [])}
    wanted = {("UDP", 53), ("TCP", 53), ("TCP", 443), ("TCP", 6443)}
    verdict(wanted <= ports, "names and the API server are reachable", ports)
    instances = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "mcp-server", "mcp-orchestrator.dev/orchestrator": "x-mcp-orchestrator"}}}
    verdict({"to": [instances]} in spec["egress"], "instances are reachable on every port")

    def remote(*args):
        return [port["port"] for port in rules(*args)["egress"][3]["ports"]]

    servers = {"a": {"url": "http://tools:8080/mcp"}, "b": {"url": "https://[2001:db8::1]:9443/mcp"}, "c": {"url": "http://plain/mcp"}, "d": {"url": "https://e/mcp"}}
    got = remote(*values(("config.servers", servers)))
    verdict(sorted(got) == [80, 443, 8080, 9443], "ports of remote servers are open", got)
    got = remote(*values(("config.auth", {"issuers": [{"issuer": "https://idp:8443/x"}]}), ("config.public_url", "https://a")))
    verdict(got == [443, 8443], "ports of issuers are open", got)
    got = remote(*values(("env", [{"name": "HTTPS_PROXY", "value": "http://proxy:3128/"}])))
    verdict(got == [443, 3128], "ports of proxies are open", got)
    got = remote(*values(("config.servers", {"a": {"command": ["x", "http://a:7777"]}})))
    verdict(got == [443], "addresses in arguments of servers open nothing", got)

    got = remote(*values(("config.servers", None)))
    verdict(got == [443], "a configuration without servers renders", got)

    def spaces(*args):
        peers = rules(*args)["ingress"][0]["from"]
        return [space for peer in peers for each in peer.get("namespaceSelector", {}).get("matchExpressions", []) for space in each["values"]]

    verdict("ingress-nginx" in spaces(*INGRESS) and "edge" not in spaces(*INGRESS), "ingress controllers may call")
    verdict("edge" in spaces(*ROUTE), "the Gateway's namespace may call", spaces(*ROUTE))
    peers = rules(*BALANCER)["ingress"][0]["from"]
    verdict({"ipBlock": {"cidr": "0.0.0.0/0"}} in peers, "what a load balancer exposes may call", peers)
    peers = rules(*BALANCER, *values(("service.loadBalancerSourceRanges", ["192.0.2.0/24"])))["ingress"][0]["from"]
    verdict({"ipBlock": {"cidr": "192.0.2.0/24"}} in peers and {"ipBlock": {"cidr": "0.0.0.0/0"}} not in peers, "from its networks only", peers)
    scraped = rules(*values(("metrics.podMonitor.enabled", True)))["ingress"]
    verdict(len(scraped) == 2 and scraped[1]["ports"] == [{"port": "metrics"}], "a monitor opens the metrics to Prometheus", scraped)
    without = helm.objects(*values(("networkPolicy.enabled", False)))
    verdict(not [each for each in without if each["kind"] == "NetworkPolicy"], "the policy can be left out")


def notices(helm, crds):
    """Verifies the verifier: an unknown member is reported, in built-in kinds and in those of definitions."""
    every = helm.objects("--values", f"{HERE}/every.yaml")
    for kind in ("Deployment", "NetworkPolicy", "HTTPRoute", "Certificate", "PodMonitor", "ServiceMonitor", "PrometheusRule"):
        changed = one(every, kind)
        changed["spec"]["unknownMember"] = True
        verdict(len(invalid([changed], "1.31", crds)) == 1, f"an unknown member is noticed: {kind}")


def pod(helm):
    every = helm.objects("--values", f"{HERE}/every.yaml", "--set", "existingConfig=")
    deployment = one(every, "Deployment")
    template = deployment["spec"]["template"]
    spec, labels = template["spec"], template["metadata"]["labels"]
    gateway = spec["containers"][0]
    selector = deployment["spec"]["selector"]["matchLabels"]
    verdict(all(labels.get(key) == value for key, value in selector.items()), "labels of values do not break the selector", labels)
    verdict(labels["team"] == "platform" and labels["tier"] == "edge", "the pod has the common and its own labels")
    missing = [each["kind"] for each in every if each["metadata"].get("labels", {}).get("team") != "platform"]
    verdict(sorted(missing) == ["ConfigMap", "PodDisruptionBudget"], "all objects have the common labels but extra ones", missing)
    verdict([each["name"] for each in spec["containers"]] == ["gateway", "shipper"], "extra containers follow the gateway")
    verdict([each["name"] for each in spec["volumes"]] == ["config", "state", "tls", "certificates"], "extra volumes follow the chart's")
    verdict(gateway["image"].startswith("registry.example.com/gateway:9.9@sha256:"), "an image by tag and digest", gateway["image"])
    verdict(gateway["livenessProbe"].get("tcpSocket") and "httpGet" not in gateway["livenessProbe"], "the handler of a probe can be replaced", gateway["livenessProbe"])
    verdict(gateway["startupProbe"]["periodSeconds"] == 2 and gateway["startupProbe"]["failureThreshold"] == 120, "a key of a probe can be changed")
    kept = ["initContainers", "affinity", "tolerations", "nodeSelector", "topologySpreadConstraints", "priorityClassName", "runtimeClassName", "dnsConfig", "dnsPolicy", "hostAliases"]
    verdict(not [key for key in kept if not spec.get(key)], "everything set for the pod is in it")
    removed = helm.objects("--set-json", "livenessProbe=null", "--set-json", "startupProbe=null", "--set-json", "readinessProbe=null")
    gateway = one(removed, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    verdict(not [key for key in gateway if key.endswith("Probe")], "probes can be removed")


def nothing(helm, schema, crds):
    """A value without content (`ingress:` in a file) renders valid manifests, or the schema names it."""
    def paths(described, before=""):
        for name, each in described["properties"].items():
            yield f"{before}{name}"
            if isinstance(each.get("properties"), dict):
                yield from paths(each, f"{before}{name}.")

    wrong, served = [], 0
    for path in [*paths(schema), "config.servers", "config.gateways", "config.allowed_hosts"]:
        done = helm.run("template", *values((path, None)))
        served += not done.returncode
        named = f"missing property '{path.split('.')[-1]}'" in done.stderr or f"at '/{path.replace('.', '/')}': got null" in done.stderr
        if done.returncode and not named:
            wrong.append(f"{path}: {done.stderr.strip().splitlines()[0]}")
        elif not done.returncode:
            wrong += [f"{path}: {problem}" for problem in invalid([one for one in yaml.load_all(done.stdout, Strict) if one], "1.31", crds)]
    verdict(not wrong and served > 60, f"{served} values may be null, others are named", wrong)


def tls(helm):
    made = helm.objects(*values(("tls.certificate", {"create": True, "issuerRef": {"name": "ca"}})), *ROUTE)
    certificate, deployment = one(made, "Certificate")["spec"], one(made, "Deployment")
    volume = [each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "tls"][0]
    verdict(volume["secret"]["secretName"] == certificate["secretName"] == "x-mcp-orchestrator-tls", "cert-manager's Secret is mounted", volume)
    verdict({"mcp.example.com", "x-mcp-orchestrator.ns.svc"} <= set(certificate["dnsNames"]), "the certificate has all names", certificate["dnsNames"])
    verdict(config(made)["tls"]["key"] == "/etc/mcp-orchestrator-tls/tls.key", "the configuration names its files")
    service, route = one(made, "Service")["spec"]["ports"][0], one(made, "HTTPRoute")["spec"]["rules"][0]
    verdict((service["port"], service["appProtocol"]) == (443, "https"), "the Service is HTTPS", service)
    verdict(route["backendRefs"][0]["port"] == 443 and route["timeouts"] == {"request": "0s"}, "the route knows its port, and does not cut streams", route)
    plain = one(helm.objects(), "Service")["spec"]["ports"][0]
    verdict((plain["port"], plain["appProtocol"]) == (80, "http"), "without TLS it is HTTP")
    kinds = {each["kind"] for each in helm.objects()}
    verdict(not kinds & {"PodDisruptionBudget", "Certificate", "HTTPRoute", "Ingress", "PodMonitor", "ServiceMonitor", "PrometheusRule"}, "nothing optional is on by default", kinds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--chart", required=True)
    parser.add_argument("--config-schema", required=True)
    parser.add_argument("--crd", action="append", default=[])
    parser.add_argument("--helm", action="append", required=True)
    given = parser.parse_args()
    every = ["--values", f"{HERE}/every.yaml"]

    with open(f"{given.chart}/values.schema.json") as schema, open(f"{given.chart}/values.yaml") as defaults, open(every[1]) as set_:
        schema, defaults, set_ = json.load(schema), yaml.safe_load(defaults), yaml.safe_load(set_)
    for path in leaves(schema):
        name = ".".join(path)
        value = at(set_, path)
        if value is None or (value == at(defaults, path) and name not in SWITCHES):
            verdict(False, f"every.yaml sets {name}")
    verdict(True, "every value is set once")

    crds = definitions(given.crd)
    with open(given.config_schema) as file:
        config_schema = json.load(file)
    renderings = [("defaults", []), ("every value", every), ("every value but existingConfig", [*every, "--set", "existingConfig="]), ("ingress", INGRESS), ("route", ROUTE)]
    for command in given.helm:
        helm = Helm(command, given.chart)
        print(f"\n== {command}")
        done = helm.run("lint", "--strict", "--quiet")
        verdict(not done.returncode, "lint", done.stdout + done.stderr)
        for kube in KUBERNETES:
            for what, args in renderings:
                problems = invalid(helm.objects(*args, kube=kube), kube, crds)
                verdict(not problems, f"Kubernetes {kube}: {what}", problems)
        for what, args in renderings:
            if what != "every value":
                problems = [error.message for error in jsonschema.Draft202012Validator(config_schema).iter_errors(config(helm.objects(*args)))]
                verdict(not problems, f"the rendered configuration is valid: {what}", problems)
        for what, changed, names in REFUSED:
            done = helm.run("template", *values(*changed.items()))
            verdict(done.returncode and names in done.stderr, f"refused: {what}", done.stderr or "it was not")
        notices(helm, crds)
        # The same templates, and the slowest of all.
        if command == given.helm[0]:
            nothing(helm, schema, crds)
        for facts in (addresses, policies, pod, tls):
            facts(helm)
    print(f"\n{counts[True]} passed, {counts[False]} failed")
    sys.exit(1 if counts[False] else 0)


main()
