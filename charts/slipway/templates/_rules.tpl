{{/* The rights in a namespace: the list of docs/operating.md, and what tests hold it against. Secrets are read by name and never listed. */}}
{{- define "slipway.rules" -}}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get{{ if .Values.rbac.eventFiles }}, create, patch, delete{{ end }}]
# The ledger.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, update, delete]
# Which role a workload's ServiceAccount has.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [slipway.dev]
  resources: [scaledjobs, eventjobs, triggerauthentications{{ if .Values.allNamespaces }}, clustertriggerauthentications{{ end }}]
  verbs: [get, list, watch]
{{- if .Values.admin.write }}
# What is asked for through the status page is an annotation.
- apiGroups: [slipway.dev]
  resources: [eventjobs]
  verbs: [patch]
{{- end }}
- apiGroups: [slipway.dev]
  resources: [scaledjobs/status, eventjobs/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.cronJobsInPlace }}
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [cronjobs/status]
  verbs: [patch]
{{- end }}
{{- if .Values.rbac.kedaInPlace }}
- apiGroups: [keda.sh]
  resources: [scaledjobs]
  verbs: [get, list, watch, patch]
- apiGroups: [keda.sh]
  resources: [scaledjobs/status]
  verbs: [patch]
- apiGroups: [keda.sh]
  resources: [triggerauthentications{{ if .Values.allNamespaces }}, clustertriggerauthentications{{ end }}]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
