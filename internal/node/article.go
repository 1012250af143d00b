package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/skein-im/skein/internal/api/article"
)

// loadArticleData provisions the users and friendships of --article-data.
func (n *Node) loadArticleData(ctx context.Context) error {
	if n.cfg.ArticleData == "" {
		return nil
	}
	f, err := os.Open(n.cfg.ArticleData)
	if err != nil {
		return fmt.Errorf("cannot read the article data: %w", err)
	}
	defer f.Close()
	users, err := article.ReadData(f)
	if err != nil {
		return fmt.Errorf("%s: %w", n.cfg.ArticleData, err)
	}
	begun, told := time.Now(), time.Now()
	err = article.Load(ctx, n.mailbox(), users, func(done, total int) {
		if time.Since(told) > 2*time.Second {
			told = time.Now()
			n.log.Info("loading article data", "users", done, "of", total)
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", n.cfg.ArticleData, err)
	}
	n.log.Info("article data loaded", "users", len(users), "seconds", time.Since(begun).Seconds())
	return nil
}

// maxArticleURL fits a message of the largest size with every byte escaped.
const maxArticleURL = 256 << 10

// serveArticle opens the listener for the article's URLs, if it is wanted.
func (n *Node) serveArticle() (err error) {
	if n.cfg.ArticleAPI == "" || n.back == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(n.cfg.ArticleAPI)
	if err != nil {
		return err
	}
	if host == "" {
		// No credentials: without a word to the contrary, nobody else.
		host = "127.0.0.1"
	}
	n.addrs.Article, err = n.serveHTTP("--article-api", net.JoinHostPort(host, port), article.NewHandler(n.mailbox(), n.log),
		func(s *http.Server) { s.MaxHeaderBytes = maxArticleURL })
	return err
}
