package simulate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/client"
	"redoubt/dfs"
	"redoubt/namenode"
)

var (
	all   = flag.Bool("simulate.all", false, "kill at every event, not at a sample of them")
	runs  = flag.Int("simulate.runs", 0, "about how many kills for each script; 0: the script's own number")
	seed  = flag.Uint64("simulate.seed", 1, "of the sample, of the network's delays and of what is left on disks")
	fails = flag.Int("simulate.failures", 3, "of a script, after which it is given up")
	only  = flag.String("simulate.only", "", "one kill again, as a failure names it: script:victim:event:seed")
)

// script is a way to use a cluster, and what must be true of it when all is calm again.
type script struct {
	name string
	cfg  Config
	runs int // kills by default
	// setup runs before events are counted, run while they are.
	setup, run func(s *session)
	// settled says what is still to be done, "" when the cluster is as it should be.
	settled func(s *session) string
	victims []string // nil: the client, the name node, each datanode, and all of them
	// double says that the script itself takes a datanode down, so that with another one dead
	// not everything can be read at once, but all must be there when that one is back.
	double bool
}

// fate is a kill to try.
type fate struct {
	victim string // "": none, a dry run
	at     int
	seed   uint64
}

func (f fate) String() string { return fmt.Sprintf("%s:%d:%d", f.victim, f.at, f.seed) }

// session is one run of a script.
type session struct {
	t     *testing.T
	ctx   context.Context
	c     *Cluster
	cl    *client.Client
	host  *Host // the client's
	o     *Oracle
	rng   *rand.Rand
	fate  fate
	began time.Time

	mu      sync.Mutex
	wrong   []error
	reads   int
	longest time.Duration
	work    sync.WaitGroup // of what a kill started
	struck  bool
	killed  []*Party
	hosts   atomic.Pointer[string] // the name node's exclude file
	wiped   map[*Party]bool        // dead ones whose disks are lost
	double  bool                   // of the script
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, err)
}

// play runs a script once in a bubble.
func play(t *testing.T, sc *script, f fate) (s *session, events int) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 6*time.Hour)
		defer cancel()
		cfg := sc.cfg
		cfg.Seed = f.seed
		s = &session{o: NewOracle(), double: sc.double, wiped: map[*Party]bool{}, rng: rand.New(rand.NewPCG(f.seed, 3)), fate: f, began: time.Now()}
		s.exclude("")
		cfg.NameNode = func(nn *namenode.Config) {
			nn.Hosts = namenode.HostsConfig{Exclude: "exclude", ReadFile: func(string) ([]byte, error) { return []byte(*s.hosts.Load()), nil }}
			if sc.cfg.NameNode != nil {
				sc.cfg.NameNode(nn)
			}
		}
		if *only != "" {
			cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		c, err := Start(ctx, cfg)
		require.NoError(t, err)
		s.t, s.ctx, s.c, s.host = t, ctx, c, c.Net.Host("10.0.1.1")
		s.cl, err = c.Client(s.host)
		require.NoError(t, err)
		if sc.setup != nil {
			sc.setup(s)
		}
		plan := &Plan{At: f.at}
		if f.victim != "" {
			plan.Do = s.kill
		}
		c.Watch(plan)
		sc.run(s)
		events, s.struck = c.Unwatch()
		s.work.Wait()
		s.finish(sc)
		if err := errors.Join(s.cl.Close(), c.Close()); err != nil && !s.struck {
			s.fail(err)
		}
	})
	return s, events
}

// kill is the plan: it ends the victim, or cuts a datanode off for a while, and sees to it
// that everything is read at once.
func (s *session) kill() {
	how := Reset
	if s.fate.seed%3 == 0 {
		how = Silent
	}
	if s.fate.victim == "client" {
		s.host.Kill(how)
		s.work.Go(func() { s.readAll("10.0.1.2", "right after the client's death") })
		return
	}
	parties := s.c.parties(s.fate.victim)
	if len(parties) == 1 && parties[0] != s.c.Name && parties[0].Alive() && s.fate.seed%4 == 1 {
		from := nameIP
		if s.fate.seed%8 == 1 {
			from = Everybody // it may as well have stopped for a while
		}
		s.c.cutOff(parties[0], from, true)
		s.work.Go(func() { s.cutOffFor(parties[0], from) })
		return
	}
	for _, p := range parties {
		if p.Alive() {
			s.killed = append(s.killed, p)
			s.c.Kill(p, how)
		}
	}
	if s.fate.victim == "all" {
		s.o.PowerCut()
	}
	s.work.Go(s.afterKill)
}

// cutOff cuts a datanode off from the name node or from everybody, both ways, or ends that.
func (c *Cluster) cutOff(p *Party, from string, cut bool) {
	c.Net.Cut(p.IP, from, cut)
	c.Net.Cut(from, p.IP, cut)
}

// cutOffFor is what follows a cut, which is shorter or longer than it takes to count as dead.
func (s *session) cutOffFor(p *Party, from string) {
	if !s.double {
		s.readAll("10.0.1.2", "right after "+p.Name+" was cut off")
	}
	s.sleep(time.Duration(s.fate.seed%7) * 8 * time.Second)
	if !s.double {
		s.readAll("10.0.1.5", "with "+p.Name+" cut off")
	}
	s.c.cutOff(p, from, false)
}

// afterKill is what follows the end of parties.
func (s *session) afterKill() {
	name := slices.Contains(s.killed, s.c.Name)
	if name { // nothing works without it
		s.sleep(time.Duration(s.fate.seed%7) * 300 * time.Millisecond)
		s.restart(s.c.Name)
	}
	data := slices.DeleteFunc(slices.Clone(s.killed), func(p *Party) bool { return p == s.c.Name })
	if name && len(data) > 0 { // everything is down
		s.restartAll(data)
	}
	if !s.double || len(data) == 0 {
		s.readAll("10.0.1.2", "right after the kill")
	}
	if !name && s.fate.seed%2 == 0 {
		s.sleep(time.Duration(s.fate.seed%5) * 10 * time.Second)
		s.restartAll(data)
	}
}

func (s *session) restartAll(parties []*Party) {
	for _, p := range parties {
		if !p.Alive() {
			s.restart(p)
		}
	}
}

// restart starts a dead party, on its old disk or, if that is lost, on an empty one.
func (s *session) restart(p *Party) {
	var err error
	if s.wiped[p] {
		err = s.c.Replace(p)
	} else {
		choice := s.fate.seed / 2 % 16
		if s.fate.victim == "all" {
			choice = 1 + (s.fate.seed+uint64(slices.Index(s.c.Data, p)))%16 // a power cut, another one for each
		}
		err = s.c.Restart(s.ctx, p, choice)
	}
	if err != nil {
		s.fail(fmt.Errorf("restart of %s: %w", p.Name, err))
	}
}

// readAll reads every path and judges it. Virtual time may pass as retries need it.
func (s *session) readAll(ip, when string) {
	cl, err := s.c.Client(s.c.Net.Host(ip))
	if err != nil {
		s.fail(err)
		return
	}
	defer cl.Close()
	began := time.Now()
	for _, path := range s.o.Paths() {
		v := s.o.Version(path)
		data, err := read(s.ctx, cl, path)
		for range 30 {
			// With a node down before, the length of a block whose writer has died as it began
			// can be known only when the name node counts that node as dead.
			if err == nil || !s.double || s.o.Version(path) != v {
				break
			}
			time.Sleep(time.Second)
			data, err = read(s.ctx, cl, path)
		}
		switch {
		case err != nil && s.o.Version(path) != v:
		case err != nil && s.o.MustBeThere(path):
			s.fail(fmt.Errorf("%s: read %s: %w", when, path, err))
		case err == nil:
			if err := s.o.Judge(path, v, data); err != nil {
				s.fail(fmt.Errorf("%s: %w", when, err))
			}
		}
		s.mu.Lock()
		s.reads++
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.longest = max(s.longest, time.Since(began))
	s.mu.Unlock()
}

// read gives a file's bytes, nil if there is none.
func read(ctx context.Context, cl *client.Client, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	f, err := cl.Open(ctx, path)
	if dfs.Is(err, dfs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if data == nil {
		data = []byte{}
	}
	return data, err
}

// finish reads all, brings the victim back, waits for calm, and judges everything.
func (s *session) finish(sc *script) {
	if !sc.double && slices.ContainsFunc(s.killed, func(p *Party) bool { return !p.Alive() }) {
		s.readAll("10.0.1.3", "with "+s.fate.victim+" still down")
	}
	s.restartAll(s.c.Data)
	cl, err := s.c.Client(s.c.Net.Host("10.0.1.4"))
	if err != nil {
		s.fail(err)
		return
	}
	defer cl.Close()
	s.exclude("")
	if err := cl.RefreshNodes(s.ctx); err != nil {
		s.fail(err)
	}
	s.recoverLeases(cl)
	if err := cl.SatisfyStoragePolicy(s.ctx, "/"); err != nil { // a client may have died between this and its change of policy
		s.fail(err)
	}
	if state := s.calm(sc); state != "" {
		s.fail(fmt.Errorf("not calm after 30 minutes: %s\n%s", state, s.describe()))
	}
	found := map[string][]byte{}
	for _, path := range s.o.Paths() {
		data, err := read(s.ctx, cl, path)
		if err == nil {
			err = s.o.Judge(path, s.o.Version(path), data)
			found[path] = data
		}
		if err != nil {
			s.fail(fmt.Errorf("in the end: %s: %w", path, err))
		}
		s.reads++
	}
	if err := s.o.JudgePairs(found); err != nil {
		s.fail(err)
	}
	s.readEachReplica(cl, found)
}

// recoverLeases closes what a failed writer has left open. After a power cut of all machines
// a last block that was only flushed may be gone for good; such a file can't be closed, as in
// HDFS, and is deleted once it has been read.
func (s *session) recoverLeases(cl *client.Client) {
	for _, path := range s.o.Paths() {
		if _, sure := s.o.Certain(path); sure {
			continue
		}
		closed := false
		for i := 0; i < 600 && !closed; i++ {
			var err error
			closed, err = cl.RecoverLease(s.ctx, path)
			if closed = closed || dfs.Is(err, dfs.NotFound); !closed {
				s.sleep(time.Second)
			}
		}
		if closed || s.fate.victim != "all" {
			continue
		}
		s.readAll("10.0.1.6", "with a file that can't be closed")
		if _, err := cl.Delete(s.ctx, path, false); err != nil {
			s.fail(err)
		}
		s.o.Ack(path, Absent)
	}
}

// alive counts the datanodes that run.
func (c *Cluster) alive() (n int) {
	for _, p := range c.Data {
		if p.Alive() {
			n++
		}
	}
	return n
}

// parties finds whom a name means: one party, "all" of them, or the datanodes of "rackN".
func (c *Cluster) parties(name string) (list []*Party) {
	for _, p := range append(c.Data[:len(c.Data):len(c.Data)], c.Name) {
		if p.Name == name || name == "all" || p != c.Name && "/"+name == c.rack(dfs.DatanodeID{IP: p.IP}) {
			list = append(list, p)
		}
	}
	return list
}

// exclude writes the name node's list of datanodes that are to be drained.
func (s *session) exclude(hosts string) { s.hosts.Store(&hosts) }

// sleep lets virtual time pass.
func (s *session) sleep(d time.Duration) { time.Sleep(d) }

// debug tells what happens in a run that is played again.
func (s *session) debug(args ...any) {
	if *only != "" {
		s.t.Log(append([]any{time.Since(s.began).Round(time.Microsecond)}, args...)...)
	}
}
