{{- define "skein.labels" -}}
app.kubernetes.io/name: skein
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "skein.meta" -}}
name: {{ .root.Release.Name }}-{{ .role }}
labels:
  {{- include "skein.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "skein.rolePort" -}}7002{{- end }}

{{/* skein.settings makes the settings of a role, as TOML. What the chart decides
comes last, and the schema keeps it out of the values. */}}
{{- define "skein.settings" -}}
{{- $v := .root.Values }}
{{- $all := merge (dict) (index $v .role).settings $v.settings }}
{{- range $key, $value := $all }}
{{ $key }} = {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ int64 $value }}{{ end }}
{{- end }}
data = "/var/lib/skein"
ops = "0.0.0.0:7070"
{{- if ne .role "mailbox" }}
http = "0.0.0.0:7080"
link = "0.0.0.0:7001"
drain_seconds = {{ int64 $v.drainSeconds }}
{{- if $v.tls.secret }}
tls_cert = "/etc/skein/tls/tls.crt"
tls_key = "/etc/skein/tls/tls.key"
{{- end }}
{{- end }}
{{- if ne .role "single" }}
cluster_secret = "/etc/skein/secret/cluster.secret"
store = {{ $v.store | quote }}
{{- if eq $v.store "redis" }}
redis = {{ required "redis.addresses: with store redis, where it is" $v.redis.addresses | quote }}
redis_replicas = {{ int64 $v.redis.replicas }}
{{- if $v.redis.passwordSecret }}
redis_password_file = "/etc/skein/redis/password"
{{- end }}
{{- else if eq .role "gateway" }}
mailbox = "{{ .root.Release.Name }}-mailbox:{{ include "skein.rolePort" . }}"
{{- end }}
{{- if eq .role "mailbox" }}
role_listen = "0.0.0.0:{{ include "skein.rolePort" . }}"
{{- end }}
{{- end }}
{{- end }}

{{/* skein.pod is the template of a role's pods. */}}
{{- define "skein.pod" -}}
{{- $v := .root.Values }}
{{- $embedded := or (eq .role "single") (and (eq .role "mailbox") (eq $v.store "pebble")) }}
metadata:
  labels:
    {{- include "skein.labels" . | nindent 4 }}
  annotations:
    # Pods are replaced when their settings change.
    checksum/settings: {{ include "skein.settings" . | sha256sum }}
    {{- with $v.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  # Variables like SKEIN_PORT would be taken for settings.
  enableServiceLinks: false
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ add $v.drainSeconds 30 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "skein.labels" . | nindent 10 }}
  containers:
    - name: skein
      image: "{{ $v.image.repository }}:{{ $v.image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [{{ ternary "serve" .role (eq .role "single") | quote }}, "--config", "/etc/skein/settings/skein.toml"]
      env:
        - name: POD_IP
          valueFrom:
            fieldRef:
              fieldPath: status.podIP
        # What other nodes of a shared store reach this one under.
        - name: SKEIN_ADVERTISE
          value: $(POD_IP)
      ports:
        {{- if ne .role "mailbox" }}
        - {name: http, containerPort: 7080}
        - {name: link, containerPort: 7001}
        {{- end }}
        {{- if eq .role "mailbox" }}
        - {name: role, containerPort: {{ include "skein.rolePort" . }}}
        {{- end }}
        - {name: ops, containerPort: 7070}
      # The probes ask /readyz and /healthz, for which the operations address wants
      # the operator's token: 'skein health' has it.
      startupProbe:
        exec: {command: ["/skein", "health", "--live", "--config", "/etc/skein/settings/skein.toml"]}
        periodSeconds: 2
        timeoutSeconds: 6
        failureThreshold: 150
      readinessProbe:
        exec: {command: ["/skein", "health", "--config", "/etc/skein/settings/skein.toml"]}
        periodSeconds: 5
        timeoutSeconds: 6
        failureThreshold: 2
      livenessProbe:
        exec: {command: ["/skein", "health", "--live", "--config", "/etc/skein/settings/skein.toml"]}
        periodSeconds: 10
        timeoutSeconds: 6
        failureThreshold: 6
      {{- if ne .role "mailbox" }}
      lifecycle:
        # Until nobody is sent here any more.
        preStop:
          sleep: {seconds: 3}
      {{- end }}
      resources:
        {{- toYaml (index $v .role).resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: settings, mountPath: /etc/skein/settings, readOnly: true}
        - {name: data, mountPath: /var/lib/skein}
        {{- if ne .role "single" }}
        - {name: secret, mountPath: /etc/skein/secret, readOnly: true}
        - {name: secret, mountPath: /var/lib/skein/operator.token, subPath: operator.token, readOnly: true}
        {{- if and (eq $v.store "redis") $v.redis.passwordSecret }}
        - {name: redis, mountPath: /etc/skein/redis, readOnly: true}
        {{- end }}
        {{- end }}
        {{- if and $v.tls.secret (ne .role "mailbox") }}
        - {name: tls, mountPath: /etc/skein/tls, readOnly: true}
        {{- end }}
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: settings
      configMap:
        name: {{ .root.Release.Name }}-{{ .role }}
    {{- if not $embedded }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- if ne .role "single" }}
    - name: secret
      secret:
        secretName: {{ required "secret: with mode split, the name of a Secret with operator.token and cluster.secret" $v.secret }}
        defaultMode: 0440
    {{- if and (eq $v.store "redis") $v.redis.passwordSecret }}
    - name: redis
      secret:
        secretName: {{ $v.redis.passwordSecret }}
        defaultMode: 0440
    {{- end }}
    {{- end }}
    {{- if and $v.tls.secret (ne .role "mailbox") }}
    - name: tls
      secret:
        secretName: {{ $v.tls.secret }}
        defaultMode: 0440
    {{- end }}
    {{- with $v.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* skein.volume is the claim of the embedded store. */}}
{{- define "skein.volume" -}}
- metadata:
    name: data
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .root.Values.persistence.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .root.Values.persistence.size }}
{{- end }}
