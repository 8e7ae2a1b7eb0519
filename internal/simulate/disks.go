package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"strings"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Replicas is what the disks of a cluster really hold: for each block, the bytes of its
// finalized replica by datanode.
type Replicas map[dfs.BlockID]map[*Party][]byte

// Replicas looks at the disks of all datanodes, dead ones included.
func (c *Cluster) Replicas() (Replicas, error) {
	all := Replicas{}
	for _, p := range c.Data {
		if err := all.walk(p, p.current().mem, "/data"); err != nil {
			return nil, fmt.Errorf("simulate: disk of %s: %w", p.Name, err)
		}
	}
	return all, nil
}

func (all Replicas) walk(p *Party, disk *vfs.Mem, dir string) error {
	list, err := disk.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		name := dir + "/" + e.Name
		if e.Dir {
			if err := all.walk(p, disk, name); err != nil {
				return err
			}
			continue
		}
		id, ok := strings.CutPrefix(e.Name, "blk_")
		n, err := strconv.ParseUint(id, 10, 64)
		if !ok || err != nil || !strings.Contains(dir, "/finalized/") {
			continue
		}
		data, err := vfs.ReadFile(disk, name, 1<<20)
		if err != nil {
			return err
		}
		if all[dfs.BlockID(n)] == nil {
			all[dfs.BlockID(n)] = map[*Party][]byte{}
		}
		all[dfs.BlockID(n)][p] = data
	}
	return nil
}

// Spoil changes a byte in the middle of a block's finalized replica, as a bad disk does:
// nobody is told, and it is durable at once.
func (c *Cluster) Spoil(id dfs.BlockID) error {
	for _, p := range c.Data {
		disk := p.current().mem
		name, err := find(disk, "/data", id.String())
		if err != nil || name == "" {
			continue
		}
		f, err := disk.OpenWrite(name)
		if err != nil {
			return err
		}
		var b [1]byte
		size, err := f.Size()
		if err == nil {
			_, err = f.ReadAt(b[:], size/2)
		}
		if err == nil {
			b[0] ^= 0x40
			_, err = f.WriteAt(b[:], size/2)
		}
		return errors.Join(err, f.Sync(), f.Close())
	}
	return fmt.Errorf("simulate: no replica of %v", id)
}

// find gives the path of a file below dir, "" if there is none.
func find(disk *vfs.Mem, dir, base string) (string, error) {
	list, err := disk.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		switch name := dir + "/" + e.Name; {
		case e.Dir:
			if found, err := find(disk, name, base); found != "" || err != nil {
				return found, err
			}
		case e.Name == base && strings.Contains(dir, "/finalized/"):
			return name, nil
		}
	}
	return "", nil
}

// CheckGroup says what is wrong with how a parity group stands on the disks: each of its
// blocks has one replica, no two are on a node, nor, with racks, on a rack where there are
// enough of them, and the parity is the exclusive or of the members, as the checksums say.
func (all Replicas) CheckGroup(g *dfs.ParityGroup, racks int) error {
	at, inRack := map[*Party]dfs.BlockID{}, map[string]dfs.BlockID{}
	one := func(b dfs.Block, crc uint32) ([]byte, error) {
		if len(all[b.ID]) != 1 {
			return nil, fmt.Errorf("%v of group %v has %d replicas, on %v", b, g.Parity.ID, len(all[b.ID]), all.on(b.ID))
		}
		for p, data := range all[b.ID] {
			var node int
			_, _ = fmt.Sscanf(p.Name, "data%d", &node) // our own names
			if other, ok := at[p]; ok {
				return nil, fmt.Errorf("%v and %v of group %v are both on %s", other, b.ID, g.Parity.ID, p.Name)
			}
			at[p] = b.ID
			if rack := fmt.Sprint((node - 1) % max(racks, 1)); racks > len(g.Members) {
				if other, ok := inRack[rack]; ok {
					return nil, fmt.Errorf("%v and %v of group %v are both in rack %s", other, b.ID, g.Parity.ID, rack)
				}
				inRack[rack] = b.ID
			}
			if int64(len(data)) != b.Length || crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) != crc {
				return nil, fmt.Errorf("%v of group %v on %s has %d bytes or wrong ones", b, g.Parity.ID, p.Name, len(data))
			}
			return data, nil
		}
		return nil, nil
	}
	sum := make([]byte, g.Parity.Length)
	for _, m := range g.Members {
		data, err := one(m.Block, m.CRC)
		if err != nil {
			return err
		}
		for i, b := range data {
			sum[i] ^= b
		}
	}
	parity, err := one(g.Parity, g.CRC)
	if err == nil && !bytes.Equal(sum, parity) {
		err = fmt.Errorf("group %v: the parity is not that of its members", g.Parity.ID)
	}
	return err
}

// on names the datanodes that hold a block.
func (all Replicas) on(id dfs.BlockID) []string {
	var names []string
	for p := range all[id] {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names
}

// Strays lists blocks on the disks that nobody knows.
func (all Replicas) Strays(known map[dfs.BlockID]bool) []dfs.BlockID {
	var list []dfs.BlockID
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if !known[id] {
			list = append(list, id)
		}
	}
	return list
}
