{{- define "headgate.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}{{ end }}
{{- end }}

{{- define "headgate.prefix" -}}{{ .Values.secrets.prefix | default (include "headgate.fullname" .) }}{{- end }}

{{/* What the templates know from the contracts: see deploy/chart.py. */}}
{{- define "headgate.known" -}}{{ .Files.Get "files/known.yaml" }}{{- end }}

{{/* The name by which people reach the gateway; empty if nobody said one. */}}
{{- define "headgate.public" -}}
{{- with .Values.edge }}{{ if .ingress.enabled }}{{ .ingress.host }}{{ else if and .route.enabled .route.hostnames }}{{ first .route.hostnames }}{{ end }}{{ end }}
{{- end }}

{{- define "headgate.image" -}}
{{- with .Values.image }}{{ required "image.repository must name the image that `make image` built, in your registry" .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{/* Takes root and component. */}}
{{- define "headgate.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- define "headgate.labels" -}}
{{ include "headgate.selector" . }}
app.kubernetes.io/part-of: headgate
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* What holds for one service: the defaults, and what it says otherwise. Takes root and name. */}}
{{- define "headgate.of" -}}
{{ mergeOverwrite (deepCopy .root.Values.defaults) (get .root.Values.services .name | default dict) | toYaml }}
{{- end }}

{{/* What every pod is: no root, no rights, no token. Takes root. */}}
{{- define "headgate.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
{{- define "headgate.container" -}}
image: {{ include "headgate.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{ include "headgate.confined" . }}
{{- end }}
{{- define "headgate.confined" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 10001
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Settings as environment; one that nobody reads, or that is secret, ends the rendering. Takes root, settings, known (names), whose. */}}
{{- define "headgate.settings" -}}
{{- $secret := (include "headgate.known" .root | fromYaml).secretSettings }}
{{- range $name, $value := .settings }}
{{- if has $name $secret }}{{ fail (printf "%s: %s is secret: put it into a Secret and name that in secretSettings" $.whose $name) }}{{ end }}
{{- if not (has $name $.known) }}{{ fail (printf "%s: %s is no setting that is read there; see docs/reference/settings.md" $.whose $name) }}{{ end }}
- name: {{ $name }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}
{{- define "headgate.common" -}}
- name: HEADGATE_NAMESPACE
  value: {{ .root.Values.busNamespace | quote }}
{{- if .root.Values.ca.configMap }}
- name: SSL_CERT_FILE
  value: /etc/headgate-ca/{{ .root.Values.ca.key }}
{{- end }}
{{- end }}

{{/* Volumes that come from outside, and where they are mounted. Takes root, component, files, secretSettings. */}}
{{- define "headgate.mounts" -}}
- {name: own, mountPath: /run/headgate, readOnly: true}
{{- if .secretSettings }}
- {name: settings, mountPath: /run/headgate-settings, readOnly: true}
{{- end }}
{{- if .files }}
- {name: files, mountPath: /etc/headgate, readOnly: true}
{{- end }}
{{- if .root.Values.ca.configMap }}
- {name: ca, mountPath: /etc/headgate-ca, readOnly: true}
{{- end }}
{{- end }}
{{- define "headgate.volumes" -}}
- name: own
  secret: {secretName: {{ include "headgate.prefix" .root }}-{{ .component }}, defaultMode: 0440}
{{- with .secretSettings }}
- name: settings
  projected:
    defaultMode: 0440
    sources:
      {{- range . }}
      - secret: {name: {{ . }}}
      {{- end }}
{{- end }}
{{- if .files }}
- name: files
  secret: {secretName: {{ .files }}, defaultMode: 0440}
{{- end }}
{{- if .root.Values.ca.configMap }}
- name: ca
  configMap: {name: {{ .root.Values.ca.configMap }}}
{{- end }}
{{- end }}
