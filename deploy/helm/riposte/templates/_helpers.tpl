{{- define "riposte.name" -}}
{{- if contains "riposte" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-riposte" (.Release.Name | trunc 42 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "riposte.selector" -}}
app.kubernetes.io/name: riposte
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of pods that tell metrics, besides. */}}
{{- define "riposte.metricsSelector" -}}
riposte/metrics: 'true'
{{- end }}

{{- define "riposte.labels" -}}
{{ include "riposte.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "riposte.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* What every pod's metadata has. */}}
{{- define "riposte.podMetadata" -}}
labels:
  {{- include "riposte.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- if and .root.Values.metrics.enabled (ne .component "retention") }}
  {{- include "riposte.metricsSelector" .root | nindent 2 }}
  {{- end }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Processes read their configuration when they start.
  checksum/config: {{ toYaml .root.Values.config | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What every pod's spec has, besides its containers and volumes. */}}
{{- define "riposte.podSpec" -}}
serviceAccountName: {{ include "riposte.name" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "riposte.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
  {{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "riposte.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Of every process. */}}
{{- define "riposte.databaseEnv" -}}
- name: MONGODB_URI
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
- name: RIPOSTE_CONFIG
  value: /etc/riposte/riposte.config.yaml
{{- end }}

{{/* Of API and workers. */}}
{{- define "riposte.env" -}}
{{ include "riposte.databaseEnv" .servers.mongodb }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .servers.redis.name }}
      key: {{ .servers.redis.key }}
- name: RIPOSTE_SECRETS_KEY_FILE
  value: /run/riposte-keys/secrets.keys
- name: RIPOSTE_LOG_LEVEL
  value: {{ .root.Values.logLevel }}
{{- if .root.Values.metrics.enabled }}
- name: RIPOSTE_METRICS_HOST
  value: 0.0.0.0
- name: RIPOSTE_METRICS_PORT
  value: {{ .root.Values.metrics.port | toString | quote }}
- name: RIPOSTE_WORKER_METRICS_PORT
  value: {{ .root.Values.metrics.port | toString | quote }}
{{- end }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "riposte.configMount" -}}
- name: config
  mountPath: /etc/riposte
  readOnly: true
{{- end }}

{{- define "riposte.configVolume" -}}
- name: config
  configMap:
    name: {{ include "riposte.name" . }}
{{- end }}

{{/* Secrets of these names, as files. */}}
{{- define "riposte.fileMounts" -}}
{{- range . }}
- name: secret-{{ . }}
  mountPath: /run/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "riposte.fileVolumes" -}}
{{- range . }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* Of API and workers. */}}
{{- define "riposte.mounts" -}}
{{ include "riposte.configMount" . }}
- name: keys
  mountPath: /run/riposte-keys
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- include "riposte.fileMounts" .Values.secretFiles }}
{{- end }}

{{- define "riposte.volumes" -}}
{{ include "riposte.configVolume" . }}
- name: keys
  secret:
    secretName: {{ .Values.secrets.keys.name }}
    defaultMode: 0440
    items:
      - key: {{ .Values.secrets.keys.key }}
        path: secrets.keys
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- include "riposte.fileVolumes" .Values.secretFiles }}
{{- end }}

{{/*
What autoscaling goes by. What waits at a paused instance waits for people, so workers would not help it. Every API process tells
of the same backlog, so theirs are not added up. Where all are paused it is 0, and where nothing is told it is nothing, not 0.
*/}}
{{- define "riposte.waiting" -}}
{{- $selected := printf "{namespace=%q}" .Release.Namespace -}}
{{- $backlog := printf "max by (provider_instance) (%s%s)" .Values.autoscaling.metric $selected -}}
{{- $paused := printf "max by (provider_instance) (riposte_provider_instance_paused%s)" $selected -}}
sum({{ $backlog }} unless on (provider_instance) {{ $paused }} == 1) or 0 * sum({{ $backlog }})
{{- end }}
