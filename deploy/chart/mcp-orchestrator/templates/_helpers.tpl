{{- define "mcp-orchestrator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Also the orchestrator's name, which stands on all objects of its servers. */}}
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

{{- define "mcp-orchestrator.labels" -}}
{{ include "mcp-orchestrator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "mcp-orchestrator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-orchestrator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "mcp-orchestrator.port" -}}
{{- regexFind "[0-9]+$" .Values.listen -}}
{{- end -}}

{{/* The configuration, with what the chart decides. */}}
{{- define "mcp-orchestrator.config" -}}
{{- mergeOverwrite (include "mcp-orchestrator.who" . | fromYaml) (deepCopy .Values.config) (include "mcp-orchestrator.own" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* What of it a running gateway does not take up: servers and gateways it does. */}}
{{- define "mcp-orchestrator.fixed" -}}
{{- omit (include "mcp-orchestrator.config" . | fromYaml) "servers" "gateways" | toYaml | sha256sum -}}
{{- end -}}

{{/* Whether other pods reach it. */}}
{{- define "mcp-orchestrator.reachable" -}}
{{- if not (or (hasPrefix "127." .Values.listen) (hasPrefix "localhost:" .Values.listen) (hasPrefix "[::1]:" .Values.listen)) -}}
true
{{- end -}}
{{- end -}}

{{/* Who may call, where `config` says nothing of it. */}}
{{- define "mcp-orchestrator.who" -}}
{{- if and (include "mcp-orchestrator.reachable" .) (not (hasKey .Values.config "auth")) -}}
auth: {tokens: true, first_admin: secret}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* The names under which it is asked. */}}
{{- define "mcp-orchestrator.hosts" -}}
{{- $name := include "mcp-orchestrator.fullname" . -}}
{{- $hosts := list -}}
{{- if .Values.service.enabled -}}
{{- $space := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts = list $name $space (printf "%s.svc" $space) (printf "%s.svc.cluster.local" $space) -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = append $hosts .Values.ingress.host -}}
{{- end -}}
{{- concat $hosts (default (list) .Values.config.allowed_hosts) | uniq | toYaml -}}
{{- end -}}

{{- define "mcp-orchestrator.own" -}}
{{- $selector := include "mcp-orchestrator.selector" . | fromYaml -}}
{{- $kubernetes := dict "name" (include "mcp-orchestrator.fullname" .) "gateway" $selector -}}
{{- if .Values.baseImage -}}
{{- $_ := set $kubernetes "base_image" .Values.baseImage -}}
{{- end -}}
{{- $own := dict "backend" "kubernetes" "kubernetes" $kubernetes "listen" .Values.listen "log" .Values.log -}}
{{- $_ := set $own "metrics_listen" (printf "0.0.0.0:%d" (int .Values.metricsPort)) -}}
{{/* Of its own in the volume, which everybody of the pod may write. */ -}}
{{- $_ := set $own "state_dir" "/var/lib/mcp-orchestrator/state" -}}
{{- with include "mcp-orchestrator.hosts" . | fromYamlArray -}}
{{- $_ := set $own "allowed_hosts" . -}}
{{- end -}}
{{- $own | toYaml -}}
{{- end -}}
