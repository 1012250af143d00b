package config

import (
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// Peers are the relays of the other regions, by region.
func (c *Config) Peers() map[im.Region][]string {
	peers := map[im.Region][]string{}
	for _, one := range list(c.Regions) {
		name, addrs, _ := strings.Cut(one, "=")
		peers[im.Region(name)] = append(peers[im.Region(name)], strings.Split(addrs, "|")...)
	}
	return peers
}

// RegionLinkAddresses and RegionHTTPAddresses are where clients reach this
// region.
func (c *Config) RegionLinkAddresses() []string { return list(c.RegionLinks) }

// RegionHTTPAddresses are likewise those of the HTTP API.
func (c *Config) RegionHTTPAddresses() []string { return list(c.RegionHTTP) }

// DirectoryRegion is Directory, or the region itself if it is alone.
func (c *Config) DirectoryRegion() im.Region {
	if c.Directory == "" && c.Regions == "" {
		return im.Region(c.Region)
	}
	return im.Region(c.Directory)
}

// checkRegions checks what belongs to regions.
func (c *Config) checkRegions(p *problems) {
	if c.Region == "" {
		if c.Regions != "" || c.Directory != "" || c.RelayCert != "" {
			p.add("region: without a name, this is the only region; regions, directory and relay_cert need one")
		}
		return
	}
	if err := im.CheckRegion(im.Region(c.Region)); err != nil {
		p.add("region: %v", err)
	}
	for _, one := range list(c.Regions) {
		name, addrs, ok := strings.Cut(one, "=")
		if err := im.CheckRegion(im.Region(name)); err != nil || !ok || name == c.Region {
			p.add("regions: %q is not another region's name=address", one)
			continue
		}
		for addr := range strings.SplitSeq(addrs, "|") {
			p.address("regions", addr)
		}
	}
	c.checkPlaces(p)
	if c.RelaysElsewhere() {
		if c.Directory == "" {
			p.add("directory: which region knows where users live? Without --regions, 'skein relay' leads to the others, and nothing else says it")
		}
		return
	}
	if _, ok := c.Peers()[c.DirectoryRegion()]; !ok && c.DirectoryRegion() != im.Region(c.Region) {
		p.add("directory: %q is neither region nor among regions", c.Directory)
	}
	p.address("relay_listen", c.RelayListen)
	if c.RelayCert == "" || c.RelayKey == "" || c.RelayCA == "" {
		p.add("relay_cert, relay_key, relay_ca: a region needs all of them; 'skein relay cert' makes them")
	}
}

// RelaysElsewhere reports whether a mailbox node reaches other regions over
// relays in processes of their own: it does not know where they are. It may have a
// certificate nevertheless, for a standby.
func (c *Config) RelaysElsewhere() bool {
	return c.Region != "" && c.Store != StorePebble && c.Regions == "" && (c.RelayCert == "" || c.Directory != "")
}

// checkPlaces checks where clients are sent.
func (c *Config) checkPlaces(p *problems) {
	for _, a := range c.RegionLinkAddresses() {
		if _, hostport, ok := strings.Cut(a, "://"); ok {
			a = hostport
		}
		p.address("region_links", strings.TrimSuffix(a, "/link"))
	}
	for _, a := range c.RegionHTTPAddresses() {
		if !strings.HasPrefix(a, "http://") && !strings.HasPrefix(a, "https://") {
			p.add("region_http: %q is not a URL like https://eu.example.com", a)
		}
	}
}
