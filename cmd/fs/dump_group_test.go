package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/editlog"
	"redoubt/fsimage"
	"redoubt/namespace"
	"redoubt/raid"
	"redoubt/vfs"
)

// groupFiles makes an image and a log segment of a namespace with a parity group of two
// members, one of which has departed. The recorded checksum of the parity is off by wrong.
func groupFiles(t *testing.T, wrong uint32) (image, segment string) {
	t.Helper()
	dir := t.TempDir()
	ns := namespace.New(namespace.Options{Time: 1000})
	w, err := editlog.Create(vfs.OS(), dir, editlog.WriterOptions{First: 1, FillChunk: 4096})
	require.NoError(t, err)
	var batch editlog.Batch
	tx := dfs.TxID(0)
	do := func(op namespace.Op) any {
		tx++
		rec := namespace.Encode(nil, op)
		batch.Reset(tx)
		require.NoError(t, batch.Add(rec))
		require.NoError(t, w.Append(&batch))
		r, err := ns.Apply(tx, rec)
		require.NoError(t, err)
		return r
	}
	var members []dfs.ParityMember
	var sums []raid.Sum
	for i, name := range []string{"a", "b"} {
		do(&namespace.Create{Parent: dfs.RootInodeID, Names: []string{name}, Owner: "u", Holder: "h", Flags: dfs.CreateFlagCreate, Replication: 2, BlockSize: 1 << 20})
		file := dfs.RootInodeID + 1 + dfs.InodeID(i)
		b := do(&namespace.AddBlock{File: file, Holder: "h"}).(*namespace.AddedBlock).Block
		b.Length = 1000 + int64(i)
		do(&namespace.Close{File: file, Holder: "h", Last: b})
		members = append(members, dfs.ParityMember{Block: b, CRC: uint32(b.Length), Checksum: dfs.ChecksumCRC32C, BytesPer: 512})
		sums = append(sums, raid.Sum{CRC: uint32(b.Length), Length: b.Length})
	}
	parity := do(&namespace.ParityGroup{Action: namespace.GroupAllocate}).(*namespace.GroupChange).Parity
	sum := raid.ParityCRC(sums...)
	parity.Length = sum.Length
	do(&namespace.ParityGroup{Action: namespace.GroupCommit, Parity: parity, CRC: sum.CRC + wrong, Data: 4, Members: members})
	do(&namespace.Delete{Parent: dfs.RootInodeID, Name: "a"})
	require.NoError(t, w.Close())
	snap := ns.Snapshot()
	_, err = fsimage.Write(vfs.OS(), dir, fsimage.Info{TxID: tx, Digest: ns.Digest()}, snap.Sections(), fsimage.WriteOptions{})
	require.NoError(t, err)
	ns.Release(snap)
	return filepath.Join(dir, fsimage.Name(tx)), filepath.Join(dir, editlog.InProgressName(1))
}

func TestViewersShowParityGroups(t *testing.T) {
	image, segment := groupFiles(t, 0)
	code, out, errOut := view(t, runOIV, "-i", image)
	require.Zero(t, code, errOut)
	require.Contains(t, out, "[paritygroups]\nParityGroup Parity={ID=1073741827 GenStamp=1003 Length=1001} CRC=")
	require.Contains(t, out, "Data=4 Members=[{Block={ID=1073741825 GenStamp=1001 Length=1000} CRC=1000 Checksum=2 BytesPer=512 Departed=true} {Block=")

	code, out, errOut = view(t, runOIV, "-i", image, "-p", "json")
	require.Zero(t, code, errOut)
	var doc struct {
		Sections []struct {
			Name    string
			Records []struct {
				Kind string
				Data json.RawMessage
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &doc), out)
	last := doc.Sections[len(doc.Sections)-1]
	require.Equal(t, "paritygroups", last.Name)
	require.Len(t, last.Records, 1)
	require.Equal(t, "ParityGroup", last.Records[0].Kind)
	var group namespace.ParityGroupRecord
	require.NoError(t, json.Unmarshal(last.Records[0].Data, &group))
	require.EqualValues(t, 4, group.Data)
	require.Equal(t, []bool{true, false}, []bool{group.Members[0].Departed, group.Members[1].Departed})

	code, out, errOut = view(t, runOIV, "-i", image, "-p", "xml")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "<ParityGroup>")

	code, out, errOut = view(t, runOIV, "-i", image, "-p", "stats")
	require.Zero(t, code, errOut)
	require.Regexp(t, `(?m)^ *1 ParityGroup$`, out)
	require.Regexp(t, `(?m)^ *1 member$`, out)
	require.Regexp(t, `(?m)^ *1 member, departed$`, out)

	code, out, errOut = view(t, runOIV, "-i", image, "-p", "check")
	require.Zero(t, code, errOut)
	require.Contains(t, out, "good image of transaction 9")

	code, out, errOut = view(t, runOEV, "-i", segment)
	require.Zero(t, code, errOut)
	require.Contains(t, out, "ParityGroup TxID=7")
	require.Contains(t, out, "Action=2 Parity={ID=1073741827 GenStamp=1003 Length=1001}")
	code, out, errOut = view(t, runOEV, "-i", segment, "-p", "stats")
	require.Zero(t, code, errOut)
	require.Regexp(t, `(?m)^ *2 ParityGroup +\d+ bytes$`, out)
}

// TestCheckDoesTheGroupsArithmetic: what is recorded of a parity follows from its members.
func TestCheckDoesTheGroupsArithmetic(t *testing.T) {
	image, _ := groupFiles(t, 1)
	code, _, errOut := view(t, runOIV, "-i", image, "-p", "check")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "section paritygroups: parity blk_1073741827_1003 of 1001 bytes has checksum")
	code, _, errOut = view(t, runOIV, "-i", image, "-p", "text")
	require.Zero(t, code, errOut)
}
