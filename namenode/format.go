package namenode

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"redoubt/dfs"
	"redoubt/journal"
	"redoubt/namespace"
	"redoubt/vfs"
)

// Format makes the name directories of a new cluster. clusterID "" makes one up. A
// directory that holds a namespace is refused unless force is set, and then that
// namespace is gone.
func Format(fs vfs.FS, dirs []string, clusterID string, force bool) (dfs.ClusterInfo, error) {
	return FormatAndTell(fs, dirs, nil, clusterID, force, func(dfs.ClusterInfo) {})
}

// FormatAndTell is Format for whoever reports the outcome: told is called when all is done
// but for the last step, before which formatting again needs no force.
func FormatAndTell(fs vfs.FS, dirs, edits []string, clusterID string, force bool, told func(dfs.ClusterInfo)) (dfs.ClusterInfo, error) {
	cluster := NewCluster(clusterID, time.Now())
	if strings.ContainsAny(clusterID, " \t/\\=") {
		return cluster, fmt.Errorf("namenode: cluster id %q holds a blank, slash, backslash or equals sign", clusterID)
	}
	// The root's times must be the same at every start, so they come from the image. Its
	// owner is set by whoever starts the name node first.
	root := namespace.New(namespace.Options{Mode: 0o755, Time: time.Now().UnixMilli()})
	return cluster, journal.FormatAndTell(fs, dirs, edits, cluster, &unshared{root.Snapshot(), root}, force, func() { told(cluster) })
}

// unshared is a snapshot of a state that nobody else uses.
type unshared struct {
	*namespace.Snapshot
	state *namespace.State
}

func (u *unshared) Release() { u.state.Release(u.Snapshot) }

// NewCluster makes up the identity of a cluster; clusterID "" means a random one. The
// pool id has HDFS's form BP-<random>-<address>-<ms>; tools cut it at the dashes.
func NewCluster(clusterID string, now time.Time) dfs.ClusterInfo {
	var r [24]byte
	rand.Read(r[:]) // never fails: crypto/rand ends the process instead
	if clusterID == "" {
		u := r[:16]
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
		clusterID = fmt.Sprintf("CID-%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	}
	return dfs.ClusterInfo{
		ClusterID:   clusterID,
		PoolID:      "BP-" + strconv.FormatUint(uint64(binary.BigEndian.Uint32(r[16:20])&0x7fffffff), 10) + "-127.0.0.1-" + strconv.FormatInt(now.UnixMilli(), 10),
		NamespaceID: binary.BigEndian.Uint32(r[20:24]) & 0x7fffffff,
	}
}
