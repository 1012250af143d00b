package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// problems gathers what is wrong with settings.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// between checks a number.
func (p *problems) between(key string, v, least, most int) {
	if v < least || v > most {
		p.add("%s: %d is not between %d and %d", key, v, least, most)
	}
}

func (p *problems) address(key, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		p.add("%s: %q is not an address like 127.0.0.1:7080", key, addr)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		p.add("%s: %q has no port from 0 to 65535", key, addr)
	}
}

// roleAddress checks where one role reaches another.
func (p *problems) roleAddress(key, addr string) {
	path, local := strings.CutPrefix(addr, "unix:")
	switch {
	case !local:
		p.address(key, addr)
	case !filepath.IsAbs(path):
		p.add("%s: %q has no absolute path behind unix:", key, addr)
	}
}

// Validate reports every setting that cannot work.
func (c *Config) Validate() error {
	var p problems
	if c.Data == "" {
		p.add("data: a directory is needed")
	}
	c.checkAddresses(&p)
	c.checkRegions(&p)
	if (c.TLSCert == "") != (c.TLSKey == "") {
		p.add("tls_cert and tls_key: give both or none")
	}
	if !slices.Contains([]string{"auto", "goroutine", "epoll"}, c.LinkEngine) {
		p.add("link_engine: one of auto, goroutine, epoll")
	}
	c.checkStore(&p)
	p.between("max_conns", c.MaxConns, 1, 1<<24)
	p.between("conn_memory_mb", c.ConnMemoryMB, 16, 1<<20)
	p.between("workers", c.Workers, 0, 1024)
	p.between("max_conns_per_addr", c.MaxConnsPerAddr, 0, 1<<24)
	p.between("conn_rate_per_addr", c.ConnRatePerAddr, 1, 1<<24)
	p.between("router_rate_per_addr", c.RouterRatePerAddr, 0, 1<<24)
	if _, err := c.UnlimitedNetworks(); err != nil {
		p.add("unlimited_addrs: %v", err)
	}
	p.between("device_sends_per_second", c.DeviceSends, 0, 1<<24)
	p.between("device_shakes_per_second", c.DeviceShakes, 0, 1<<24)
	p.between("device_calls_per_second", c.DeviceCalls, 0, 1<<24)
	p.between("drain_seconds", c.DrainSeconds, 0, 3600)
	p.between("shards", c.Shards, 0, 256)
	p.between("retain_entries", c.RetainEntries, 0, 1<<30)
	p.between("retain_days", c.RetainDays, 0, 36500)
	p.between("retain_away_days", c.RetainAwayDays, 0, 36500)
	p.between("cache_mb", c.CacheMB, 1, 1<<20)
	c.checkMonitor(&p)
	c.checkTraces(&p)
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		p.add("log_level: %q is not one of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(p...)
}

func (c *Config) checkStore(p *problems) {
	switch c.Store {
	case StorePebble:
	case StoreRedis:
		for _, a := range c.RedisAddresses() {
			p.address("redis", a)
		}
		if len(c.RedisAddresses()) == 0 {
			p.add("redis: the address of a server is needed")
		}
	case StorePostgres:
		c.checkPostgres(p)
	default:
		p.add("store: %q is not one of %s, %s, %s", c.Store, StorePebble, StoreRedis, StorePostgres)
	}
	if c.RedisPrefix == "" || len(c.RedisPrefix) > 64 || strings.ContainsAny(c.RedisPrefix, "{}") {
		p.add("redis_prefix: 1 to 64 bytes without braces")
	}
	p.address("standby_listen", c.StandbyListen)
	if c.Standby != "" {
		p.address("standby", c.Standby)
		if c.Region == "" || c.RelayCert == "" || c.RelayKey == "" || c.RelayCA == "" {
			p.add("standby: needs region, relay_cert, relay_key and relay_ca, by which the two know each other")
		}
	}
	if c.StandbyMode != StandbyAsync && c.StandbyMode != StandbySync {
		p.add("standby_mode: %q is not one of %s, %s", c.StandbyMode, StandbyAsync, StandbySync)
	}
	p.between("redis_replicas", c.RedisReplicas, -2, 16)
	p.between("weight", c.Weight, 1, 1_000_000)
	if strings.HasPrefix(c.Node, "~") || strings.Contains(c.Node, "/") {
		p.add("node: a name does not begin with ~, nor has it a /")
	}
	if len(c.Node) > MaxNode || strings.ContainsFunc(c.Node, func(r rune) bool { return r <= ' ' || r > '~' }) {
		p.add("node: at most %d visible characters of ASCII", MaxNode)
	}
}

// checkPostgres keeps passwords out of a setting that is shown.
func (c *Config) checkPostgres(p *problems) {
	if c.Postgres == "" {
		p.add("postgres: the URL of a server is needed")
	}
	if u, err := url.Parse(c.Postgres); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			p.add("postgres: no password belongs here; put it into a file, and its name into postgres_password_file")
		}
	}
	if strings.Contains(c.Postgres, "password=") {
		p.add("postgres: no password belongs here; put it into a file, and its name into postgres_password_file")
	}
	p.between("postgres_standbys", c.PostgresStandbys, -1, 16)
}

// MaxNode is the most bytes a node's name may have.
const MaxNode = 64

// RedisAddresses are those of Redis.
func (c *Config) RedisAddresses() []string { return list(c.Redis) }

func (c *Config) checkAddresses(p *problems) {
	p.address("http", c.HTTP)
	p.address("link", c.Link)
	p.address("ops", c.Ops)
	p.address("router_listen", c.RouterListen)
	if c.ArticleAPI != "" {
		p.address("article_api", c.ArticleAPI)
	}
	if c.RoleListen != "" {
		p.roleAddress("role_listen", c.RoleListen)
	}
	if c.RoleAdvertise != "" {
		p.address("role_advertise", c.RoleAdvertise)
	}
	p.roleAddress("mailbox", c.Mailbox)
	for _, a := range c.ReconnectAddresses() {
		p.address("reconnect_to", a)
	}
}

func (c *Config) checkMonitor(p *problems) {
	if c.Monitor != "on" && c.Monitor != "off" {
		p.add("monitor: on or off")
	}
	for _, a := range c.MonitorAddresses() {
		p.address("monitor_targets", a)
	}
	if u, err := url.Parse(c.MonitorWebhook); c.MonitorWebhook != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		p.add("monitor_webhook: not a URL that begins with http:// or https://")
	}
	p.between("monitor_log_mb", c.MonitorLogMB, 0, 1<<20)
	p.between("monitor_series", c.MonitorSeries, 100, 1<<17)
}

// MonitorAddresses are those of MonitorTargets.
func (c *Config) MonitorAddresses() []string { return list(c.MonitorTargets) }

func (c *Config) checkTraces(p *problems) {
	if !(c.TracePercent >= 0 && c.TracePercent <= 100) {
		p.add("trace_percent: between 0 and 100")
	}
	if _, err := c.TracedUsers(); err != nil {
		p.add("trace_users: %v", err)
	}
	if c.TraceExport == "" {
		return
	}
	u, err := url.Parse(c.TraceExport)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		p.add("trace_export: %q is not a URL like http://127.0.0.1:4318/v1/traces", c.TraceExport)
	}
}

// TracedUsers are those of TraceUsers.
func (c *Config) TracedUsers() ([]im.UserID, error) {
	var users []im.UserID
	for _, s := range list(c.TraceUsers) {
		id, err := strconv.ParseUint(s, 10, 64)
		if err != nil || id == 0 || im.UserID(id) > im.MaxUser {
			return nil, fmt.Errorf("%q is not a user's number", s)
		}
		users = append(users, im.UserID(id))
	}
	return users, nil
}

// list splits a setting that has several values.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// ReconnectAddresses are those of ReconnectTo.
func (c *Config) ReconnectAddresses() []string { return list(c.ReconnectTo) }

// UnlimitedNetworks are those of UnlimitedAddrs.
func (c *Config) UnlimitedNetworks() ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for _, s := range list(c.UnlimitedAddrs) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 10.0.0.0/8", s)
		}
		nets = append(nets, p)
	}
	return nets, nil
}
