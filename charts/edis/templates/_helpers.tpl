{{- define "edis.name" -}}
{{ .Release.Name }}-operator
{{- end -}}

{{- define "edis.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}

{{- define "edis.selector" -}}
app.kubernetes.io/name: edis-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "edis.labels" -}}
{{ include "edis.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "edis.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "edis.name" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}
