package check

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the rendered manifests to testdata")

const (
	chart     = "../helm/skein"
	namespace = "chat"
)

func kube(t *testing.T) *common.KubeVersion {
	t.Helper()
	v, err := common.ParseKubeVersion("v1.34.0")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// render is what 'helm template' would print, file by file.
func render(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	c, err := loader.Load(chart)
	if err != nil {
		t.Fatal(err)
	}
	v, err := common.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	caps := common.DefaultCapabilities.Copy()
	caps.KubeVersion = *kube(t)
	all, err := util.ToRenderValues(c, v, common.ReleaseOptions{Name: "skein", Namespace: namespace, IsInstall: true}, caps)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(c, all)
}

// manifests puts the documents of all files one after the other.
func manifests(out map[string]string) (documents []string) {
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for _, d := range strings.Split(out[name], "\n---\n") {
			if d = strings.TrimSpace(d); d != "" && d != "---" {
				documents = append(documents, strings.TrimPrefix(d, "---\n"))
			}
		}
	}
	return documents
}

// kinds are the objects that the chart makes.
var kinds = map[string]func() any{
	"ConfigMap":           func() any { return new(corev1.ConfigMap) },
	"Deployment":          func() any { return new(appsv1.Deployment) },
	"NetworkPolicy":       func() any { return new(networkingv1.NetworkPolicy) },
	"PodDisruptionBudget": func() any { return new(policyv1.PodDisruptionBudget) },
	"Service":             func() any { return new(corev1.Service) },
	"StatefulSet":         func() any { return new(appsv1.StatefulSet) },
}

// decode reads a document as its kind, in which every field must be known.
func decode(t *testing.T, document string) (kind string, object any) {
	t.Helper()
	var head struct{ Kind string }
	if err := yaml.Unmarshal([]byte(document), &head); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	if kinds[head.Kind] == nil {
		t.Fatalf("nobody knows the kind %q\n%s", head.Kind, document)
	}
	object = kinds[head.Kind]()
	if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
		t.Fatalf("%s: %v\n%s", head.Kind, err, document)
	}
	return head.Kind, object
}

const redisValues = `
mode: split
secret: skein
store: redis
redis: {addresses: "redis-1:6379,redis-2:6379", passwordSecret: redis}
mailbox: {replicas: 3, settings: {weight: 200}}
gateway: {replicas: 4, settings: {max_conns: 200000, log_level: debug}}
settings: {log_level: warn, redis_ca: /etc/skein/authority/ca.crt}
extraVolumes: [{name: authority, secret: {secretName: authority}}]
extraVolumeMounts: [{name: authority, mountPath: /etc/skein/authority, readOnly: true}]
tls: {secret: certificate}
service: {type: LoadBalancer, annotations: {example.com/balancer: "yes"}}
image: {repository: registry.example.com/skein, tag: v1}
imagePullSecrets: [{name: registry}]
podAnnotations: {example.com/team: chat}
nodeSelector: {disk: fast}
tolerations: [{key: chat, operator: Exists}]
affinity: {nodeAffinity: {}}
persistence: {storageClass: fast}
drainSeconds: 120
`

// regionValues have every role of a region but its standby.
const regionValues = `
mode: split
secret: skein
store: redis
redis: {addresses: "redis:6379"}
mailbox: {replicas: 2}
router: {replicas: 2, settings: {router_rate_per_addr: 50}, service: {type: LoadBalancer}}
relay: {replicas: 2, settings: {region_links: "tls://link.east.example.com:7001"}, service: {annotations: {example.com/balancer: "yes"}}}
region: {name: east, directory: east, regions: "west=a.west.example.com:7003|b.west.example.com:7003", secret: east, standby: "copy.example.com:7004", standbyMode: sync}
tls: {secret: certificate}
`

// postgresValues have all that is said about PostgreSQL.
const postgresValues = `
mode: split
secret: skein
store: postgres
postgres: {url: "postgres://skein@db-1,db-2,db-3/skein", standbys: 1, passwordSecret: postgres, caSecret: authority}
mailbox: {replicas: 3}
router: {replicas: 2}
relay: {replicas: 2}
region: {name: east, directory: east, regions: "west=relay.west.example.com:7003", secret: east}
`

// cases are values and the objects that they make.
var cases = map[string]struct {
	values string
	kinds  []string
}{
	"single": {"{}", []string{"ConfigMap", "PodDisruptionBudget", "Service", "StatefulSet"}},
	"split": {"{mode: split, secret: skein}", []string{"ConfigMap", "ConfigMap", "Deployment", "NetworkPolicy",
		"PodDisruptionBudget", "PodDisruptionBudget", "Service", "Service", "StatefulSet"}},
	"redis": {redisValues, []string{"ConfigMap", "ConfigMap", "Deployment", "NetworkPolicy",
		"PodDisruptionBudget", "PodDisruptionBudget", "Service", "Service", "StatefulSet"}},
	"region": {regionValues, []string{"ConfigMap", "ConfigMap", "ConfigMap", "ConfigMap", "Deployment", "Deployment", "Deployment",
		"NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget", "PodDisruptionBudget", "PodDisruptionBudget", "PodDisruptionBudget",
		"Service", "Service", "Service", "Service", "StatefulSet"}},
	"region-single": {`region: {name: west, directory: east, regions: "east=relay.east.example.com:7003", secret: west}`,
		[]string{"ConfigMap", "PodDisruptionBudget", "Service", "Service", "StatefulSet"}},
	"standby": {`{mode: standby, region: {name: east, secret: east}}`,
		[]string{"ConfigMap", "PodDisruptionBudget", "Service", "StatefulSet"}},
	"postgres": {postgresValues, []string{"ConfigMap", "ConfigMap", "ConfigMap", "ConfigMap", "Deployment", "Deployment", "Deployment",
		"NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget", "PodDisruptionBudget", "PodDisruptionBudget", "PodDisruptionBudget",
		"Service", "Service", "Service", "Service", "StatefulSet"}},
	"postgres-single": {`{secret: skein, store: postgres, postgres: {url: "postgres://skein@db/skein", schema: chat, passwordSecret: db}, single: {replicas: 3}}`,
		[]string{"ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "StatefulSet"}},
	"postgres-standby": {`{mode: standby, region: {name: east, secret: east}, store: postgres, postgres: {url: "postgres://skein@db/copy", passwordSecret: db}}`,
		[]string{"ConfigMap", "PodDisruptionBudget", "Service", "StatefulSet"}},
}

func TestChart(t *testing.T) {
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out, err := render(t, tc.values)
			if err != nil {
				t.Fatal(err)
			}
			documents := manifests(out)
			var got []string
			for _, d := range documents {
				kind, object := decode(t, d)
				got = append(got, kind)
				switch o := object.(type) {
				case *appsv1.Deployment:
					checkPods(t, &o.Spec.Template, o.Spec.Selector.MatchLabels)
				case *appsv1.StatefulSet:
					checkPods(t, &o.Spec.Template, o.Spec.Selector.MatchLabels)
				}
			}
			if slices.Sort(got); !slices.Equal(got, tc.kinds) {
				t.Errorf("it has %v, not %v", got, tc.kinds)
			}
			golden(t, name+".yaml", strings.Join(documents, "\n---\n")+"\n")
		})
	}
}

// checkPods looks for what is easily forgotten.
func checkPods(t *testing.T, pods *corev1.PodTemplateSpec, selector map[string]string) {
	t.Helper()
	for key, value := range selector {
		if pods.Labels[key] != value {
			t.Errorf("pods are selected by %s=%s, and have %q", key, value, pods.Labels[key])
		}
	}
	if links := pods.Spec.EnableServiceLinks; links == nil || *links {
		t.Error("a Service named skein would put unknown settings into the environment")
	}
	if c := pods.Spec.SecurityContext; c == nil || c.RunAsNonRoot == nil || !*c.RunAsNonRoot {
		t.Error("pods may run as root")
	}
	volumes := map[string]bool{"data": true}
	for _, v := range pods.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range pods.Spec.Containers {
		if c.ReadinessProbe == nil || c.LivenessProbe == nil || c.StartupProbe == nil {
			t.Errorf("%s is not probed", c.Name)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("there is no volume %s", m.Name)
			}
		}
	}
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s is not what the chart makes; 'go test . -update' in deploy/check writes it, and look at the difference", file)
	}
}

// Values that cannot work are refused, with words that say why.
func TestChartRefuses(t *testing.T) {
	split, shared := "mode: split, secret: s, ", "mode: split, secret: s, store: redis, redis: {addresses: a}, "
	for values, want := range map[string]string{
		"mode: both":                              "mode",
		"replicas: 3":                             "replicas",
		"settings: {Max-Conns: 1}":                "Max-Conns",
		"settings: {max_conns: 1.5}":              "settings",
		"settings: {store: redis}":                "settings.store: the chart decides",
		"settings: {postgres: postgres://db/x}":   "settings.postgres: the chart decides",
		"settings: {region: east}":                "settings.region: the chart decides",
		"service: {type: Load}":                   "type",
		"region: {name: east}":                    "region.directory",
		"mode: split":                             "operator.token and cluster.secret",
		"store: postgres, postgres: {url: u}":     "operator.token and cluster.secret",
		"single: {replicas: 2}":                   "more need store redis or postgres",
		"mode: standby":                           "region.name",
		"mode: standby, region: {name: east}":     "region.secret",
		"mode: standby, standby: {replicas: 2}":   "one pod keeps the copy",
		split + "mailbox: {replicas: 2}":          "more need store redis or postgres",
		split + "store: redis":                    "redis.addresses",
		split + "store: postgres":                 "postgres.url",
		split + "router: {replicas: 1}":           "router.replicas",
		split + "region: {name: e, directory: e}": "store redis or postgres",
		shared + "relay: {replicas: 1}":           "region.name",
		shared + "region: {name: East}":           "name",
		"secret: s, store: redis, redis: {addresses: a}, region: {name: e, directory: e, secret: e}": "mode split",
		split + "store: postgres, postgres: {url: 'postgres://skein:secret@db/skein'}":               "no password belongs here",
		split + "store: postgres, postgres: {url: 'host=db password=secret'}":                        "no password belongs here",
		split + "store: postgres, postgres: {url: u, standbys: 17}":                                  "standbys",
		split + "store: postgres, postgres: {url: u, caSecret: a}, settings: {postgres_ca: /x}":      "give one of them",
	} {
		if _, err := render(t, "{"+values+"}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", values, err)
		}
	}
}

func TestChartLints(t *testing.T) {
	for name, tc := range cases {
		v, err := common.ReadValues([]byte(tc.values))
		if err != nil {
			t.Fatal(err)
		}
		l := lint.RunAll(chart, v, namespace, lint.WithKubeVersion(kube(t)))
		for _, m := range l.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}
