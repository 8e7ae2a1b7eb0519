package control

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

const (
	waitLimit = 10 * time.Second
	tick      = time.Millisecond
)

// FuzzDecode feeds any bytes to every message's decoder. What is accepted must survive
// another round unchanged.
func FuzzDecode(f *testing.F) {
	messages := []func() any{
		func() any { return new(HandshakeRequest) }, func() any { return new(HandshakeReply) },
		func() any { return new(RegisterRequest) }, func() any { return new(RegisterReply) },
		func() any { return new(HeartbeatRequest) }, func() any { return new(HeartbeatReply) },
		func() any { return new(BlockReportRequest) }, func() any { return new(BlockReportReply) },
		func() any { return new(IncrementalRequest) }, func() any { return new(BadBlocksRequest) },
		func() any { return new(CommitSyncRequest) }, func() any { return new(InitRecoveryRequest) },
		func() any { return new(UpdateReplicaRequest) }, func() any { return new(UpdateReplicaReply) },
		func() any { return new(ReplicaInfo) }, func() any { return new(FoldDoneRequest) },
		func() any { return new(MayTakeRequest) }, func() any { return new(SourcesRequest) }, func() any { return new(SourcesReply) },
	}
	for _, m := range messages {
		body, err := encode(m())
		require.NoError(f, err)
		f.Add(body)
	}
	body, _ := encode(&HeartbeatReply{Commands: []Command{{Kind: CmdInvalidate, Blocks: []dfs.Block{{ID: 1}}}}})
	f.Add(body)
	sources := []Source{{Block: dfs.Block{ID: 1}, Targets: []Target{{Storage: "s"}}, CRC: 1 << 31, HasCRC: true}}
	for _, m := range []any{
		&HeartbeatReply{Commands: []Command{{Kind: CmdFold, Block: dfs.Block{ID: 2, Length: -1}, Sources: sources, Sum: Sum{BytesPer: 512}}}},
		&SourcesReply{Sources: sources, Sum: Sum{CRC: 7, HasCRC: true}},
		&FoldDoneRequest{UUID: "u", Members: []dfs.ParityMember{{Block: dfs.Block{ID: 3}, CRC: 9}}, Err: "e"},
	} {
		body, err := encode(m)
		require.NoError(f, err)
		f.Add(body)
	}
	f.Add([]byte{bodyVersion, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{bodyVersion, 0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, m := range messages {
			first := m()
			if decode(in, first) != nil {
				continue
			}
			out, err := encode(first)
			require.NoError(t, err)
			second := m()
			require.NoError(t, decode(out, second))
			again, err := encode(second)
			require.NoError(t, err)
			require.Equal(t, out, again)
		}
	})
}

// FuzzChain feeds any bytes to the decoder of chain requests. What it takes can be obeyed.
func FuzzChain(f *testing.F) {
	source := Source{Block: dfs.Block{ID: 1, Length: 9}, Targets: []Target{{Storage: "s"}}, CRC: 1 << 31, HasCRC: true}
	body, err := AppendChain(nil, &ChainRequest{PoolID: "p", Client: "c", End: 10, Sources: []Source{source, {}}})
	require.NoError(f, err)
	f.Add(body)
	f.Add(body[:len(body)-1])
	f.Add([]byte{bodyVersion, 0x90})
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := DecodeChain(in)
		if err != nil {
			return
		}
		require.LessOrEqual(t, req.Offset, req.End)
		require.NotEmpty(t, req.Sources)
		out, err := AppendChain(nil, req)
		require.NoError(t, err)
		again, err := DecodeChain(out)
		require.NoError(t, err)
		require.Equal(t, req, again)
	})
}

// FuzzReplicas must neither panic nor call back more often than bytes allow.
func FuzzReplicas(f *testing.F) {
	f.Add(AppendReplica(nil, 0, ReplicaInfo{Block: dfs.Block{ID: dfs.FirstBlockID, GenStamp: 1001, Length: 1 << 27}}), 1)
	f.Add([]byte{0, 0, 0, 9}, 1)
	f.Fuzz(func(t *testing.T, in []byte, count int) {
		n := 0
		var out []byte
		var prev dfs.BlockID
		err := DecodeReplicas(in, count, func(r ReplicaInfo) error {
			n++
			require.GreaterOrEqual(t, r.Block.Length, int64(0))
			out = AppendReplica(out, prev, r)
			prev = r.Block.ID
			return nil
		})
		require.LessOrEqual(t, n, len(in)/4)
		if err == nil {
			require.NoError(t, DecodeReplicas(out, n, func(ReplicaInfo) error { return nil }))
		}
	})
}

func BenchmarkHeartbeat(b *testing.B) {
	req := &HeartbeatRequest{UUID: "0f0e0d0c-0b0a-0908-0706-050403020100", Storages: make([]dfs.StorageReport, 4)}
	b.ReportAllocs()
	for b.Loop() {
		body, err := encode(req)
		if err != nil {
			b.Fatal(err)
		}
		var got HeartbeatRequest
		if err := decode(body, &got); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeReplicas(b *testing.B) {
	var blocks []byte
	var prev dfs.BlockID
	for i := range 10_000 {
		r := ReplicaInfo{Block: dfs.Block{ID: dfs.FirstBlockID + dfs.BlockID(i), GenStamp: 1001 + dfs.GenStamp(i), Length: 1 << 27}}
		blocks = AppendReplica(blocks, prev, r)
		prev = r.Block.ID
	}
	b.SetBytes(int64(len(blocks)))
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeReplicas(blocks, 10_000, func(ReplicaInfo) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// A length alone must not cost memory: only what was really sent may.
func TestHostileLengthsAreBounded(t *testing.T) {
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	for _, body := range []string{
		"\xdd\xff\xff\xff\xff",             // the message as an array of 2^32 - 1
		"\x97\xdb\xff\xff\xff\xff",         // a string of 2^32 - 1 bytes in it
		"\x97\xa1x\xdd\x7f\xff\xff\xff",    // an array of 2^31 - 1
		"\x97\xa1x\xc6\x7f\xff\xff\xffabc", // bytes
		"\x97\xa1x\xdf\x7f\xff\xff\xff",    // a map
	} {
		for _, msg := range []any{new(RegisterRequest), new(HeartbeatRequest), new(HeartbeatReply), new(BlockReportRequest), new(IncrementalRequest), new(FoldDoneRequest), new(SourcesReply)} {
			before := allocated()
			require.Error(t, decode(append([]byte{bodyVersion}, body...), msg), "%x as %T", body, msg)
			require.Less(t, allocated()-before, uint64(1<<20), "%x as %T", body, msg)
		}
	}
}
