package capacity

import (
	"fmt"
	"math"
	"time"
)

// Costs are what things cost, as docs/BENCHMARKS.md has them: processor time of
// one core, and bytes.
type Costs struct {
	// A message, from its sender's link to its receiver's, with both acks, in
	// each role; Redis is the primary's share, Replica that of each replica.
	GatewayMessage time.Duration `json:"gateway_message_ns"`
	MailboxMessage time.Duration `json:"mailbox_message_ns"`
	RedisMessage   time.Duration `json:"redis_message_ns"`
	ReplicaMessage time.Duration `json:"replica_message_ns"`
	// Heartbeat and Shake are answered in the gateway; Login takes both roles.
	Heartbeat    time.Duration `json:"heartbeat_ns"`
	Shake        time.Duration `json:"shake_ns"`
	GatewayLogin time.Duration `json:"gateway_login_ns"`
	MailboxLogin time.Duration `json:"mailbox_login_ns"`
	// Connection is a gateway's memory for one, the kernel's included;
	// Session a mailbox's for the user behind it.
	Connection int `json:"connection_bytes"`
	Session    int `json:"session_bytes"`
	// MessageStored is what the store keeps of a message of 256 bytes, at
	// sender and receiver together, in one copy.
	MessageStored int `json:"message_stored_bytes"`
	// MessageNetwork is what a gateway's clients receive and send per message.
	MessageNetwork int `json:"message_network_bytes"`
}

// Measured are the costs on the machine of docs/BENCHMARKS.md.
func Measured() Costs {
	return Costs{
		GatewayMessage: 12 * time.Microsecond, MailboxMessage: 26 * time.Microsecond,
		RedisMessage: 19 * time.Microsecond, ReplicaMessage: 12 * time.Microsecond,
		Heartbeat: 4 * time.Microsecond, Shake: 13 * time.Microsecond,
		GatewayLogin: 40 * time.Microsecond, MailboxLogin: 25 * time.Microsecond,
		Connection: 4_500, Session: 700, MessageStored: 700, MessageNetwork: 800,
	}
}

// Load is what users do.
type Load struct {
	Users float64 `json:"users"`
	// Messages per user and day; Peak is how much more there are in the busiest
	// second than on average.
	Messages float64 `json:"messages_per_day"`
	Peak     float64 `json:"peak"`
	// Connected is the share of users who are connected at that time; each sends
	// a heartbeat every Heartbeat.
	Connected float64       `json:"connected"`
	Heartbeat time.Duration `json:"heartbeat_ns"`
	// Shakes per second and user, in the minutes of a campaign.
	Shakes float64 `json:"shakes_per_second_and_user"`
	// Return is how long everybody takes to come back after a region was gone.
	Return time.Duration `json:"return_ns"`
	// Retention is how long messages are kept in the store.
	Retention time.Duration `json:"retention_ns"`
}

// DefaultLoad is the article's day: 150 messages per user, of whom six in ten
// are connected when it is busiest; and its new year's eve: 14 million shakes a
// second for 1,000 million users.
func DefaultLoad(users float64) Load {
	return Load{
		Users: users, Messages: 150, Peak: 5, Connected: 0.6, Heartbeat: 4 * time.Minute,
		Shakes: 0.014, Return: 5 * time.Minute, Retention: 3 * 24 * time.Hour,
	}
}

// Machine is a kind of machine.
type Machine struct {
	Cores  float64 `json:"cores"`
	Memory float64 `json:"memory_bytes"`
	// Network is in bytes per second.
	Network float64 `json:"network_bytes_per_second"`
	// Busy is how much of a core may be busy at the peak.
	Busy float64 `json:"busy"`
	// Filled is how much of the memory may be used.
	Filled float64 `json:"filled"`
}

// DefaultMachine has 16 cores, 64 GiB and 10 Gbit/s.
func DefaultMachine() Machine {
	return Machine{Cores: 16, Memory: 64 << 30, Network: 1.25e9, Busy: 0.6, Filled: 0.7}
}

// Limits are those of the architecture rather than of machines.
const (
	// slots are what mailboxes are placed by; below slotsPerNode each, some
	// nodes have much more than others.
	slots        = 4096
	slotsPerNode = 16
	// workerConns is how many connections a gateway's process takes under the
	// usual limit of open files.
	workerConns = 18_000
	// roleLinks is how many a mailbox node takes: a link costs two goroutines
	// and their buffers, some 150 KB.
	roleLinks = 20_000
	// redisServers is how many a Redis Cluster's gossip bears, by its own
	// documentation; redisMemory is how much one may hold before copying it to
	// a new replica takes too long.
	redisServers = 1_000
	redisMemory  = 24 << 30
	// copies are the primary's and those of two replicas.
	copies = 3
)

// Need is how many machines of one kind there have to be, and why.
type Need struct {
	Role     string `json:"role"`
	Machines int    `json:"machines"`
	// Because is what asks for most of them: cpu, memory, network.
	Because string `json:"because"`
	// OnDisk is how many there have to be if memory is not what asks for most.
	OnDisk int `json:"machines_if_on_disk"`
	// Busy is how busy a core is at the peak with so many machines, and P99
	// how long a message waits and is worked on there, 99 times of 100.
	Busy float64       `json:"busy"`
	P99  time.Duration `json:"p99_ns"`
}

// Plan is what so many users need.
type Plan struct {
	Load    Load    `json:"load"`
	Machine Machine `json:"machine"`
	// Rate is messages per second at the peak; Shakes likewise.
	Rate   float64 `json:"messages_per_second"`
	Shakes float64 `json:"shakes_per_second"`
	Needs  []Need  `json:"needs"`
	// Regions is how many regions the limits of the architecture ask for.
	Regions int `json:"regions"`
	// Limits say how near one region would be to each of them, the nearest
	// first: 1 is at it.
	Limits []Limit `json:"limits"`
}

// Limit is something that is not a matter of more machines.
type Limit struct {
	Name string `json:"name"`
	// Used is the share that one region with all users would use.
	Used float64 `json:"used"`
}

// New makes a plan.
func New(load Load, m Machine, c Costs) (*Plan, error) {
	if err := load.validate(); err != nil {
		return nil, err
	}
	p := &Plan{Load: load, Machine: m}
	p.Rate = load.Users * load.Messages / 86_400 * load.Peak
	p.Shakes = load.Users * load.Shakes
	conns := load.Users * load.Connected
	returning := conns / load.Return.Seconds()
	p.need("gateway", c.GatewayMessage, demand{
		cores: seconds(p.Rate, c.GatewayMessage) + seconds(conns/load.Heartbeat.Seconds(), c.Heartbeat) +
			max(seconds(p.Shakes, c.Shake), seconds(returning, c.GatewayLogin)),
		memory: conns * float64(c.Connection), network: p.Rate * float64(c.MessageNetwork),
	})
	p.need("mailbox", c.MailboxMessage, demand{
		cores:  seconds(p.Rate, c.MailboxMessage) + seconds(returning, c.MailboxLogin),
		memory: conns * float64(c.Session), network: p.Rate * float64(c.MessageNetwork),
	})
	stored := load.Users * load.Messages * load.Retention.Hours() / 24 * float64(c.MessageStored)
	redis := c.RedisMessage + (copies-1)*c.ReplicaMessage
	p.need("redis", redis, demand{
		cores: seconds(p.Rate, redis), memory: copies * stored, network: copies * p.Rate * float64(c.MessageStored),
	})
	// Each server has one thread.
	servers := copies * math.Ceil(max(seconds(p.Rate, c.RedisMessage)/m.Busy, stored/redisMemory))
	p.limit(conns, servers)
	return p, nil
}

func (l *Load) validate() error {
	switch {
	case l.Users < 1 || l.Users > 1e11:
		return fmt.Errorf("users: between 1 and 100 thousand million")
	case l.Messages <= 0 || l.Peak < 1 || l.Connected <= 0 || l.Connected > 1:
		return fmt.Errorf("messages are more than 0, the peak is at least 1, and at most all users are connected")
	case l.Heartbeat < time.Second || l.Return < time.Second || l.Retention < time.Hour || l.Shakes < 0:
		return fmt.Errorf("heartbeat and return are at least a second, retention an hour, shakes not negative")
	}
	return nil
}

// seconds is how many cores so many things per second keep busy.
func seconds(rate float64, cost time.Duration) float64 { return rate * cost.Seconds() }

// demand is what all machines of a role have to offer together.
type demand struct{ cores, memory, network float64 }

func (p *Plan) need(role string, service time.Duration, d demand) {
	m := p.Machine
	n := Need{Role: role}
	for _, r := range []struct {
		why  string
		have float64
		want float64
	}{{"cpu", m.Cores * m.Busy, d.cores}, {"memory", m.Memory * m.Filled, d.memory}, {"network", m.Network * m.Busy, d.network}} {
		machines := int(math.Ceil(r.want / r.have))
		if machines > n.Machines {
			n.Machines, n.Because = machines, r.why
		}
		if r.why != "memory" {
			n.OnDisk = max(n.OnDisk, machines)
		}
	}
	// One may be gone.
	n.Machines, n.OnDisk = max(2, n.Machines+1), max(2, n.OnDisk+1)
	n.Busy = d.cores / (float64(n.Machines) * m.Cores)
	n.P99 = wait99(service, n.Busy)
	p.Needs = append(p.Needs, n)
}

// wait99 is the 99th percentile of the time in an M/M/1 queue: goroutines that
// each own what they work on do not help each other.
func wait99(service time.Duration, busy float64) time.Duration {
	if busy >= 1 {
		return math.MaxInt64
	}
	return time.Duration(math.Log(100) * float64(service) / (1 - busy))
}
