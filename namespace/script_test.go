package namespace

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"redoubt/dfs"
	"redoubt/internal/golden"

	"github.com/stretchr/testify/require"
)

// TestScripts runs testdata/*.txt: lines that start with "> " are operations, the lines
// after one are its answer.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			x := &script{history: newHistory(t)}
			x.time = 1000
			var out strings.Builder
			for line := range strings.Lines(string(text)) {
				switch cmd, is := strings.CutPrefix(line, "> "); {
				case is:
					out.WriteString(line)
					out.WriteString(x.run(strings.Fields(cmd)))
					require.NoError(t, x.s.Check(), line)
				case strings.HasPrefix(line, "#") || line == "\n":
					out.WriteString(line)
				}
			}
			require.Equal(t, string(golden.Reviewed(t, name, []byte(out.String()))), out.String())
			x.replayed()
			restored(t, x.s)
		})
	}
}

// script runs the commands of a file.
type script struct {
	*history
	auth    uint64 // carried by the next op
	call    dfs.CallID
	blocks  []dfs.Block // of the last addblock first
	stamped dfs.GenStamp
}

var kindWords = map[dfs.Kind]string{
	dfs.NotFound: "NotFound", dfs.AlreadyExists: "AlreadyExists", dfs.ParentNotDirectory: "ParentNotDirectory", dfs.NotDirectory: "NotDirectory", dfs.NotEmpty: "NotEmpty",
	dfs.InvalidPath: "InvalidPath", dfs.IllegalArgument: "IllegalArgument", dfs.BeingCreated: "BeingCreated", dfs.LeaseExpired: "LeaseExpired",
	dfs.TypeQuotaExceeded: "TypeQuotaExceeded", dfs.Unsupported: "Unsupported",
	dfs.Stale: "Stale", dfs.NSQuotaExceeded: "NSQuotaExceeded", dfs.DSQuotaExceeded: "DSQuotaExceeded", dfs.Other: "Other",
	dfs.RecoveryInProgress: "RecoveryInProgress", dfs.NoXAttr: "NoXAttr", dfs.ACL: "ACL", dfs.RuntimeIllegal: "RuntimeIllegal",
	dfs.ComponentTooLong: "ComponentTooLong", dfs.DirectoryTooFull: "DirectoryTooFull",
}

func (x *script) do(op Op) string {
	h := op.head()
	h.Auth, h.Call = x.auth, x.call
	x.auth, x.call = 0, dfs.CallID{}
	r, err := x.apply(op)
	if err != nil {
		return answerOf(err)
	}
	switch r := r.(type) {
	case nil:
		return "ok\n"
	case *Created:
		return fmt.Sprintf("id=%d replaced=%d removed=%v retried=%v group=%s\n", r.Status.ID, r.Replaced, r.Removed, r.Retried, r.Status.Group)
	case *AddedBlock:
		x.blocks = append([]dfs.Block{r.Block}, x.blocks...)
		return fmt.Sprintf("%s at %d retried=%v\n", r.Block, r.Offset, r.Retried)
	case *Appended:
		last := "none"
		if r.Last != nil {
			last = fmt.Sprintf("%s at %d", r.Last.Block, r.Last.Offset)
		}
		return fmt.Sprintf("last=%s\n", last)
	case *Truncated:
		if x.blocks = append([]dfs.Block{r.Last}, x.blocks...); r.Stamp != 0 {
			x.stamped = r.Stamp
		}
	}
	return strings.NewReplacer("&", "", " Groups:[]", "").Replace(fmt.Sprintf("%+v\n", r))
}

func answerOf(err error) string {
	kind := dfs.KindOf(err)
	word, ok := kindWords[kind]
	if !ok {
		word = fmt.Sprint(kind)
	}
	return word + ": " + err.Error() + "\n"
}

// at resolves a path into the deepest existing parent and the names below.
func (x *script) at(path string) (dfs.InodeID, []string, *Walk) {
	names, err := dfs.Components(path)
	require.NoError(x.t, err)
	w := new(Walk)
	require.NoError(x.t, x.s.Resolve(w, names))
	if n := len(w.Chain); w.Last() != nil && n > 1 {
		return w.Chain[n-2].ID, w.Names[n-2:], w
	}
	return w.Chain[len(w.Chain)-1].ID, w.Missing(), w
}

func num(s string) int64 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (x *script) run(a []string) string {
	a = append(a, "", "", "", "")
	switch a[0] {
	case "mkdir", "mkdir-p":
		parent, names, _ := x.at(a[1])
		return x.do(&Mkdirs{Parent: parent, Names: names, Mode: 0o1750, Owner: "alice", CreateParent: a[0] == "mkdir-p"})
	case "create", "overwrite", "overwrite-only":
		flags := map[string]uint32{"create": 1, "overwrite": 3, "overwrite-only": 2}[a[0]]
		parent, names, _ := x.at(a[1])
		return x.do(&Create{Parent: parent, Names: names, Mode: 0o640, Owner: "alice", Holder: a[2], Machine: "host1", Flags: flags,
			CreateParent: a[3] != "noparent", Replication: 3, BlockSize: 100})
	case "addblock": // PATH HOLDER LENGTH: commit the last block with the length
		n, _ := x.s.LastBlock(x.id(a[1]))
		if a[3] != "" && n.ID != 0 {
			n.Length = num(a[3])
		}
		return x.do(&AddBlock{File: x.id(a[1]), Holder: a[2], Previous: n.Block})
	case "addblock-again": // as if the answer to the last one was lost
		n, _ := x.s.PenultimateBlock(x.id(a[1]))
		return x.do(&AddBlock{File: x.id(a[1]), Holder: a[2], Previous: n.Block})
	case "addblock-wrong":
		return x.do(&AddBlock{File: x.id(a[1]), Holder: a[2], Previous: dfs.Block{ID: 99, GenStamp: 1}})
	case "close":
		n, _ := x.s.LastBlock(x.id(a[1]))
		if a[3] != "" {
			n.Length = num(a[3])
		}
		return x.do(&Close{File: x.id(a[1]), Holder: a[2], Last: n.Block})
	case "fsync":
		n, _ := x.s.LastBlock(x.id(a[1]))
		n.Length = num(a[3])
		return x.do(&UpdateBlocks{File: x.id(a[1]), Holder: a[2], Action: BlockLength, Block: n.Block})
	case "stamp":
		r := x.must(&NextStamp{}).(dfs.GenStamp)
		x.stamped = r
		return fmt.Sprintln(r)
	case "pipeline":
		n, _ := x.s.LastBlock(x.id(a[1]))
		old := n.GenStamp
		n.GenStamp, n.Length = x.stamped, num(a[3])
		return x.do(&UpdateBlocks{File: x.id(a[1]), Holder: a[2], Action: BlockPipeline, Old: old, Block: n.Block})
	case "abandon":
		n, _ := x.s.LastBlock(x.id(a[1]))
		return x.do(&AbandonBlock{File: x.id(a[1]), Holder: a[2], Block: n.Block})
	}
	return x.runMore(a)
}

func (x *script) runMore(a []string) string {
	switch a[0] {
	case "append":
		return x.do(&Append{File: x.id(a[1]), Holder: a[2], Machine: "host2", NewBlock: a[3] == "new"})
	case "truncate":
		return x.do(&Truncate{File: x.id(a[1]), Length: num(a[2]), Holder: a[3], Machine: "host2"})
	case "commitsync": // PATH LENGTH
		return x.do(&CommitSync{Block: x.blocks[0], Stamp: x.stamped, Length: num(a[2]), Close: true})
	case "rm", "rm-r":
		parent, names, w := x.at(a[1])
		o := &Delete{Parent: parent, Name: names[0], Recursive: a[0] == "rm-r"}
		if w.Last() != nil {
			o.Target = w.Last().ID
		}
		return x.do(o)
	case "mv", "rename", "rename-over":
		sp, sn, _ := x.at(a[1])
		dp, dn, _ := x.at(a[2])
		return x.do(&Rename{SrcParent: sp, SrcName: sn[0], DstParent: dp, DstName: dn[0], Legacy: a[0] == "mv", Overwrite: a[0] == "rename-over"})
	case "concat":
		return x.do(&Concat{Target: x.id(a[1]), Sources: []dfs.InodeID{x.id(a[2])}})
	case "chmod":
		return x.do(&SetAttr{Target: x.id(a[1]), Mask: AttrMode, Mode: dfs.Mode(num(a[2]))})
	case "chgrp":
		return x.do(&SetAttr{Target: x.id(a[1]), Mask: AttrGroup, Group: a[2]})
	case "setrep":
		return x.do(&SetAttr{Target: x.id(a[1]), Mask: AttrReplication, Replication: uint16(num(a[2]))})
	case "policy":
		return x.do(&SetAttr{Target: x.id(a[1]), Mask: AttrPolicy, Policy: uint8(num(a[2]))})
	case "quota":
		return x.do(&SetAttr{Target: x.id(a[1]), Mask: AttrNSQuota | AttrDSQuota, NSQuota: num(a[2]), DSQuota: num(a[3])})
	case "typequota": // PATH TYPE BYTES
		t, _ := dfs.StorageTypeNamed(a[2])
		return x.do(&SetAttr{Target: x.id(a[1]), Mask: AttrTypeQuota, DSQuota: num(a[3]), QuotaType: uint8(t)})
	case "setxattr":
		return x.do(&SetXAttr{Target: x.id(a[1]), Flags: uint8(num(a[2])), Name: a[3], Value: []byte("v")})
	case "setacl": // PATH default|access: user bob gets rwx
		scope := map[string]dfs.ACLScope{"access": dfs.ACLAccess, "default": dfs.ACLDefault}[a[2]]
		return x.do(&SetACL{Target: x.id(a[1]), Mode: 0o770, Entries: []ACLEntry{{Type: 0, Scope: scope, Perm: 7, Name: "bob"}, {Type: 2, Scope: scope, Perm: 7}}})
	case "reassign":
		return x.do(&ReassignLease{File: x.id(a[1]), OldHolder: a[2], Holder: a[3]})
	case "as": // the next op is authorised against the path as it is now
		_, _, w := x.at(a[1])
		x.auth = w.Auth(len(w.Chain))
		return "ok\n"
	case "call": // the next op is this call
		x.call = dfs.CallID{Client: [16]byte{1}, Call: int32(num(a[1]))}
		return "ok\n"
	case "pass": // ms
		x.time += num(a[1])
		return "ok\n"
	}
	return x.show(a)
}

func (x *script) show(a []string) string {
	switch a[0] {
	case "stat":
		_, _, w := x.at(a[1])
		if w.Last() == nil {
			return fmt.Sprintf("none, %d missing\n", len(w.Missing()))
		}
		st := x.s.Status(w.Last())
		return fmt.Sprintf("%d %d %o %s:%s len=%d mtime=%d repl=%d kids=%d policy=%d open=%v\n", st.Type, st.ID, st.Mode, st.Owner, st.Group,
			st.Length, st.ModTime, st.Replication, st.Children, st.StoragePolicy, w.Last().UnderConstruction)
	case "ls": // PATH MAX AFTER
		page, rest := x.s.List(nil, x.id(a[1]), a[3], int(num(a[2])))
		var names []string
		for i := range page {
			names = append(names, page[i].Name)
		}
		return fmt.Sprintln(names, "and", rest)
	case "blocks":
		var b strings.Builder
		for _, i := range x.s.Blocks(nil, x.id(a[1]), 0, 1<<40) {
			fmt.Fprintf(&b, "%s at %d len %d %s\n", i.Block, i.Offset, i.Length, i.State)
		}
		return b.String()
	case "sum":
		c, _ := x.s.Summarize(x.id(a[1]))
		for !c.Step(x.s, 1) {
		}
		return fmt.Sprintf("%+v\n", c.Sum)
	case "types":
		q, ok := x.s.TypeQuota(x.id(a[1]))
		return fmt.Sprintln("limits", q.Limit, "used", q.Used, ok)
	case "lease":
		return fmt.Sprintln(x.s.Lease(nil, a[1]), x.s.Holders())
	case "writable":
		if err := x.s.CheckLease(a[1], x.id(a[1]), a[2]); err != nil {
			return answerOf(err)
		}
		return "ok\n"
	case "names": // DIR NAME under small limits
		if err := x.s.CheckNames(Limits{ComponentLength: 5, DirectoryItems: 3}, x.id(a[1]), []string{a[2]}); err != nil {
			return answerOf(err)
		}
		return "ok\n"
	}
	return "unknown command " + a[0] + "\n"
}
