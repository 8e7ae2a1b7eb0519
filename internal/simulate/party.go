package simulate

import (
	"errors"
	"sync"
	"sync/atomic"

	"redoubt/datanode"
	"redoubt/internal/nameserver"
	"redoubt/vfs"
	"redoubt/vfs/faultfs"
)

// Party is a machine of the cluster: the name node or a datanode. It keeps its address
// and disk over its lives.
type Party struct {
	Name string // "name", "data1", ...
	IP   string

	mu   sync.Mutex
	life *life
}

// life is what runs from one start of a party to its end.
type life struct {
	party *Party
	mem   *vfs.Mem
	fs    *faultfs.FS
	host  *Host
	dead  atomic.Bool

	mu   sync.Mutex // held while it starts and stops
	name *nameserver.Server
	data *datanode.DataNode
}

// newLife prepares a start on a disk.
func (c *Cluster) newLife(p *Party, mem *vfs.Mem) *life {
	l := &life{party: p, mem: mem, fs: faultfs.New(mem), host: c.Net.Host(p.IP)}
	l.fs.SetHook(func(op faultfs.Op) faultfs.Fault {
		if op.Changes() {
			c.event(l.party, !l.dead.Load())
		}
		if l.dead.Load() {
			return faultfs.Fault{Err: vfs.ErrPowerOff}
		}
		return faultfs.Fault{}
	})
	p.mu.Lock()
	p.life = l
	p.mu.Unlock()
	c.mu.Lock()
	c.lives[l.host] = l
	c.mu.Unlock()
	return l
}

// current gives the life that runs or was the last.
func (p *Party) current() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

// Alive reports whether the party has not been killed since its last start.
func (p *Party) Alive() bool {
	l := p.current()
	return l != nil && !l.dead.Load()
}

// close ends what is running. Of a dead life it is the burial: nothing it does reaches
// disk or network any more.
func (l *life) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.data != nil {
		err = l.data.Close()
	}
	if l.name != nil {
		err = errors.Join(err, l.name.Close())
	}
	l.data, l.name = nil, nil
	return err
}
