package config

import (
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Config is everything a node can be told. The toml names are also the flags
// (with '-') and, upper-cased behind SKEIN_, the environment variables. A
// setting with a role is of no use to the others.
type Config struct {
	// Data is the directory of the embedded store, of the operator's token
	// and of the secret that roles share. A gateway keeps nothing else there.
	Data string `toml:"data" help:"data directory"`
	// HTTP is where the HTTP API listens; /link there is the WebSocket.
	HTTP string `toml:"http" role:"gateway" help:"address of the HTTP API"`
	// Link is where long links (TCP or WebSocket) are accepted.
	Link string `toml:"link" role:"gateway" help:"address for long links: TCP and WebSocket"`
	// Ops serves health, metrics and profiles. Off loopback it asks for the
	// operator token.
	Ops string `toml:"ops" help:"address of health, metrics and profiles"`
	// TLSCert and TLSKey are PEM files; both or none. They hold for HTTP
	// and links.
	TLSCert string `toml:"tls_cert" role:"gateway,router" help:"PEM file with the certificate chain for --http and --link, or --router-listen"`
	TLSKey  string `toml:"tls_key" role:"gateway,router" help:"PEM file with the private key"`
	// ArticleAPI serves the two gateway URLs of the article, which carry no
	// credentials: empty is off, and without a host it is on loopback.
	ArticleAPI string `toml:"article_api" role:"mailbox" help:"address of the article's gateway URLs, without credentials; empty: off"`
	// ArticleData is a file of lines "user,friend,region" to load at start.
	ArticleData string `toml:"article_data" role:"mailbox" help:"file with lines user,friend,region to load at start"`
	// MaxConns bounds the open links.
	MaxConns int `toml:"max_conns" role:"gateway" help:"how many links may be open"`
	// ConnMemoryMB bounds what is held for all links of a process: what
	// waits to be sent, and what has come and is not whole.
	ConnMemoryMB int `toml:"conn_memory_mb" role:"gateway" help:"memory for what links of a process have under way, in MiB; beyond it, links that want more are closed"`
	// Workers is how many processes share Link; 0 takes as many as MaxConns
	// needs under the limit of open files, and none if one process will do.
	Workers int `toml:"workers" role:"gateway" help:"processes that share the address for long links; 0: as many as --max-conns needs"`
	// MaxConnsPerAddr and ConnRatePerAddr bound what one address may do, or
	// one /64 network of IPv6.
	MaxConnsPerAddr int `toml:"max_conns_per_addr" role:"gateway" help:"open links per client address; 0: a quarter of --max-conns"`
	ConnRatePerAddr int `toml:"conn_rate_per_addr" role:"gateway" help:"new links per second and client address"`
	// UnlimitedAddrs are networks that this does not hold for.
	UnlimitedAddrs string `toml:"unlimited_addrs" role:"gateway,router" help:"networks, comma-separated, without limits per address: where proxies and load balancers are"`
	// DeviceSends and DeviceCalls are how many messages and how many other
	// requests per second a device may have taken, after ten seconds' worth
	// at once; 0: any number.
	DeviceSends  int `toml:"device_sends_per_second" role:"gateway" help:"messages per second that a device may send; 0: any number"`
	DeviceShakes int `toml:"device_shakes_per_second" role:"gateway" help:"shakes per second that a device may make; 0: any number"`
	DeviceCalls  int `toml:"device_calls_per_second" role:"gateway" help:"other requests per second that a device may make; 0: any number"`
	// DrainSeconds is over how long clients are told to go when the node
	// stops, if there are many.
	DrainSeconds int `toml:"drain_seconds" role:"gateway" help:"over how many seconds clients are told to connect elsewhere when the node stops"`
	// ReconnectTo are the addresses they are told, best first.
	ReconnectTo string `toml:"reconnect_to" role:"gateway" help:"addresses, comma-separated, that clients are sent to when the node stops; empty: the same again"`
	// RoleListen is where gateways of other processes reach the mailbox.
	RoleListen string `toml:"role_listen" role:"mailbox,relay" help:"address where other processes reach the mailbox or relay: host:port or unix:/path; empty: none, but 127.0.0.1:7002 for mailboxes and 127.0.0.1:7006 for relays"`
	// Mailbox is where a gateway process reaches its mailbox, if there is one
	// only; where the store is shared, its records say who is there.
	Mailbox string `toml:"mailbox" role:"gateway" help:"address of the mailbox, for 'skein gateway' with --store pebble"`
	// ClusterSecret is the file with the secret that roles share; empty:
	// cluster.secret in Data, made when there is none.
	ClusterSecret string `toml:"cluster_secret" help:"file with the secret that gateways and mailboxes share; empty: cluster.secret in the data directory"`
	// Region names the cluster among several; empty: there is one only. The
	// relay settings hold only with it.
	Region string `toml:"region" role:"mailbox,relay,standby" help:"name of this region, if there are several; see docs/REGIONS.md"`
	// Regions are the other ones, as name=addresses of their relays.
	Regions string `toml:"regions" role:"mailbox,relay" help:"the other regions, comma-separated: name=address of its relay, or of several: name=address|address"`
	// Directory is the region that keeps what all share.
	Directory string `toml:"directory" role:"mailbox,relay" help:"the region that knows where users live, and keeps names and money on its way; the same in all"`
	// RelayListen is where relays of other regions reach this one.
	RelayListen string `toml:"relay_listen" role:"mailbox,relay" help:"address where relays of other regions reach this one"`
	// RelayCert, RelayKey and RelayCA are PEM files.
	RelayCert string `toml:"relay_cert" role:"mailbox,relay,standby" help:"PEM file with this region's certificate; 'skein relay cert' makes it"`
	RelayKey  string `toml:"relay_key" role:"mailbox,relay,standby" help:"PEM file with its key"`
	RelayCA   string `toml:"relay_ca" role:"mailbox,relay,standby" help:"PEM file with the authority of all regions' certificates"`
	// RegionLinks and RegionHTTP are where clients of other regions are sent
	// whose users live here.
	RegionLinks string `toml:"region_links" role:"mailbox,relay" help:"addresses for long links, comma-separated, that clients are sent to whose users live in this region; empty: --link"`
	RegionHTTP  string `toml:"region_http" role:"mailbox,relay" help:"likewise for the HTTP API, as URLs; empty: --http"`
	// Standby keeps a copy of this region's store elsewhere; see package standby.
	Standby     string `toml:"standby" role:"mailbox" help:"address of this region's standby ('skein standby'), which keeps a copy of the store; empty: none"`
	StandbyMode string `toml:"standby_mode" role:"mailbox" help:"async: commits do not wait for the standby; sync: nothing is acknowledged that it does not have"`
	// StandbyListen is where the standby itself is reached.
	StandbyListen string `toml:"standby_listen" role:"standby" help:"address where the region's mailboxes reach their standby"`
	// LinkEngine is what runs the links: see link.Config.
	LinkEngine string `toml:"link_engine" role:"gateway" help:"what runs the links: epoll, goroutine, or auto for epoll where the system has it"`
	// Store is where the mailboxes are kept: embedded in the one mailbox
	// process, or on servers that any number of them share.
	Store string `toml:"store" help:"where mailboxes are kept: pebble, in the data directory of the one mailbox process, or redis or postgres, which several share"`
	// Redis are addresses of a Redis or Valkey server, or of some of a cluster.
	Redis             string `toml:"redis" help:"addresses, comma-separated: of the Redis or Valkey server, or of some servers of a cluster"`
	RedisUser         string `toml:"redis_user" help:"user name for Redis; empty: the default user"`
	RedisPasswordFile string `toml:"redis_password_file" help:"file with the password for Redis; empty: none"`
	// RedisCA turns TLS on.
	RedisCA string `toml:"redis_ca" help:"PEM file with the authorities that Redis servers are to be certified by, or 'system'; empty: no TLS"`
	// RedisPrefix begins every key, so that several clusters can share servers.
	RedisPrefix string `toml:"redis_prefix" help:"what the keys in Redis begin with; every cluster of nodes has its own"`
	// RedisReplicas must have a write before it is acknowledged; -1: all that
	// a primary of the cluster has; -2: all that could be promoted, and at least
	// one.
	RedisReplicas int `toml:"redis_replicas" help:"replicas that must have a write before it is acknowledged; -1: all that a primary has, so that none is lost whichever is promoted; -2: the same, but a primary that died need not come back; 1 of two goes on while one is away, and may lose some when servers fail one right after the other"`
	// Postgres says where the PostgreSQL servers are, as libpq has it, without a
	// password.
	Postgres             string `toml:"postgres" help:"URL of the PostgreSQL servers, with primary and standbys as hosts: postgres://user@host1,host2/database"`
	PostgresPasswordFile string `toml:"postgres_password_file" help:"file with the password for PostgreSQL; empty: none"`
	// PostgresCA turns TLS on, whatever the URL says.
	PostgresCA string `toml:"postgres_ca" help:"PEM file with the authorities that PostgreSQL servers are to be certified by, or 'system'; empty: what the URL says"`
	// PostgresSchema holds the tables, so that several clusters can share servers.
	PostgresSchema string `toml:"postgres_schema" help:"schema with the tables in PostgreSQL; every cluster of nodes has its own"`
	// PostgresStandbys must have a write before it is acknowledged; -1: as many
	// as the server waits for when the node starts.
	PostgresStandbys int `toml:"postgres_standbys" help:"standbys that must have a write before it is acknowledged, by the servers' synchronous_standby_names; -1: as many as those say when the node starts"`
	// Node names the node among those that share a store. It stays the same when
	// the node is started again.
	Node string `toml:"node" help:"name of the node among those that share a store; empty: made of role, host name and data directory"`
	// Weight is the node's share of the mailboxes, compared with that of others.
	Weight int `toml:"weight" role:"mailbox" help:"the node's share of the mailboxes, compared with the weights of the others"`
	// VersionLabel is by what a canary knows the node.
	VersionLabel string `toml:"version_label" help:"what 'skein cluster canary' knows the node's version by; empty: the program's version"`
	// Advertise is what others are told where a listener's address says none.
	Advertise string `toml:"advertise" help:"host name or address under which others reach this node, where it listens on all addresses; empty: the host name"`
	// RoleAdvertise is likewise where others reach RoleListen, with its port.
	RoleAdvertise string `toml:"role_advertise" role:"mailbox,relay" help:"host:port under which gateways and other nodes reach --role-listen, if that is not where it listens: behind address translation"`
	// Shards is how many goroutines share the mailboxes; 0: one per core.
	Shards int `toml:"shards" role:"mailbox" help:"goroutines that share the mailboxes; 0: one per core"`
	// RetainEntries and RetainDays bound how far back a user's history goes:
	// entries beyond either are let go of, once every device of the user has
	// acknowledged them, or they are RetainAwayDays old; 0: no bound.
	RetainEntries  int `toml:"retain_entries" role:"mailbox" help:"entries of history kept per user; 0: all"`
	RetainDays     int `toml:"retain_days" role:"mailbox" help:"days that history is kept; 0: for ever"`
	RetainAwayDays int `toml:"retain_away_days" role:"mailbox" help:"days after which history goes, if it is to go, that some device has not fetched; 0: never"`
	// CacheMB is the store's block cache.
	CacheMB int `toml:"cache_mb" role:"mailbox" help:"block cache of the store, in MiB"`
	// RouterListen is where a router answers who serves what. What is not for
	// clients asks for the operator's token off loopback.
	RouterListen string `toml:"router_listen" role:"router" help:"address where clients ask which gateways to connect to, and others who serves what"`
	// RouterRatePerAddr bounds what one address may ask, or one /64 network of
	// IPv6, after ten seconds' worth at once; 0: any number.
	RouterRatePerAddr int `toml:"router_rate_per_addr" role:"router" help:"requests per second and client address; 0: any number"`
	// Monitor says whether 'skein serve' watches itself: see package monitor.
	Monitor string `toml:"monitor" role:"serve" help:"watch this server, with a dashboard at --ops: on or off"`
	// MonitorTargets are what is watched besides this process.
	MonitorTargets string `toml:"monitor_targets" role:"monitor" help:"operations addresses, comma-separated, of processes to watch"`
	// MonitorTokenFile has the token of targets on other machines; empty: this
	// process's own.
	MonitorTokenFile string `toml:"monitor_token_file" role:"monitor" help:"file with the operator's token of the processes to watch; empty: operator.token in the data directory"`
	// MonitorWebhook is told of alerts.
	MonitorWebhook string `toml:"monitor_webhook" role:"monitor" help:"URL to which alerts are posted; empty: none"`
	// MonitorAlerts changes thresholds; see monitor.ParseThresholds.
	MonitorAlerts string `toml:"monitor_alerts" role:"monitor" help:"alerts with another threshold, or off: latency=0.2,disk=0.95,surge=off; empty: those of docs/MONITORING.md"`
	// MonitorLogMB bounds the logs of samples in Data/monitor; 0: none.
	MonitorLogMB int `toml:"monitor_log_mb" role:"monitor" help:"space for logs of samples in the data directory, in MiB; 0: no logs"`
	// MonitorSeries bounds the series in memory, of 9 KB each.
	MonitorSeries int `toml:"monitor_series" role:"monitor" help:"how many series of samples are kept in memory, 9 KB each after a day"`
	// TracePercent of all messages are traced, and all of TraceUsers, who are
	// told by their numbers; clients may ask for more.
	TracePercent float64 `toml:"trace_percent" role:"gateway" help:"per cent of the messages to trace, like 0.5"`
	TraceUsers   string  `toml:"trace_users" role:"gateway" help:"numbers, comma-separated, of users all of whose messages are traced"`
	// TraceExport is where spans go to besides the ops listener.
	TraceExport string `toml:"trace_export" help:"URL of an OTLP collector that gets every span, like http://127.0.0.1:4318/v1/traces; empty: none"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `toml:"log_level" help:"debug, info, warn or error"`
}

// opsPorts are the default ports of Ops by role, so that one process of each may
// run on a machine without being told of the others. A role that is not here,
// and all of them in one process, have that of "".
var opsPorts = map[string]string{"": "7070", "mailbox": "7072", "standby": "7074", "router": "7075", "relay": "7076", "monitor": "7079"}

// DefaultFor is Default for a process that has one role only.
func DefaultFor(role string) Config {
	c := Default()
	if port, ok := opsPorts[role]; ok {
		c.Ops = net.JoinHostPort("127.0.0.1", port)
	}
	return c
}

// Default is what a newcomer gets: everything on loopback, data in the
// current directory.
func Default() Config {
	return Config{
		Data:       "skein-data",
		HTTP:       "127.0.0.1:7080",
		Link:       "127.0.0.1:7001",
		Ops:        net.JoinHostPort("127.0.0.1", opsPorts[""]),
		MaxConns:   18000,
		LinkEngine: "auto",

		ConnMemoryMB:    512,
		ConnRatePerAddr: 200,
		DeviceSends:     500,
		DeviceCalls:     100,
		DeviceShakes:    20,
		UnlimitedAddrs:  "127.0.0.0/8,::1/128",
		DrainSeconds:    10,
		Mailbox:         DefaultRoleListen,
		RelayListen:     "127.0.0.1:7003",
		RouterListen:    "127.0.0.1:7005",

		RouterRatePerAddr: 100,

		StandbyMode:   StandbyAsync,
		StandbyListen: DefaultStandbyListen,

		Store:         StorePebble,
		Redis:         "127.0.0.1:6379",
		Weight:        100,
		RedisReplicas: -1,

		RetainAwayDays: 30,

		RedisPrefix: "skein:",

		Postgres:         "postgres://skein@127.0.0.1:5432/skein",
		PostgresSchema:   "skein",
		PostgresStandbys: -1,

		Monitor:       "on",
		MonitorLogMB:  256,
		MonitorSeries: 8192,

		CacheMB:  64,
		LogLevel: "info",
	}
}

// The values of Config.Store.
const (
	StorePebble = "pebble"
	StoreRedis  = "redis"
	// StorePostgres: the settings begin with postgres.
	StorePostgres = "postgres"
)

// DefaultRoleListen is where 'skein mailbox' listens for gateways unless it is
// told otherwise.
const DefaultRoleListen = "127.0.0.1:7002"

// DefaultWayListen is where 'skein relay' listens for the mailboxes of its region.
const DefaultWayListen = "127.0.0.1:7006"

// DefaultStandbyListen is where 'skein standby' listens for mailboxes.
const DefaultStandbyListen = "127.0.0.1:7004"

// The values of Config.StandbyMode.
const (
	StandbyAsync = "async"
	StandbySync  = "sync"
)

// ReadFile overlays a TOML file. A key that is not known is an error.
func (c *Config) ReadFile(path string) error {
	meta, err := toml.DecodeFile(path, c)
	if err != nil {
		return fmt.Errorf("cannot read the configuration %s: %w", path, err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return fmt.Errorf("%s: unknown key %q; 'skein config show' lists the known ones", path, extra[0].String())
	}
	return nil
}

// EnvPrefix starts the names of environment variables.
const EnvPrefix = "SKEIN_"

// ReadEnv overlays SKEIN_* variables, given as os.Environ does. An unknown
// one is an error, because it is most likely a misspelt one.
func (c *Config) ReadEnv(environ []string) error {
	fields := c.fields()
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		key, ok := strings.CutPrefix(name, EnvPrefix)
		if !ok {
			continue
		}
		f, ok := fields[strings.ToLower(key)]
		if !ok {
			return fmt.Errorf("unknown environment variable %s; 'skein config show' lists the known settings", name)
		}
		if err := set(f, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	return nil
}

// Set overlays one setting by its toml name.
func (c *Config) Set(key, value string) error {
	f, ok := c.fields()[key]
	if !ok {
		return fmt.Errorf("unknown setting %q", key)
	}
	return set(f, value)
}

func (c *Config) fields() map[string]reflect.Value {
	v := reflect.ValueOf(c).Elem()
	fields := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("toml")] = v.Field(i)
	}
	return fields
}

func set(f reflect.Value, value string) error {
	if f.Kind() == reflect.String {
		f.SetString(value)
		return nil
	}
	if f.Kind() == reflect.Float64 {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", value)
		}
		f.SetFloat(v)
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%q is not a whole number", value)
	}
	f.SetInt(int64(n))
	return nil
}

// Setting describes one setting to the command line.
type Setting struct {
	Key, Help string
	// Roles are those that heed it, comma-separated: "gateway", "mailbox",
	// "monitor", "standby", "router", "serve" for all in one; "" is every one.
	Roles   string
	Default any
}

// For reports whether a role heeds the setting; "" is all roles in one process,
// of which a standby is none.
func (s *Setting) For(role string) bool {
	if role == "" {
		return s.Roles != "standby"
	}
	return s.Roles == "" || slices.Contains(list(s.Roles), role)
}

// Settings lists all of them, in the order of the struct.
func Settings() []Setting { return SettingsFor("") }

// SettingsFor is Settings with the defaults of a role.
func SettingsFor(role string) []Setting {
	d := DefaultFor(role)
	v := reflect.ValueOf(d)
	list := make([]Setting, 0, v.NumField())
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		list = append(list, Setting{tag.Get("toml"), tag.Get("help"), tag.Get("role"), v.Field(i).Interface()})
	}
	return list
}

// Write prints the settings as TOML.
func (c *Config) Write(w io.Writer) error { return toml.NewEncoder(w).Encode(c) }

// Load gives the settings that hold: defaults, file (when path is not empty),
// environment, then the flags in override by toml name.
func Load(path string, override map[string]string) (Config, error) {
	return LoadFor("", path, override)
}

// LoadFor is Load with the defaults of a role.
func LoadFor(role, path string, override map[string]string) (Config, error) {
	c := DefaultFor(role)
	if path != "" {
		if err := c.ReadFile(path); err != nil {
			return c, err
		}
	}
	if err := c.ReadEnv(os.Environ()); err != nil {
		return c, err
	}
	for k, v := range override {
		if err := c.Set(k, v); err != nil {
			return c, fmt.Errorf("--%s: %w", strings.ReplaceAll(k, "_", "-"), err)
		}
	}
	return c, c.Validate()
}
