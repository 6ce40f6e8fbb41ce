{{- define "mcp-orchestrator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The full name is also the orchestrator's name, which is a label of all objects of its servers. */}}
{{- define "mcp-orchestrator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mcp-orchestrator.selector" -}}
app.kubernetes.io/name: {{ include "mcp-orchestrator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* The chart's own labels take precedence over commonLabels: selectors depend on them. */}}
{{- define "mcp-orchestrator.labels" -}}
{{- $own := include "mcp-orchestrator.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $own (.Values.commonLabels | default dict) | toYaml -}}
{{- end -}}

{{- define "mcp-orchestrator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-orchestrator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mcp-orchestrator.image" -}}
{{- .Values.image.repository -}}:{{- default .Chart.AppVersion .Values.image.tag -}}
{{- with .Values.image.digest -}}@{{- . -}}{{- end -}}
{{- end -}}

{{- define "mcp-orchestrator.port" -}}
{{- regexFind "[0-9]+$" .Values.listen -}}
{{- end -}}

{{- define "mcp-orchestrator.servicePort" -}}
{{- .Values.service.port | default (ternary 443 80 (ne "" (include "mcp-orchestrator.tlsSecret" .))) -}}
{{- end -}}

{{/* Whether other pods can reach the listener. */}}
{{- define "mcp-orchestrator.reachable" -}}
{{- if not (or (hasPrefix "127." .Values.listen) (hasPrefix "localhost:" .Values.listen) (hasPrefix "[::1]:" .Values.listen)) -}}
true
{{- end -}}
{{- end -}}

{{/* The Secret with the listener's certificate; empty without TLS. */}}
{{- define "mcp-orchestrator.tlsSecret" -}}
{{- if .Values.tls.secretName -}}
{{- .Values.tls.secretName -}}
{{- else if .Values.tls.certificate.create -}}
{{- include "mcp-orchestrator.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{/* The host names of the Service, the ingress and the route. Wildcards of a route are left out. */}}
{{- define "mcp-orchestrator.hosts" -}}
{{- $name := include "mcp-orchestrator.fullname" . -}}
{{- $hosts := list -}}
{{- if .Values.service.enabled -}}
{{- $space := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts = list $name $space (printf "%s.svc" $space) (printf "%s.svc.cluster.local" $space) -}}
{{- end -}}
{{- concat $hosts (include "mcp-orchestrator.publicHosts" . | fromYamlArray) | uniq | toYaml -}}
{{- end -}}

{{- define "mcp-orchestrator.publicHosts" -}}
{{- $hosts := list -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = append $hosts .Values.ingress.host -}}
{{- end -}}
{{- if .Values.route.enabled -}}
{{- range .Values.route.hostnames -}}
{{- if not (hasPrefix "*" .) -}}
{{- $hosts = append $hosts . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $hosts | toYaml -}}
{{- end -}}

{{- define "mcp-orchestrator.probes" -}}
{{- $probes := dict -}}
{{- range $probe := list "startupProbe" "readinessProbe" "livenessProbe" -}}
{{- with index $.Values $probe -}}
{{- $_ := set $probes $probe . -}}
{{- end -}}
{{- end -}}
{{- if $probes -}}{{- $probes | toYaml -}}{{- end -}}
{{- end -}}
