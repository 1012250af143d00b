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

{{- define "skein.rolePort" -}}{{ ternary 7006 7002 (eq .role "relay") }}{{- end }}

{{/* skein.roles are those that have pods, as JSON. */}}
{{- define "skein.roles" -}}
{{- $v := .Values }}
{{- $roles := list $v.mode }}
{{- if eq $v.mode "split" }}
{{- $roles = list "gateway" "mailbox" }}
{{- range list "router" "relay" }}
{{- if index $v . "replicas" }}
{{- if eq $v.store "pebble" }}{{ fail (printf "%s.replicas: it finds the others in a store that they share; set store redis or postgres" .) }}{{ end }}
{{- $roles = append $roles . }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $roles }}
{{- end }}

{{/* skein.embedded says whether a role's pods have the embedded store, skein.alone
whether they know no other nodes, and so need no secret: "true" or nothing. */}}
{{- define "skein.embedded" -}}
{{- if and (has .role (list "single" "mailbox" "standby")) (eq .root.Values.store "pebble") -}}
true
{{- end }}
{{- end }}
{{- define "skein.alone" -}}
{{- if or (eq .role "standby") (and (eq .role "single") (include "skein.embedded" .)) -}}
true
{{- end }}
{{- end }}

{{/* skein.certified says whether a role's pods show the region's certificate: "true"
or nothing. */}}
{{- define "skein.certified" -}}
{{- $v := .root.Values }}
{{- if or (eq .role "relay") (eq .role "standby") (and $v.region.name (or (eq .role "single") (and (eq .role "mailbox") $v.region.standby))) -}}
true
{{- end }}
{{- end }}

{{/* skein.region makes a role's settings about regions. */}}
{{- define "skein.region" -}}
{{- $v := .root.Values }}
{{- if has .role (list "relay" "standby") }}
{{- $_ := required (printf "region.name: a %s has a region" .role) $v.region.name }}
{{- end }}
{{- if and $v.region.name (has .role (list "single" "mailbox" "relay" "standby")) }}
{{- if and (eq .role "mailbox") (eq $v.store "pebble") }}{{ fail "region.name: with mode split, one of several regions needs relays, and store redis or postgres" }}{{ end }}
{{- if and (eq .role "single") (ne $v.store "pebble") }}{{ fail "region.name: a region over a shared store needs mode split, and relays" }}{{ end }}
region = {{ $v.region.name | quote }}
{{- if ne .role "standby" }}
directory = {{ required "region.directory: the region that knows where users live" $v.region.directory | quote }}
{{- end }}
{{- if has .role (list "single" "relay") }}
regions = {{ $v.region.regions | quote }}
relay_listen = "0.0.0.0:7003"
{{- end }}
{{- if eq .role "standby" }}
standby_listen = "0.0.0.0:7004"
{{- else if and (ne .role "relay") $v.region.standby }}
standby = {{ $v.region.standby | quote }}
standby_mode = {{ $v.region.standbyMode | quote }}
{{- end }}
{{- if include "skein.certified" . }}
relay_cert = "/etc/skein/region/tls.crt"
relay_key = "/etc/skein/region/tls.key"
relay_ca = "/etc/skein/region/ca.crt"
{{- end }}
{{- end }}
{{- end }}

{{/* skein.decided are the settings that the values may not have, as JSON. */}}
{{- define "skein.decided" -}}
{{- toJson (list "data" "ops" "http" "link" "drain_seconds" "tls_cert" "tls_key" "cluster_secret" "mailbox" "role_listen" "advertise"
  "store" "redis" "redis_replicas" "redis_password_file" "postgres" "postgres_schema" "postgres_standbys" "postgres_password_file"
  "router_listen" "region" "directory" "regions" "relay_listen" "relay_cert" "relay_key" "relay_ca" "standby" "standby_mode"
  "standby_listen") }}
{{- end }}

{{/* skein.settings makes the settings of a role, as TOML. */}}
{{- define "skein.settings" -}}
{{- $v := .root.Values }}
{{- $all := merge (dict) (index $v .role).settings $v.settings }}
{{- range $key := include "skein.decided" . | fromJsonArray }}
{{- if hasKey $all $key }}{{ fail (printf "settings.%s: the chart decides this itself, from other values" $key) }}{{ end }}
{{- end }}
{{- if and $v.postgres.caSecret (hasKey $all "postgres_ca") }}{{ fail "postgres.caSecret: settings.postgres_ca says something else; give one of them" }}{{ end }}
{{- range $key, $value := $all }}
{{ $key }} = {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ int64 $value }}{{ end }}
{{- end }}
data = "/var/lib/skein"
ops = "0.0.0.0:7070"
{{- if has .role (list "single" "gateway") }}
http = "0.0.0.0:7080"
link = "0.0.0.0:7001"
drain_seconds = {{ int64 $v.drainSeconds }}
{{- end }}
{{- if eq .role "router" }}
router_listen = "0.0.0.0:7005"
{{- end }}
{{- if and $v.tls.secret (has .role (list "single" "gateway" "router")) }}
tls_cert = "/etc/skein/tls/tls.crt"
tls_key = "/etc/skein/tls/tls.key"
{{- end }}
{{- include "skein.region" . }}
{{- if not (include "skein.alone" .) }}
cluster_secret = "/etc/skein/secret/cluster.secret"
{{- end }}
{{- include "skein.store" . }}
{{- if and (eq .role "gateway") (eq $v.store "pebble") }}
mailbox = "{{ .root.Release.Name }}-mailbox:7002"
{{- end }}
{{- if include "skein.linked" . }}
role_listen = "0.0.0.0:{{ include "skein.rolePort" . }}"
{{- end }}
{{- end }}

{{/* skein.linked says whether other nodes connect to a role's pods: "true" or
nothing. */}}
{{- define "skein.linked" -}}
{{- if or (has .role (list "mailbox" "relay")) (and (eq .role "single") (not (include "skein.embedded" .))) -}}
true
{{- end }}
{{- end }}

{{/* skein.store makes a role's settings of the store. */}}
{{- define "skein.store" -}}
{{- $v := .root.Values }}
store = {{ $v.store | quote }}
{{- if eq $v.store "redis" }}
redis = {{ required "redis.addresses: with store redis, where it is" $v.redis.addresses | quote }}
redis_replicas = {{ int64 $v.redis.replicas }}
{{- if $v.redis.passwordSecret }}
redis_password_file = "/etc/skein/redis/password"
{{- end }}
{{- else if eq $v.store "postgres" }}
{{- if regexMatch "password=|://[^/@]*:[^/@]*@" $v.postgres.url }}{{ fail "postgres.url: no password belongs here; put it into a Secret, and its name into postgres.passwordSecret" }}{{ end }}
postgres = {{ required "postgres.url: with store postgres, where it is" $v.postgres.url | quote }}
postgres_schema = {{ $v.postgres.schema | quote }}
postgres_standbys = {{ int64 $v.postgres.standbys }}
{{- if $v.postgres.passwordSecret }}
postgres_password_file = "/etc/skein/postgres/password"
{{- end }}
{{- if $v.postgres.caSecret }}
postgres_ca = "/etc/skein/postgres-ca/ca.crt"
{{- end }}
{{- end }}
{{- end }}

{{/* skein.secrets are the Secrets that a role's pods mount below /etc/skein, as JSON:
the directory, the Secret's name, and which of its keys. */}}
{{- define "skein.secrets" -}}
{{- $v := .root.Values }}
{{- $all := list }}
{{- if not (include "skein.alone" .) }}
{{- $name := required "secret: nodes that know each other need the name of a Secret with operator.token and cluster.secret" $v.secret }}
{{- $all = append $all (dict "at" "secret" "name" $name "keys" (list "operator.token" "cluster.secret")) }}
{{- end }}
{{- if and (eq $v.store "redis") $v.redis.passwordSecret }}
{{- $all = append $all (dict "at" "redis" "name" $v.redis.passwordSecret "keys" (list "password")) }}
{{- end }}
{{- if eq $v.store "postgres" }}
{{- with $v.postgres.passwordSecret }}
{{- $all = append $all (dict "at" "postgres" "name" . "keys" (list "password")) }}
{{- end }}
{{- with $v.postgres.caSecret }}
{{- $all = append $all (dict "at" "postgres-ca" "name" . "keys" (list "ca.crt")) }}
{{- end }}
{{- end }}
{{- if include "skein.certified" . }}
{{- $name := required "region.secret: the name of a Secret with tls.crt, tls.key and ca.crt" $v.region.secret }}
{{- $all = append $all (dict "at" "region" "name" $name "keys" (list "tls.crt" "tls.key" "ca.crt")) }}
{{- end }}
{{- if and $v.tls.secret (has .role (list "single" "gateway" "router")) }}
{{- $all = append $all (dict "at" "tls" "name" $v.tls.secret "keys" (list "tls.crt" "tls.key")) }}
{{- end }}
{{- toJson $all }}
{{- end }}

{{/* skein.pod is the template of a role's pods. */}}
{{- define "skein.pod" -}}
{{- $v := .root.Values }}
{{- $clients := has .role (list "single" "gateway") }}
{{- $settings := include "skein.settings" . }}
{{- $secrets := include "skein.secrets" . | fromJsonArray }}
metadata:
  labels:
    {{- include "skein.labels" . | nindent 4 }}
  annotations:
    # Pods are replaced when their settings change.
    checksum/settings: {{ $settings | sha256sum }}
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
        {{- if $clients }}
        - {name: http, containerPort: 7080}
        - {name: link, containerPort: 7001}
        {{- end }}
        {{- if include "skein.linked" . }}
        - {name: role, containerPort: {{ include "skein.rolePort" . }}}
        {{- end }}
        {{- if or (eq .role "relay") (and (eq .role "single") $v.region.name) }}
        - {name: relay, containerPort: 7003}
        {{- end }}
        {{- if eq .role "standby" }}
        - {name: standby, containerPort: 7004}
        {{- end }}
        {{- if eq .role "router" }}
        - {name: router, containerPort: 7005}
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
      {{- if or $clients (eq .role "router") }}
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
        {{- if not (include "skein.alone" .) }}
        - {name: secret, mountPath: /var/lib/skein/operator.token, subPath: operator.token, readOnly: true}
        {{- end }}
        {{- range $secrets }}
        - {name: {{ .at }}, mountPath: /etc/skein/{{ .at }}, readOnly: true}
        {{- end }}
        {{- with $v.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: settings
      configMap:
        name: {{ .root.Release.Name }}-{{ .role }}
    {{- if not (include "skein.embedded" .) }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- range $secrets }}
    - name: {{ .at }}
      secret:
        secretName: {{ .name }}
        defaultMode: 0440
        items:
          {{- range .keys }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
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
