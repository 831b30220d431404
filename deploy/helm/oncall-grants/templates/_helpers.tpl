{{- define "oncall-grants.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: a StatefulSet adds 11 to its name, and makes a label of that. */}}
{{- define "oncall-grants.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "oncall-grants.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "oncall-grants.selector" -}}
app.kubernetes.io/name: {{ include "oncall-grants.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "oncall-grants.labels" -}}
{{ include "oncall-grants.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "oncall-grants.metadata" -}}
name: {{ include "oncall-grants.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "oncall-grants.labels" . | nindent 2 }}
{{- end -}}

{{- define "oncall-grants.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How many, refused where they would fight for one file. A number that --set gives is a float to Go. */}}
{{- define "oncall-grants.replicas" -}}
{{- $sqlite := eq .Values.store.kind "sqlite" -}}
{{- $default := ternary 1 2 $sqlite -}}
{{- $replicas := ternary $default (.Values.replicas | int) (kindIs "invalid" .Values.replicas) -}}
{{- if and $sqlite (gt $replicas 1) -}}
{{- fail (printf "replicas is %d, but store.kind is sqlite: one process owns that file. Set store.kind=postgres for more than one." $replicas) -}}
{{- end -}}
{{- $replicas -}}
{{- end -}}

{{- define "oncall-grants.pod" -}}
{{- $sqlite := eq .Values.store.kind "sqlite" -}}
metadata:
  labels:
    {{- include "oncall-grants.selector" . | nindent 4 }}
    {{- range $key, $value := .Values.podLabels }}
    {{- if has $key (list "app.kubernetes.io/name" "app.kubernetes.io/instance") }}
    {{- fail (printf "podLabels.%s would take the pod away from its Service; set nameOverride or another release name" $key) }}
    {{- end }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  annotations:
    {{- if not .Values.existingConfigMap }}
    # A changed configuration rolls the pods over to it.
    checksum/config: {{ .Values.config | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  # Longer than preStop and the end of the pass under way take.
  terminationGracePeriodSeconds: 45
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- if not $sqlite }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "oncall-grants.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    - name: oncall-grants
      image: {{ include "oncall-grants.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["serve", "--log-format", "json"]
      {{- if or $sqlite .Values.extraEnv }}
      env:
        {{- if $sqlite }}
        - name: ONCALL_GRANTS_STORE_URL
          value: sqlite:/var/lib/oncall-grants/oncall-grants.db
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      ports:
        - name: http
          containerPort: 8080
      # Up as soon as the store is open and its schema up to date.
      startupProbe:
        httpGet:
          path: /healthz
          port: http
          scheme: {{ .Values.scheme }}
        periodSeconds: 2
        failureThreshold: 60
      # Only whether the process lives: a store that is down is not mended by a restart.
      livenessProbe:
        httpGet:
          path: /healthz
          port: http
          scheme: {{ .Values.scheme }}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 3
      # Whether webhooks can be taken. An upstream that is down does not count.
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
          scheme: {{ .Values.scheme }}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      lifecycle:
        # Until every load balancer knows.
        preStop:
          sleep:
            seconds: 5
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/oncall-grants
          readOnly: true
        - name: secrets
          mountPath: /run/secrets/oncall-grants
          readOnly: true
        {{- if $sqlite }}
        - name: data
          mountPath: /var/lib/oncall-grants
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ default (include "oncall-grants.fullname" .) .Values.existingConfigMap }}
    - name: secrets
      secret:
        secretName: {{ .Values.existingSecret }}
        defaultMode: 0440
    {{- if and $sqlite .Values.store.volume.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.store.volume.existingClaim }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
