{{/* The configuration: defaults that `config` may override, `config`, and the keys that the chart decides. */}}
{{- define "mcp-orchestrator.config" -}}
{{- mergeOverwrite (include "mcp-orchestrator.defaults" . | fromYaml) (deepCopy (.Values.config | default dict)) (include "mcp-orchestrator.own" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* The part that requires a restart: all but servers and gateways. */}}
{{- define "mcp-orchestrator.fixed" -}}
{{- omit (include "mcp-orchestrator.config" . | fromYaml) "servers" "gateways" | toYaml | sha256sum -}}
{{- end -}}

{{- define "mcp-orchestrator.defaults" -}}
{{- $config := dict -}}
{{- if and (include "mcp-orchestrator.reachable" .) (not (hasKey (.Values.config | default dict) "auth")) -}}
{{- $_ := set $config "auth" (dict "tokens" true "first_admin" "secret") -}}
{{- end -}}
{{- with include "mcp-orchestrator.publicHosts" . | fromYamlArray -}}
{{- $_ := set $config "public_url" (printf "%s://%s" (include "mcp-orchestrator.publicScheme" $) (first .)) -}}
{{- end -}}
{{- with include "mcp-orchestrator.proxyNetworks" . | fromYamlArray -}}
{{- if not (hasKey ($.Values.config | default dict) "trusted_proxies") -}}
{{- $_ := set $config "trusted_proxies" . -}}
{{- end -}}
{{- end -}}
{{- $config | toYaml -}}
{{- end -}}

{{/* An ingress without `tls` is plain HTTP. A route's Gateway is expected to terminate TLS. */}}
{{- define "mcp-orchestrator.publicScheme" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.tls) -}}http{{- else -}}https{{- end -}}
{{- end -}}

{{- define "mcp-orchestrator.proxyNetworks" -}}
{{- if not (or .Values.ingress.enabled .Values.route.enabled) -}}
[]
{{- else if .Values.proxyNetworks -}}
{{- .Values.proxyNetworks | toYaml -}}
{{- else if .Values.networkPolicy.enabled -}}
{{- list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "100.64.0.0/10" "fc00::/7" | toYaml -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{- define "mcp-orchestrator.own" -}}
{{- $selector := include "mcp-orchestrator.selector" . | fromYaml -}}
{{- $kubernetes := dict "name" (include "mcp-orchestrator.fullname" .) "gateway" $selector -}}
{{- if .Values.baseImage -}}
{{- $_ := set $kubernetes "base_image" .Values.baseImage -}}
{{- end -}}
{{- $own := dict "backend" "kubernetes" "kubernetes" $kubernetes "listen" .Values.listen "log" .Values.log -}}
{{- $_ := set $own "metrics_listen" (printf "0.0.0.0:%d" (int .Values.metricsPort)) -}}
{{/* A separate folder in the volume, whose root every process of the pod may write to. */ -}}
{{- $_ := set $own "state_dir" "/var/lib/mcp-orchestrator/state" -}}
{{- with concat (include "mcp-orchestrator.hosts" . | fromYamlArray) (dig "allowed_hosts" list (.Values.config | default dict) | default list) | uniq -}}
{{- $_ := set $own "allowed_hosts" . -}}
{{- end -}}
{{- if include "mcp-orchestrator.tlsSecret" . -}}
{{- $_ := set $own "tls" (dict "certificate" "/etc/mcp-orchestrator-tls/tls.crt" "key" "/etc/mcp-orchestrator-tls/tls.key") -}}
{{- end -}}
{{- $own | toYaml -}}
{{- end -}}
