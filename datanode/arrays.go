package datanode

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"redoubt/blockstore"
	"redoubt/blockstore/array"
	"redoubt/dfs"
	"redoubt/vfs"
	"redoubt/wire/control"
)

// ArrayConfig is a RAID-5 array that serves as one volume.
type ArrayConfig struct {
	Members []array.Member
	Spares  []array.Member
	Type    dfs.StorageType // 0 is StorageDisk
	Unit    int64           // bytes; 0 is the array's own, or 64 KiB
	// RebuildRate limits a rebuild, in bytes a second; 0 is no limit.
	RebuildRate int64
}

// Name is the array's volume as it stands in a configuration.
func (c ArrayConfig) Name() string {
	var b strings.Builder
	b.WriteString("raid5:")
	for i, m := range c.Members {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(m.Dir)
	}
	for _, m := range c.Spares {
		b.WriteString(",spare=" + m.Dir)
	}
	return b.String()
}

// arrays are a datanode's RAID-5 volumes.
type arrays struct {
	mu   sync.Mutex
	list []*array.Array
}

// validateArrays finds what is wrong about arrays, and directories that are used twice.
func (c *Config) validateArrays() []error {
	var errs []error
	plain := map[string]bool{}
	for _, v := range c.Volumes {
		if v.FS == nil {
			plain[path.Clean(v.Dir)] = true
		}
	}
	taken := map[string]bool{}
	for _, a := range c.Arrays {
		if err := a.config(c).Validate(); err != nil {
			errs = append(errs, fmt.Errorf("datanode: %s: %w", a.Name(), err))
		}
		for _, m := range slices.Concat(a.Members, a.Spares) {
			if m.FS != nil && m.FS != c.FS {
				continue
			}
			dir := path.Clean(m.Dir)
			if plain[dir] || taken[dir] {
				errs = append(errs, fmt.Errorf("datanode: %s: %s is used by another volume too", a.Name(), dir))
			}
		}
		for _, m := range slices.Concat(a.Members, a.Spares) {
			taken[path.Clean(m.Dir)] = true
		}
	}
	return errs
}

// lookAround warns of what is amiss around the directories of volumes. One that can't be
// used is refused, and told, when it is opened.
func (dn *DataNode) lookAround() {
	dirs := map[string]vfs.FS{}
	for _, v := range dn.cfg.Volumes {
		dirs[v.Dir] = v.FS
	}
	for _, a := range dn.cfg.Arrays {
		for _, m := range slices.Concat(a.Members, a.Spares) {
			dirs[m.Dir] = m.FS
		}
	}
	for dir, disk := range dirs {
		if disk == nil {
			disk = dn.cfg.FS
		}
		if warning, err := disk.Protect(dir); err == nil && warning != "" {
			dn.cfg.Log.Warn("volume: "+warning, "dir", dir)
		}
	}
}

func (a ArrayConfig) config(c *Config) array.Config {
	return array.Config{FS: c.FS, Members: a.Members, Spares: a.Spares, Unit: a.Unit, RebuildRate: a.RebuildRate}
}

// openArrays opens the arrays and gives the volumes that they are. An array that has lost
// too many members is a failed volume; one that was put together wrongly is an error.
func (dn *DataNode) openArrays() ([]blockstore.VolumeConfig, error) {
	var vols []blockstore.VolumeConfig
	for _, a := range dn.cfg.Arrays {
		name := a.Name()
		cfg := a.config(&dn.cfg)
		cfg.OnEvent = func(e array.Event) { dn.arrayEvent(name, e) }
		v := blockstore.VolumeConfig{Dir: "/", Type: a.Type, Name: name}
		arr, err := array.Open(cfg)
		switch {
		case errors.Is(err, array.ErrLost):
			v.Err = err
		case err != nil:
			return nil, errors.Join(fmt.Errorf("datanode: %s: %w", name, err), dn.closeArrays())
		default:
			v.FS = arr
			dn.arrays.mu.Lock()
			dn.arrays.list = append(dn.arrays.list, arr)
			dn.arrays.mu.Unlock()
		}
		vols = append(vols, v)
	}
	return vols, nil
}

func (dn *DataNode) arrayEvent(name string, e array.Event) {
	dn.metrics.arrayEvents.WithLabelValues(string(e.Kind)).Inc()
	log := dn.cfg.Log.Warn
	switch e.Kind {
	case array.RebuildStarted, array.RebuildFinished, array.MemberMoved, array.UnitRepaired:
		log = dn.cfg.Log.Info
	}
	log("array: "+string(e.Kind), "array", name, "dir", e.Dir, "file", e.File, "err", e.Err)
}

func (dn *DataNode) closeArrays() error {
	dn.arrays.mu.Lock()
	list := dn.arrays.list
	dn.arrays.list = nil
	dn.arrays.mu.Unlock()
	var errs []error
	for _, a := range list {
		errs = append(errs, a.Close())
	}
	return errors.Join(errs...)
}

func (dn *DataNode) openedArrays() []*array.Array {
	dn.arrays.mu.Lock()
	defer dn.arrays.mu.Unlock()
	return slices.Clone(dn.arrays.list)
}

// arrayAdmin answers administrators' questions about arrays.
type arrayAdmin struct{ dn *DataNode }

// ArrayStatus tells the state of every array.
func (a arrayAdmin) ArrayStatus(context.Context, *control.ArrayStatusRequest) (*control.ArrayStatusReply, error) {
	reply := &control.ArrayStatusReply{}
	for _, arr := range a.dn.openedArrays() {
		reply.Arrays = append(reply.Arrays, arrayInfo(arr.Status()))
	}
	return reply, nil
}

func arrayInfo(s array.Status) control.ArrayInfo {
	info := control.ArrayInfo{ID: s.ID, Unit: s.Unit, Events: s.Events, Spares: s.Spares, Degraded: s.Degraded, Lost: s.Lost,
		Capacity: s.Capacity, Free: s.Free, Files: s.Files, Repaired: s.Repaired, Damaged: s.Damaged}
	for _, m := range s.Members {
		mi := control.ArrayMember{Place: m.Place, Dir: m.Dir, State: m.State.String()}
		if m.Err != nil {
			mi.Err = m.Err.Error()
		}
		info.Members = append(info.Members, mi)
	}
	if r := s.Rebuild; r.Dir != "" {
		info.Rebuild = control.ArrayRebuild{Dir: r.Dir, Place: r.Place, Files: r.Files, TotalFiles: r.TotalFiles,
			Bytes: r.Bytes, TotalBytes: r.TotalBytes, StartedMS: r.Started.UnixMilli()}
		if r.Err != nil {
			info.Rebuild.Err = r.Err.Error()
		}
	}
	return info
}

// ArrayReplace puts a directory in a member's place.
func (a arrayAdmin) ArrayReplace(ctx context.Context, req *control.ArrayReplaceRequest) (*control.ArrayReplaceReply, error) {
	if err := a.dn.checkSuperuser(control.CallerUser(ctx)); err != nil {
		return nil, dfs.Errorf(dfs.Permission, "%v", err)
	}
	if !filepath.IsAbs(req.Old) || !filepath.IsAbs(req.New) {
		return nil, dfs.Errorf(dfs.IllegalArgument, "want absolute directories, have %q and %q", req.Old, req.New)
	}
	if err := a.dn.freeDir(req.Old, req.New); err != nil {
		return nil, err
	}
	for _, arr := range a.dn.openedArrays() {
		for _, m := range arr.Status().Members {
			if path.Clean(m.Dir) != path.Clean(req.Old) {
				continue
			}
			if err := arr.Replace(m.Dir, req.New); err != nil {
				return nil, dfs.Errorf(dfs.IllegalArgument, "%v", err)
			}
			return &control.ArrayReplaceReply{ID: arr.Status().ID}, nil
		}
	}
	return nil, dfs.Errorf(dfs.IllegalArgument, "no array here has a member %s", req.Old)
}

// freeDir refuses a directory that is in use. A failed member's own may take its place
// again: a new disk is mounted where the old one was. The array sees to it that it is empty.
func (dn *DataNode) freeDir(old, dir string) error {
	old, dir = path.Clean(old), path.Clean(dir)
	for _, v := range dn.cfg.Volumes {
		if v.FS == nil && path.Clean(v.Dir) == dir {
			return dfs.Errorf(dfs.IllegalArgument, "%s is a volume of its own", dir)
		}
	}
	for _, arr := range dn.openedArrays() {
		for _, m := range arr.Status().Members {
			if path.Clean(m.Dir) == dir && (dir != old || m.State != array.Failed) {
				return dfs.Errorf(dfs.IllegalArgument, "%s is member %d of an array already", dir, m.Place)
			}
		}
	}
	return nil
}

// ArrayVerify reads every stripe of every array and repairs what can be.
func (a arrayAdmin) ArrayVerify(ctx context.Context, _ *control.ArrayVerifyRequest) (*control.ArrayVerifyReply, error) {
	if err := a.dn.checkSuperuser(control.CallerUser(ctx)); err != nil {
		return nil, dfs.Errorf(dfs.Permission, "%v", err)
	}
	reply := &control.ArrayVerifyReply{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.dn.ctx, cancel)()
	for _, arr := range a.dn.openedArrays() {
		r, err := arr.Verify(ctx)
		if err != nil {
			return nil, dfs.Errorf(dfs.Other, "array %s: %v", arr.Status().ID, err)
		}
		v := control.ArrayVerified{ID: arr.Status().ID, Files: r.Files, Stripes: r.Stripes, Bytes: r.Bytes, Repaired: r.Repaired}
		for _, d := range r.Damaged {
			v.Damaged = append(v.Damaged, fmt.Sprintf("%s, stripe %d at offset %d: %v", d.File, d.Stripe, d.Offset, d.Err))
		}
		reply.Arrays = append(reply.Arrays, v)
	}
	return reply, nil
}

// arrayCollector is a Prometheus collector over a datanode's arrays.
type arrayCollector struct {
	dn               *DataNode
	members, rebuild *prometheus.Desc
}

func newArrayCollector(dn *DataNode) *arrayCollector {
	return &arrayCollector{dn,
		prometheus.NewDesc("redoubt_datanode_array_members", "Members of a RAID-5 volume by state.", []string{"array", "state"}, nil),
		prometheus.NewDesc("redoubt_datanode_array_rebuild_bytes", "Bytes of the rebuild under way: done, and in total.", []string{"array", "part"}, nil),
	}
}

// Describe tells the metrics that there can be.
func (c *arrayCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.members; ch <- c.rebuild }

// Collect tells their values.
func (c *arrayCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, array, label string, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, array, label)
	}
	for _, arr := range c.dn.openedArrays() {
		s := arr.Status()
		n := map[array.State]int{array.Active: 0, array.Failed: 0, array.Rebuilding: 0}
		for _, m := range s.Members {
			n[m.State]++
		}
		for state, v := range n {
			gauge(c.members, s.ID, state.String(), float64(v))
		}
		if s.Rebuild.Dir != "" {
			gauge(c.rebuild, s.ID, "done", float64(s.Rebuild.Bytes))
			gauge(c.rebuild, s.ID, "total", float64(s.Rebuild.TotalBytes))
		}
	}
}
