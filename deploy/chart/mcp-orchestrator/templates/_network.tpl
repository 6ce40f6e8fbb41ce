{{/* Peers that may call the gateway. */}}
{{- define "mcp-orchestrator.callers" -}}
{{- $client := dict "mcp-orchestrator.dev/client" (include "mcp-orchestrator.fullname" .) -}}
{{- $peers := list (dict "podSelector" (dict "matchLabels" $client)) -}}
{{- if or .Values.ingress.enabled .Values.route.enabled -}}
{{- $spaces := .Values.networkPolicy.proxyNamespaces | default list -}}
{{- if .Values.route.enabled -}}
{{- range .Values.route.parentRefs -}}
{{- $spaces = append $spaces (default $.Release.Namespace .namespace) -}}
{{- end -}}
{{- end -}}
{{- with $spaces | uniq | sortAlpha -}}
{{- $named := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" . -}}
{{- $space := dict "matchExpressions" (list $named) -}}
{{/* Not the servers, should a Gateway be in the release's own namespace. */ -}}
{{- $others := dict "key" "app.kubernetes.io/component" "operator" "NotIn" "values" (list "mcp-server") -}}
{{- $peers = append $peers (dict "namespaceSelector" $space "podSelector" (dict "matchExpressions" (list $others))) -}}
{{- end -}}
{{- end -}}
{{- if ne .Values.service.type "ClusterIP" -}}
{{- range .Values.service.loadBalancerSourceRanges | default (list "0.0.0.0/0" "::/0") -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) -}}
{{- end -}}
{{- end -}}
{{- concat $peers (.Values.networkPolicy.from | default list) | toYaml -}}
{{- end -}}

{{/* Peers that may read metrics. */}}
{{- define "mcp-orchestrator.scrapers" -}}
{{- $peers := .Values.networkPolicy.metricsFrom | default list -}}
{{- with .Values.metrics -}}
{{- if or .service.enabled .podMonitor.enabled .serviceMonitor.enabled -}}
{{- $prometheus := dict "matchLabels" (dict "app.kubernetes.io/name" "prometheus") -}}
{{- $peers = append $peers (dict "namespaceSelector" dict "podSelector" $prometheus) -}}
{{- end -}}
{{- end -}}
{{- $peers | toYaml -}}
{{- end -}}

{{/* Ports of the addresses that the gateway itself connects to, in `config` and `env`. */}}
{{- define "mcp-orchestrator.remotePorts" -}}
{{- $said := list (omit (.Values.config | default dict) "servers") .Values.env -}}
{{- range dig "servers" dict (.Values.config | default dict) -}}
{{- if . -}}
{{- $said = append $said (pick . "url" "oauth") -}}
{{- end -}}
{{- end -}}
{{- $ports := list 443 -}}
{{- range regexFindAll "https?://[^/?#\"\\s]+" ($said | toJson) -1 -}}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- $ports = append $ports (int (default (ternary 443 80 (hasPrefix "https:" .)) $port)) -}}
{{- end -}}
{{- range .Values.networkPolicy.remote.ports -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- $ports | uniq | toYaml -}}
{{- end -}}

{{- define "mcp-orchestrator.tcp" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (dict "protocol" "TCP" "port" (int .)) -}}
{{- end -}}
{{- $ports | toYaml -}}
{{- end -}}
