package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// ServerName is the name by which a certificate names its region.
func ServerName(r im.Region) string { return string(r) + ".region.skein" }

// Protocols of a connection, as ALPN has them.
const (
	protoMessages = "skein-relay/1"
	protoRole     = "skein-role/1"
	protoStandby  = "skein-standby/1"
)

// Credentials are a region's certificate, and the authority that made those of
// all regions.
type Credentials struct {
	cert tls.Certificate
	pool *x509.CertPool
}

// LoadCredentials reads PEM files.
func LoadCredentials(certFile, keyFile, caFile string) (*Credentials, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("cannot use the relay's certificate: %w", err)
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authority of relays: %w", err)
	}
	return newCredentials(cert, ca)
}

func newCredentials(cert tls.Certificate, ca []byte) (*Credentials, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, im.Errorf(im.Invalid, "the file of the relays' authority holds no certificate")
	}
	return &Credentials{cert: cert, pool: pool}, nil
}

// Check reports whether the certificate is one for a region, made by the
// authority, and not expired.
func (c *Credentials) Check(r im.Region) error {
	leaf, err := x509.ParseCertificate(c.cert.Certificate[0])
	if err != nil {
		return err
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: ServerName(r), Roots: c.pool,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return im.Errorf(im.Invalid, "the relay's certificate does not do for region %s; 'skein relay cert' makes one: %w", r, err)
	}
	return nil
}

func (c *Credentials) server() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.cert}, ClientCAs: c.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13, NextProtos: []string{protoMessages, protoRole},
	}
}

func (c *Credentials) client(peer im.Region, proto string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.cert}, RootCAs: c.pool, ServerName: ServerName(peer),
		MinVersion: tls.VersionTLS13, NextProtos: []string{proto},
	}
}

// Standby are the two ends of a connection between a region's mailboxes and its
// standby: both show that region's certificate.
func (c *Credentials) Standby(r im.Region) (server, client *tls.Config) {
	server = c.server()
	server.NextProtos = []string{protoStandby}
	server.VerifyConnection = func(s tls.ConnectionState) error { return s.PeerCertificates[0].VerifyHostname(ServerName(r)) }
	return server, c.client(r, protoStandby)
}

// Authority makes the certificates of regions.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// How long certificates are good for.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	regionLife    = 2 * 365 * 24 * time.Hour
)

// NewAuthority makes one, and its PEM files.
func NewAuthority(now time.Time) (a *Authority, certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	template, err := certificate("skein relays", now, authorityLife)
	if err != nil {
		return nil, nil, nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	template.MaxPathLenZero = true
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, nil, err
	}
	if keyPEM, err = encodeKey(key); err != nil {
		return nil, nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, encodeCert(der), keyPEM, err
}

// LoadAuthority reads what NewAuthority has made.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("cannot use the authority of relays: %w", err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !cert.IsCA {
		return nil, im.Errorf(im.Invalid, "the authority of relays was not made by this command")
	}
	return &Authority{cert, key}, nil
}

// Issue makes the certificate of a region, and its key.
func (a *Authority) Issue(r im.Region, now time.Time) (certPEM, keyPEM []byte, err error) {
	if err := im.CheckRegion(r); err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := certificate("skein relay "+string(r), now, regionLife)
	if err != nil {
		return nil, nil, err
	}
	template.DNSNames = []string{ServerName(r)}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return encodeCert(der), keyPEM, err
}

// certificate is what all have in common. They are good from an hour ago:
// clocks differ.
func certificate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
	}, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
