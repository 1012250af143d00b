package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"
)

// renewWithin is how close to its end a certificate is worth a warning.
const renewWithin = 14 * 24 * time.Hour

func (e *exam) tls() Finding {
	if e.cfg.TLSCert == "" {
		return e.withoutTLS()
	}
	pair, err := tls.LoadX509KeyPair(e.cfg.TLSCert, e.cfg.TLSKey)
	if err != nil {
		return Finding{Level: Fail, Value: err.Error(), Need: "a certificate and its key that this user can read", Why: "Skein does not start without them"}
	}
	cert := pair.Leaf
	if cert == nil {
		if cert, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return Finding{Level: Fail, Value: err.Error(), Need: "a certificate"}
		}
	}
	f := Finding{Level: OK, Value: fmt.Sprintf("%s, valid until %s", cert.Subject.CommonName, cert.NotAfter.Format(time.DateOnly))}
	if len(cert.DNSNames) > 0 {
		f.Value = fmt.Sprintf("%s, valid until %s", cert.DNSNames[0], cert.NotAfter.Format(time.DateOnly))
	}
	const fix = "renew the certificate and restart Skein, which reads it when it starts"
	left := cert.NotAfter.Sub(e.Now())
	switch {
	case e.Now().Before(cert.NotBefore):
		f.Level, f.Need, f.Fix = Fail, "one that is valid now", "set the clock, or wait until "+cert.NotBefore.Format(time.DateTime)
	case left <= 0:
		f.Level, f.Need, f.Fix = Fail, "one that is valid now", fix
	case left < renewWithin:
		f.Level, f.Need, f.Fix = Warn, "two weeks left", fix
	default:
		return e.keyPrivate(f)
	}
	f.Why = "clients refuse a certificate outside of its time"
	return f
}

// keyPrivate warns of a key that others can read.
func (e *exam) keyPrivate(f Finding) Finding {
	perm, err := mode(e.cfg.TLSKey)
	if err == nil && perm&0o007 != 0 {
		f.Level, f.Value = Warn, fmt.Sprintf("%s, mode %04o", e.cfg.TLSKey, perm)
		f.Need, f.Why, f.Fix = "mode 0600 or 0640", "every user of this machine can read the key", "chmod o= "+e.cfg.TLSKey
	}
	return f
}

// withoutTLS warns of addresses that others can reach.
func (e *exam) withoutTLS() Finding {
	for _, a := range []address{{"http", e.cfg.HTTP}, {"link", e.cfg.Link}} {
		host, _, err := net.SplitHostPort(a.addr)
		ip := net.ParseIP(host)
		if err != nil || host == "localhost" || ip != nil && ip.IsLoopback() {
			continue
		}
		return Finding{
			Level: Warn, Value: fmt.Sprintf("none, and --%s %s is not on loopback", a.setting, a.addr), Need: "a certificate, unless a proxy before Skein has one",
			Why: "passwords, tokens and messages would go over the network in clear", Fix: "--tls-cert and --tls-key",
		}
	}
	return Finding{Level: OK, Value: "none, on loopback"}
}
