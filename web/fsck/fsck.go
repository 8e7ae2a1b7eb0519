// Package fsck answers GET /fsck: a check of the tree, in the form that Hadoop's own
// `hdfs fsck` asks for and prints. The last line of an answer decides that program's exit
// code, so those lines are HDFS's; what stands between is in its order, for scripts that cut
// it into pieces. What HDFS does not have, parity groups, comes in a section of its own.
//
// The package knows no name node: it declares what it asks as Source.
package fsck

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"redoubt/dfs"
)

// Source is the name node as a check sees it.
type Source interface {
	// CheckTree calls fn for a path and everything below it, directories before their entries.
	// A path that is not there is dfs.NotFound; what the caller may not list or read is
	// dfs.Permission; an error of fn ends it.
	CheckTree(ctx context.Context, c *dfs.Caller, path string, fn func(*dfs.FileHealth) error) error
	// CheckBlock describes a block and the file it is of, "" for one that belongs to a parity
	// group only; dfs.NotFound if there is none.
	CheckBlock(c *dfs.Caller, id dfs.BlockID) (dfs.BlockHealth, string, error)
	// LostBlocks lists blocks above after that nothing can give any more, in order of id.
	LostBlocks(c *dfs.Caller, path string, after dfs.BlockID, max int) ([]dfs.LostBlock, error)
	// CheckedCluster sums up the cluster.
	CheckedCluster() dfs.ClusterHealth
	// Warnings are what is wrong with the cluster as a whole, a sentence each.
	Warnings() []string
	// Delete removes a file whose blocks are lost, for a check that is asked to.
	Delete(ctx context.Context, c *dfs.Caller, path string, recursive bool) (bool, error)
}

// Config of the handler.
type Config struct {
	Source Source
	Log    *slog.Logger     // discards
	Now    func() time.Time // time.Now
}

// StaticUser is who a request without a user acts as, HDFS's hadoop.http.staticuser.user.
const StaticUser = "dr.who"

// Handler answers GET /fsck.
func Handler(cfg Config) http.Handler {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		c := newCheck(&cfg, r)
		c.out = bufio.NewWriterSize(w, 32<<10)
		c.run(r.Context())
		_ = c.out.Flush() // the client is gone if that fails
	})
}

// check is one request being answered.
type check struct {
	cfg    *Config
	caller dfs.Caller
	path   string
	show   options
	blocks string // -blockId
	after  string // -list-corruptfileblocks goes on behind it
	out    *bufio.Writer
	begun  time.Time
	total  totals
}

// options are the parameters that are there or not.
type options struct {
	files, blocks, locations, racks, details, domains bool
	open, policies, maintenance, lost, move, remove   bool
}

// Changes says whether a request asks for more than to look, although it is a GET as HDFS's
// own are.
func Changes(r *http.Request) bool {
	q := r.URL.Query()
	return r.URL.Path == "/fsck" && (q.Has("delete") || q.Has("move"))
}

func newCheck(cfg *Config, r *http.Request) *check {
	q := r.URL.Query()
	c := &check{cfg: cfg, path: q.Get("path"), blocks: q.Get("blockId"), after: q.Get("startblockafter"), begun: cfg.Now()}
	c.show = options{
		files: q.Has("files"), blocks: q.Has("blocks"), locations: q.Has("locations"), racks: q.Has("racks"),
		details: q.Has("replicadetails"), domains: q.Has("upgradedomains"), open: q.Has("openforwrite"), policies: q.Has("storagepolicies"),
		maintenance: q.Has("maintenance"), lost: q.Has("listcorruptfileblocks"), move: q.Has("move"), remove: q.Has("delete"),
	}
	if c.path == "" {
		c.path = "/"
	}
	c.caller = dfs.Caller{User: user(q), Addr: remote(r), Protocol: "http"}
	return c
}

func user(q url.Values) string {
	for _, key := range []string{"ugi", "user.name"} {
		if u := q.Get(key); u != "" {
			return u
		}
	}
	return StaticUser
}

func remote(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host) // the zero one when it is no literal
	return addr.Unmap()
}

func (c *check) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// dateForm is java.util.Date's.
const dateForm = "Mon Jan 02 15:04:05 MST 2006"

// run writes the whole answer. What goes wrong is part of it, as in HDFS: the status line
// has long been sent.
func (c *check) run(ctx context.Context) {
	subject := " for path " + c.path
	if c.blocks != "" {
		subject = ""
	}
	c.printf("FSCK started by %s (auth:SIMPLE) from /%s%s at %s\n", c.caller.User, c.caller.Addr, subject, c.begun.Format(dateForm))
	var err error
	switch {
	case c.blocks != "":
		err = c.checkBlocks()
	case c.show.move:
		err = dfs.Errorf(dfs.Unsupported, "-move is not supported: what is left of a file can be read with -get -ignoreCrc, block by block")
	case c.show.lost:
		err = c.listLost()
	default:
		err = c.checkTree(ctx)
	}
	if err == nil {
		return
	}
	if dfs.Is(err, dfs.NotFound) && c.blocks == "" {
		c.printf("\n\nPath '%s' does not exist", c.path)
		return
	}
	c.cfg.Log.Warn("a check of the tree has failed", "user", c.caller.User, "path", c.path, "err", err)
	c.ended()
	c.printf("%s\n\n\nFsck on path '%s' FAILED", text(err), c.path)
}

func (c *check) ended() {
	now := c.cfg.Now()
	c.printf("FSCK ended at %s in %d milliseconds\n", now.Format(dateForm), now.Sub(c.begun).Milliseconds())
}

// text is what a client is told of an error.
func text(err error) string {
	if e, ok := err.(*dfs.Error); ok {
		return e.Message()
	}
	return err.Error()
}
