{{- define "riposte.name" -}}
{{- if contains "riposte" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-riposte" (.Release.Name | trunc 42 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "riposte.selector" -}}
app.kubernetes.io/name: riposte
app.kubernetes.io/instance: {{ .Release.Name }}
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

{{- define "riposte.env" -}}
- name: MONGODB_URI
  valueFrom:
    secretKeyRef:
      name: {{ .Values.secrets.mongodb.name }}
      key: {{ .Values.secrets.mongodb.key }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.secrets.redis.name }}
      key: {{ .Values.secrets.redis.key }}
- name: RIPOSTE_CONFIG
  value: /etc/riposte/riposte.config.yaml
- name: RIPOSTE_SECRETS_KEY_FILE
  value: /run/riposte-keys/secrets.keys
- name: RIPOSTE_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- if .Values.metrics.enabled }}
- name: RIPOSTE_METRICS_HOST
  value: 0.0.0.0
- name: RIPOSTE_METRICS_PORT
  value: {{ .Values.metrics.port | toString | quote }}
- name: RIPOSTE_WORKER_METRICS_PORT
  value: {{ .Values.metrics.port | toString | quote }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "riposte.mounts" -}}
- name: config
  mountPath: /etc/riposte
  readOnly: true
- name: keys
  mountPath: /run/riposte-keys
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- range .Values.secretFiles }}
- name: secret-{{ . }}
  mountPath: /run/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "riposte.volumes" -}}
- name: config
  configMap:
    name: {{ include "riposte.name" . }}
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
{{- range .Values.secretFiles }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}
