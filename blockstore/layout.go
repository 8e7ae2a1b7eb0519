package blockstore

import (
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"

	"redoubt/dfs"
	"redoubt/vfs"
)

// The directories of a volume, as HDFS's layout -57 has them, and aside/ which is ours:
//
//	in_use.lock
//	current/VERSION
//	current/<pool>/current/VERSION
//	current/<pool>/current/finalized/subdirN/subdirM/blk_<id>, blk_<id>_<stamp>.meta
//	current/<pool>/current/rbw/       being written; blk_<id>.tail beside them, see tail.go
//	current/<pool>/current/aside/     damaged or leftover files, never looked at again
//	current/<pool>/tmp/               copies in the making, removed at start
const (
	lockFile      = "in_use.lock"
	versionFile   = "VERSION"
	layoutVersion = "-57"
	tailSuffix    = ".tail"
	metaSuffix    = ".meta"
)

// place says in which directory a replica's files are.
type place uint8

const (
	inFinalized place = iota
	inRBW
	inTmp
)

func (v *volume) placeDir(id dfs.BlockID, p place) string {
	switch p {
	case inRBW:
		return v.pool + "/rbw"
	case inTmp:
		return v.tmp
	}
	return v.pool + "/finalized/" + subdir(id)
}

// subdir spreads blocks over 32 x 32 directories.
func subdir(id dfs.BlockID) string {
	return "subdir" + strconv.Itoa(int(id>>16&31)) + "/subdir" + strconv.Itoa(int(id>>8&31))
}

func (v *volume) dataPath(id dfs.BlockID, p place) string {
	return v.placeDir(id, p) + "/" + id.String()
}

func (v *volume) metaPath(id dfs.BlockID, stamp dfs.GenStamp, p place) string {
	return v.placeDir(id, p) + "/" + metaName(id, stamp)
}

func (v *volume) tailPath(id dfs.BlockID) string {
	return v.placeDir(id, inRBW) + "/" + id.String() + tailSuffix
}

func metaName(id dfs.BlockID, stamp dfs.GenStamp) string {
	return dfs.Block{ID: id, GenStamp: stamp}.String() + metaSuffix
}

// parsed is what the name of a file tells.
type parsed struct {
	id    dfs.BlockID
	stamp dfs.GenStamp // of a meta file
	kind  fileKind
}

type fileKind uint8

const (
	otherFile fileKind = iota
	dataFile
	metaFile
	tailFile
)

func parseName(name string) parsed {
	rest, ok := strings.CutPrefix(name, "blk_")
	if !ok {
		return parsed{}
	}
	p := parsed{kind: dataFile}
	if ids, ok := strings.CutSuffix(rest, metaSuffix); ok {
		i := strings.IndexByte(ids, '_')
		if i < 0 {
			return parsed{}
		}
		stamp, err := strconv.ParseUint(ids[i+1:], 10, 64)
		if err != nil {
			return parsed{}
		}
		rest, p.stamp, p.kind = ids[:i], dfs.GenStamp(stamp), metaFile
	} else if ids, ok := strings.CutSuffix(rest, tailSuffix); ok {
		rest, p.kind = ids, tailFile
	}
	id, err := strconv.ParseUint(rest, 10, 64)
	if err != nil || id == 0 || rest[0] == '0' {
		return parsed{}
	}
	p.id = dfs.BlockID(id)
	return p
}

// properties is a VERSION file: Java properties without the exotic parts.
type properties map[string]string

func readProperties(f vfs.FS, name string) (properties, error) {
	b, err := vfs.ReadFile(f, name, 64<<10)
	if err != nil {
		return nil, err
	}
	p := properties{}
	for line := range strings.SplitSeq(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("blockstore: %s: line %q is not key=value", name, line)
		}
		p[strings.TrimSpace(key)] = strings.ReplaceAll(strings.TrimSpace(value), `\:`, ":")
	}
	if v := p["layoutVersion"]; v != layoutVersion {
		return nil, fmt.Errorf("blockstore: %s: unsupported layout version %q, this program knows %s", name, v, layoutVersion)
	}
	return p, nil
}

func (p properties) bytes() []byte {
	var keys []string
	for k := range p {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s=%s\n", k, p[k])
	}
	return []byte(b.String())
}

func poolDir(dir, pool string) string { return path.Join(dir, "current", pool, "current") }
