package blockstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"redoubt/dfs"
	"redoubt/vfs"
)

// volume is one directory of replicas.
type volume struct {
	index   uint16
	fs      vfs.FS
	dir     string
	name    string // what reports and messages call it
	kind    dfs.StorageType
	storage string // its id
	pool    string // directory of the pool's replicas
	tmp     string
	lock    io.Closer
	fresh   bool

	capacity int64        // that it may use; 0: all of the disk
	used     atomic.Int64 // bytes of replicas
	promised atomic.Int64 // bytes that writers have announced and not yet written
	replicas atomic.Int64
	aside    atomic.Int64
	made     [32 * 32]atomic.Bool // finalized directories known to exist

	probing sync.Mutex // one probe at a time
	mu      sync.Mutex
	err     error // why the volume failed
}

// identityError says that a volume belongs to somebody else. It makes Open fail.
type identityError struct{ msg string }

func (e *identityError) Error() string { return "blockstore: " + e.msg }

func foreign(format string, args ...any) error {
	return &identityError{fmt.Sprintf(format, args...)}
}

// openVolume locks a volume and reads who it is. fresh says that it must be formatted.
func (v *volume) open(cluster dfs.ClusterInfo) (uuid string, err error) {
	if err := v.fs.MkdirAll(v.dir); err != nil {
		return "", err
	}
	// What is still amiss around the directory is told by whoever has a log.
	if _, err := v.fs.Protect(v.dir); err != nil {
		return "", err
	}
	if v.lock, err = v.fs.Lock(path.Join(v.dir, lockFile)); err != nil {
		return "", err
	}
	v.pool = poolDir(v.dir, cluster.PoolID)
	v.tmp = path.Join(v.dir, "current", cluster.PoolID, "tmp")
	name := path.Join(v.dir, "current", versionFile)
	p, err := readProperties(v.fs, name)
	if errors.Is(err, fs.ErrNotExist) {
		v.fresh = true
		return "", v.checkFresh()
	}
	if err != nil {
		return "", err
	}
	if err := vfs.SweepTemp(v.fs, path.Join(v.dir, "current"), versionFile, servedFile); err != nil {
		return "", err
	}
	if id := p["clusterID"]; id != cluster.ClusterID {
		return "", foreign("%s belongs to cluster %s, the name node is of cluster %s", v.name, id, cluster.ClusterID)
	}
	if p["datanodeUuid"] == "" || p["storageID"] == "" {
		return "", foreign("%s lacks datanodeUuid or storageID", name)
	}
	v.storage = p["storageID"]
	return p["datanodeUuid"], v.checkPool(cluster)
}

// checkFresh refuses to format a directory that holds blocks.
func (v *volume) checkFresh() error {
	pools, err := v.pools()
	if err != nil {
		return err
	}
	for _, pool := range pools {
		if _, err := v.fs.Stat(poolDir(v.dir, pool) + "/finalized"); err == nil {
			return foreign("%s holds blocks of pool %s but no %s: it is damaged or not a volume of ours", v.name, pool, versionFile)
		}
	}
	return nil
}

func (v *volume) pools() ([]string, error) {
	entries, err := v.fs.ReadDir(path.Join(v.dir, "current"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pools []string
	for _, e := range entries {
		if e.Dir && strings.HasPrefix(e.Name, "BP-") {
			pools = append(pools, e.Name)
		}
	}
	return pools, nil
}

func (v *volume) checkPool(cluster dfs.ClusterInfo) error {
	p, err := readProperties(v.fs, path.Join(v.pool, versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		pools, perr := v.pools()
		if perr != nil {
			return perr
		}
		return foreign("%s holds block pool %s, the name node's is %s", v.name, strings.Join(pools, ", "), cluster.PoolID)
	}
	if err != nil {
		return err
	}
	if id := p["blockpoolID"]; id != cluster.PoolID {
		return foreign("%s holds block pool %s, the name node's is %s", v.name, id, cluster.PoolID)
	}
	if id := strconv.FormatUint(uint64(cluster.NamespaceID), 10); p["namespaceID"] != id {
		return foreign("%s belongs to namespace %s, the name node has namespace %s", v.name, p["namespaceID"], id)
	}
	return nil
}

// format makes an empty volume. The VERSION file of the volume comes last: before it is
// there, the volume counts as fresh.
func (v *volume) format(cluster dfs.ClusterInfo, uuid string) error {
	if err := v.fs.MkdirAll(v.pool); err != nil {
		return err
	}
	if err := vfs.SweepTemp(v.fs, v.pool, versionFile); err != nil {
		return err
	}
	if err := vfs.SweepTemp(v.fs, path.Join(v.dir, "current"), versionFile); err != nil {
		return err
	}
	v.storage = "DS-" + newUUID()
	pool := properties{"layoutVersion": layoutVersion, "blockpoolID": cluster.PoolID,
		"namespaceID": strconv.FormatUint(uint64(cluster.NamespaceID), 10), "cTime": strconv.FormatInt(cluster.CTime, 10)}
	whole := properties{"layoutVersion": layoutVersion, "storageType": "DATA_NODE", "clusterID": cluster.ClusterID,
		"cTime": "0", "datanodeUuid": uuid, "storageID": v.storage}
	if err := v.publish(path.Join(v.pool, versionFile), pool); err != nil {
		return err
	}
	return v.publish(path.Join(v.dir, "current", versionFile), whole)
}

func (v *volume) publish(name string, p properties) error {
	return v.fs.Publish(name, func(w io.Writer) error {
		_, err := w.Write(p.bytes())
		return err
	})
}

// prepare makes the directories that a volume needs and empties tmp.
func (v *volume) prepare() error {
	for _, dir := range []string{v.pool + "/finalized", v.pool + "/rbw", v.pool + "/aside", v.tmp} {
		if err := v.fs.MkdirAll(dir); err != nil {
			return err
		}
	}
	entries, err := v.fs.ReadDir(v.tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := v.fs.Remove(path.Join(v.tmp, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

// makeFinalDir makes the directory for a finalized block; most calls find it noted as there.
func (v *volume) makeFinalDir(id dfs.BlockID) error {
	done := &v.made[(id>>16&31)<<5|id>>8&31]
	if done.Load() {
		return nil
	}
	// A volume that is gone, a disk that was pulled, is not to be begun anew at its place.
	if _, err := v.fs.Stat(v.pool + "/finalized"); err != nil {
		return err
	}
	if err := v.fs.MkdirAll(v.placeDir(id, inFinalized)); err != nil {
		return err
	}
	done.Store(true)
	return nil
}

// setAside moves a file out of the way without losing it.
func (v *volume) setAside(name string) error {
	to := v.pool + "/aside/" + path.Base(name)
	for n := 1; ; n++ {
		_, err := v.fs.Stat(to)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		to = fmt.Sprintf("%s/aside/%s.%d", v.pool, path.Base(name), n)
	}
	v.aside.Add(1)
	return v.fs.Rename(name, to)
}

// failed gives the error with which the volume failed, or nil.
func (v *volume) failed() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// probe finds out whether the volume still works: it must list, write, sync and remove.
func (v *volume) probe() error {
	v.probing.Lock()
	defer v.probing.Unlock()
	if _, err := v.fs.Stat(v.pool + "/rbw"); err != nil {
		return err
	}
	name := path.Join(v.dir, ".probe")
	if err := v.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := v.fs.Create(name)
	if err == nil {
		if _, err = f.WriteAt([]byte("probe"), 0); err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if rerr := v.fs.Remove(name); err == nil {
		err = rerr
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil // full is not broken
	}
	return err
}

// room is how many bytes may still be promised.
func (v *volume) room(reserved int64) (int64, error) {
	u, err := v.usage()
	if err != nil {
		return 0, err
	}
	return max(0, u.Free-reserved-v.promised.Load()), nil
}

// usage tells the space of the volume's disk, or of its share of it.
func (v *volume) usage() (vfs.Usage, error) {
	u, err := v.fs.Usage(v.dir)
	if err == nil && v.capacity > 0 && v.capacity < u.Capacity {
		u.Capacity, u.Free = v.capacity, min(u.Free, max(0, v.capacity-v.used.Load()))
	}
	return u, err
}

func (v *volume) state(reserved int64) VolumeState {
	st := VolumeState{Dir: v.name, Storage: v.storage, Type: v.kind, Err: v.failed(),
		Replicas: int(v.replicas.Load()), Aside: int(v.aside.Load())}
	if st.Err != nil {
		return st
	}
	u, err := v.usage()
	if err != nil {
		st.Err = err
		return st
	}
	st.Used = v.used.Load()
	st.Capacity = max(0, u.Capacity-reserved)
	st.Free = max(0, u.Free-reserved-v.promised.Load())
	st.NonDFS = max(0, u.Capacity-u.Free-st.Used)
	return st
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// diskSize is what a replica is charged for: data and checksums.
func diskSize(length int64) int64 {
	return length + metaHeader + sumSize*((length+dfs.BytesPerChecksum-1)/dfs.BytesPerChecksum)
}
