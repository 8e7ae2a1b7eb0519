package blockstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"strconv"

	"redoubt/dfs"
)

// servedFile is current/served of a volume: which name node this datanode has served.
const servedFile = "served"

// Served says which name node a datanode has served. It outlives the datanode, so that a
// name node that is older, or whose log has lost its end, is known for what it is.
type Served struct {
	Epoch     uint64   // the newest start epoch that the datanode has obeyed
	ToldEpoch uint64   // the start epoch of the name node that told TxID
	TxID      dfs.TxID // the highest transaction that a name node has called durable
}

// Served gives the record of the volume that knows most. A damaged record counts as none;
// the other volumes have theirs.
func (s *Store) Served() (served Served, errs error) {
	for _, v := range s.vols {
		if v.failed() != nil {
			continue
		}
		got, err := v.readServed()
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		served.Epoch = max(served.Epoch, got.Epoch)
		if got.TxID > served.TxID {
			served.ToldEpoch, served.TxID = got.ToldEpoch, got.TxID
		}
	}
	return served, errs
}

// SetServed makes the record durable on every volume that works. It fails when none took it.
func (s *Store) SetServed(served Served) error {
	var errs []error
	taken := false
	for _, v := range s.vols {
		if v.failed() != nil {
			continue
		}
		if err := v.publish(v.servedPath(), served.properties()); err != nil {
			errs = append(errs, fmt.Errorf("blockstore: %s: %w", v.servedPath(), err))
			continue
		}
		taken = true
	}
	if taken {
		return nil
	}
	return errors.Join(errs...)
}

func (v *volume) servedPath() string { return path.Join(v.dir, "current", servedFile) }

func (v *volume) readServed() (s Served, err error) {
	p, err := readProperties(v.fs, v.servedPath())
	if errors.Is(err, fs.ErrNotExist) {
		return Served{}, nil
	}
	if err == nil {
		s, err = parseServed(p)
	}
	if err != nil {
		return Served{}, fmt.Errorf("blockstore: %s: %w", v.servedPath(), err)
	}
	return s, nil
}

func (s Served) properties() properties {
	p := properties{"layoutVersion": layoutVersion, "epoch": strconv.FormatUint(s.Epoch, 10),
		"toldEpoch": strconv.FormatUint(s.ToldEpoch, 10), "txid": strconv.FormatUint(uint64(s.TxID), 10)}
	p["checksum"] = p.checksum()
	return p
}

// checksum is the CRC32C of the other lines, in hexadecimal.
func (p properties) checksum() string {
	rest := properties{}
	for k, v := range p {
		if k != "checksum" {
			rest[k] = v
		}
	}
	return fmt.Sprintf("%08x", crc32.Checksum(rest.bytes(), castagnoli))
}

func parseServed(p properties) (s Served, err error) {
	if p["checksum"] != p.checksum() {
		return s, errors.New("the checksum is wrong")
	}
	number := func(key string) (n uint64) {
		n, e := strconv.ParseUint(p[key], 10, 64)
		if e != nil {
			err = fmt.Errorf("%s is %q", key, p[key])
		}
		return n
	}
	s = Served{Epoch: number("epoch"), ToldEpoch: number("toldEpoch"), TxID: dfs.TxID(number("txid"))}
	return s, err
}
