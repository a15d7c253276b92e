{{/* What everything is called: the release, with the chart's name unless the release has it. */}}
{{- define "slipway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: selectors are made of them. */}}
{{- define "slipway.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "slipway.labels" -}}
{{- $own := dict
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- toYaml (merge (include "slipway.selector" . | fromYaml) $own .Values.commonLabels) -}}
{{- end -}}

{{/* metadata of an object: a dict with `at` (the root), `name`, and perhaps `namespace` ("" for none), `labels`, `annotations`. */}}
{{- define "slipway.metadata" -}}
{{- $at := .at -}}
name: {{ .name | quote }}
{{- $namespace := hasKey . "namespace" | ternary .namespace $at.Release.Namespace }}
{{- with $namespace }}
namespace: {{ . | quote }}
{{- end }}
labels: {{- toYaml (merge (include "slipway.labels" $at | fromYaml) (default dict .labels)) | nindent 2 }}
{{- with merge (dict) (default dict .annotations) $at.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "slipway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "slipway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "slipway.image" -}}
{{- $registry := default .Values.image.registry (default dict .Values.global).imageRegistry -}}
{{- $repository := empty $registry | ternary .Values.image.repository (printf "%s/%s" $registry .Values.image.repository) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that get a Role, as a JSON list: the first has the Lease, as the program has it. */}}
{{- define "slipway.namespaces" -}}
{{- if .Values.allNamespaces -}}
{{- if .Values.namespaces }}{{ fail "namespaces and allNamespaces exclude each other" }}{{ end -}}
[]
{{- else -}}
{{- default (list .Release.Namespace) .Values.namespaces | toJson -}}
{{- end -}}
{{- end -}}

{{/* Where the Lease lies: the same rule as in the program. */}}
{{- define "slipway.home" -}}
{{- default .Release.Namespace (first .Values.namespaces) -}}
{{- end -}}

{{/* Whether OpenShift is to choose user, group and fsGroup of the Pods: "true" or nothing. */}}
{{- define "slipway.openshift" -}}
{{- if or (eq .Values.openshift "Always") (and (eq .Values.openshift "Auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) -}}
true
{{- end -}}
{{- end -}}

{{/* A security context without what OpenShift chooses: a dict with `at` and `context`. */}}
{{- define "slipway.securityContext" -}}
{{- if include "slipway.openshift" .at -}}
{{- toYaml (omit .context "runAsUser" "runAsGroup" "fsGroup") -}}
{{- else -}}
{{- toYaml .context -}}
{{- end -}}
{{- end -}}

{{/* The Secret with a port's certificate, or nothing: a dict with `at`, `tls` (the values) and `port` (a word for its name). */}}
{{- define "slipway.tlsSecret" -}}
{{- if .tls.certManager.enabled -}}
{{- default (printf "%s-%s-tls" (include "slipway.fullname" .at) .port) .tls.secretName -}}
{{- else -}}
{{- .tls.secretName -}}
{{- end -}}
{{- end -}}

{{- define "slipway.kedaTls" -}}
{{- if .Values.keda.enabled }}{{ include "slipway.tlsSecret" (dict "at" . "tls" .Values.keda.tls "port" "keda") }}{{ end -}}
{{- end -}}
{{- define "slipway.eventsTls" -}}
{{- include "slipway.tlsSecret" (dict "at" . "tls" .Values.events.tls "port" "events") -}}
{{- end -}}

{{/* Refuses values that would only fail in the cluster. */}}
{{- define "slipway.check" -}}
{{- $ports := dict "events.port" .Values.events.port "health.port" .Values.health.port "keda.port" .Values.keda.port -}}
{{- if .Values.admin.enabled }}{{ $_ := set $ports "admin.port" .Values.admin.port }}{{ end -}}
{{- range $one, $port := $ports -}}
{{- range $other, $same := $ports -}}
{{- if and (ne $one $other) (eq (int $port) (int $same)) -}}
{{- fail (printf "%s and %s are both %d: each port of the Pod needs a number of its own" $one $other (int $port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $own := include "slipway.selector" . | fromYaml -}}
{{- $written := list "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels -}}
{{- range $label, $_ := $labels -}}
{{- if or (hasKey $own $label) (has $label $written) -}}
{{- fail (printf "%s: the label %s is the chart's own" $value $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $flags := dict "all-namespaces" "allNamespaces" "namespaces" "namespaces" "http" "events.port" "http-tls-cert" "events.tls" "http-tls-key" "events.tls"
  "health" "health.port" "grpc" "keda.port" "grpc-tls-cert" "keda.tls" "grpc-tls-key" "keda.tls" "grpc-client-ca" "keda.tls.clientCAKey"
  "admin" "admin.port" "admin-write" "admin.write" "admin-token-file" "admin.tokenSecretName"
  "cron-jobs-in-place" "rbac.cronJobsInPlace"
  "connections" "connections.secretName" "allow-address" "allowAddress" "allow-identity" "allowIdentity" "ledger-grace" "ledgerGrace"
  "shutdown-delay" "shutdownDelaySeconds" "drain-timeout" "drainSeconds" "log-format" "logFormat" "log" "log" -}}
{{- range .Values.extraArgs -}}
{{- $flag := . | trimPrefix "--" | splitList "=" | first -}}
{{- with get $flags $flag -}}
{{- fail (printf "extraArgs: --%s is set by the value %s" $flag .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would scrape each Pod twice: enable one" -}}
{{- end -}}
{{- range $value, $tls := dict "events.tls" .Values.events.tls "keda.tls" .Values.keda.tls -}}
{{- if and $tls.certManager.enabled (empty $tls.certManager.issuerRef.name) -}}
{{- fail (printf "%s.certManager.issuerRef.name is needed" $value) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.minAvailable .Values.podDisruptionBudget.maxUnavailable -}}
{{- fail "podDisruptionBudget: minAvailable and maxUnavailable exclude each other; set maxUnavailable to \"\"" -}}
{{- end -}}
{{- end -}}
