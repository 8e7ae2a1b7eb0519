package datatransfer

import (
	"bytes"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The frames that the protocol fixes, byte by byte.
func TestGoldenFrames(t *testing.T) {
	b, sums, data := AppendPacket(nil, &Header{Offset: 512, Seqno: 3, Length: 2}, 4)
	copy(sums, "sums")
	copy(data, "da")
	require.Equal(t, unhex(t, "0000000a"+"0019"+"090002000000000000"+"110300000000000000"+"1800"+"2502000000"+"73756d73"+"6461"), b)

	b, _, _ = AppendPacket(nil, &Header{Seqno: -1, Last: true, Sync: true}, 0)
	require.Equal(t, unhex(t, "00000004"+"001b"+"090000000000000000"+"11ffffffffffffffff"+"1801"+"2500000000"+"2801"), b)

	require.Equal(t, unhex(t, "0408021000"), AppendAck(nil, &Ack{Seqno: 1, Replies: []Status{StatusSuccess}}), "five bytes")
	require.Equal(t, unhex(t, "06080110001001"), AppendAck(nil, &Ack{Seqno: -1, Replies: []Status{StatusSuccess, StatusError}}))
	b, err := AppendResponse(nil, &Response{})
	require.NoError(t, err)
	require.Equal(t, unhex(t, "0408001200"), b, "firstBadLink is written empty")
	require.Equal(t, unhex(t, "020806"), AppendStatus(nil, StatusChecksumOK))
}

// A client that is known to read five bytes before it looks at the length must always get them.
func TestResponsesHaveFiveBytes(t *testing.T) {
	for s := StatusSuccess; s <= StatusPinned; s++ {
		b, err := AppendResponse(nil, &Response{Status: s})
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(b), 5)
		resp, err := NewReader(bytes.NewReader(b)).ReadResponse()
		require.NoError(t, err)
		require.Equal(t, s == StatusSuccess, resp.Err() == nil)
	}
}

func TestRequestsRoundTrip(t *testing.T) {
	node := func(t *rapid.T) dfs.DatanodeID {
		port := rapid.Uint16()
		return dfs.DatanodeID{UUID: rapid.String().Draw(t, "uuid"), IP: rapid.String().Draw(t, "ip"), Host: rapid.String().Draw(t, "host"),
			XferPort: port.Draw(t, "x"), InfoPort: port.Draw(t, "i"), SecurePort: port.Draw(t, "s"), IPCPort: port.Draw(t, "p")}
	}
	length := rapid.Int64Range(0, maxOffset)
	rapid.Check(t, func(t *rapid.T) {
		block := BlockRef{PoolID: rapid.String().Draw(t, "pool"), Block: dfs.Block{
			ID: dfs.BlockID(rapid.Uint64().Draw(t, "id")), GenStamp: dfs.GenStamp(rapid.Uint64().Draw(t, "gs")), Length: length.Draw(t, "len")}}
		client := rapid.String().Draw(t, "client")
		var ts []Target
		for range rapid.IntRange(0, 3).Draw(t, "targets") {
			ts = append(ts, Target{Node: node(t), Type: dfs.StorageSSD, StorageID: rapid.String().Draw(t, "storage")})
		}
		src := node(t)
		requests := []Request{
			&WriteRequest{Block: block, Client: client, Targets: ts, Source: &src, Stage: Stage(rapid.IntRange(0, 8).Draw(t, "stage")),
				PipelineSize: rapid.Uint32().Draw(t, "size"), MinBytes: length.Draw(t, "min"), MaxBytes: length.Draw(t, "max"),
				NewStamp: dfs.GenStamp(rapid.Uint64().Draw(t, "new")), Checksum: DefaultChecksum, StorageType: dfs.StorageDisk, StorageID: "s"},
			&ReadRequest{Block: block, Client: client, Offset: length.Draw(t, "off"), Length: length.Draw(t, "n"), NoChecksums: rapid.Bool().Draw(t, "no")},
			&TransferRequest{Block: block, Client: client, Targets: ts},
			&ChecksumRequest{Block: block, Kind: ChecksumComposite, StripeLength: length.Draw(t, "stripe")},
			&CustomRequest{Body: append([]byte(nil), rapid.SliceOf(rapid.Byte()).Draw(t, "body")...)},
		}
		var stream []byte
		var err error
		for _, q := range requests {
			stream, err = AppendRequest(stream, q)
			require.NoError(t, err)
		}
		r := NewReader(iotest.HalfReader(bytes.NewReader(stream)))
		for _, q := range requests {
			got, err := r.ReadOp()
			require.NoError(t, err)
			require.Equal(t, q, got)
		}
		_, err = r.ReadOp()
		require.Equal(t, io.EOF, err)
	})
}

func TestResponsesRoundTrip(t *testing.T) {
	for _, resp := range []*Response{
		{Status: StatusError, FirstBadLink: "10.0.0.1:9866", Message: "no"},
		{Read: &ReadInfo{Checksum: DefaultChecksum, ChunkOffset: 1024}},
		{Read: &ReadInfo{Checksum: Checksum{dfs.ChecksumNull, 512}}},
		{Checksum: &ChecksumResult{BytesPerCRC: 512, CRCPerBlock: 7, Sum: []byte("0123456789abcdef"), Type: dfs.ChecksumCRC32C, Kind: ChecksumMD5CRC}},
		{Checksum: &ChecksumResult{BytesPerCRC: 512, Sum: []byte{1, 2, 3, 4}, Type: dfs.ChecksumCRC32C, Kind: ChecksumComposite, StripeLength: 9}},
	} {
		b, err := AppendResponse(nil, resp)
		require.NoError(t, err)
		got, err := NewReader(iotest.OneByteReader(bytes.NewReader(b))).ReadResponse()
		require.NoError(t, err)
		require.Equal(t, resp, got)
	}
}

// Our own frames must be what the generated protobuf code makes of them.
func TestHandWrittenAgreesWithGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{Offset: rapid.Int64Range(0, maxOffset).Draw(t, "o"), Seqno: rapid.Int64().Draw(t, "s"), Sync: rapid.Bool().Draw(t, "y")}
		b, _, _ := AppendPacket(nil, &h, 0)
		var m hdfspb.PacketHeader
		require.NoError(t, m.UnmarshalVT(b[packetPrefix:]))
		require.Equal(t, h.Offset, m.GetOffsetInBlock())
		require.Equal(t, h.Seqno, m.GetSeqno())
		require.Equal(t, h.Sync, m.GetSyncBlock())

		a := Ack{Seqno: rapid.Int64().Draw(t, "seq"), Downtimes: rapid.Uint64().Draw(t, "ns")}
		pb := &hdfspb.PipelineAck{Seqno: &a.Seqno, DownstreamAckTimeNanos: &a.Downtimes, Flag: []uint32{1, 2}}
		for range rapid.IntRange(0, 4).Draw(t, "n") {
			s := rapid.Int32Range(0, 13).Draw(t, "st")
			a.Replies = append(a.Replies, Status(s))
			pb.Reply = append(pb.Reply, hdfspb.Status(s))
		}
		raw, err := appendMessage(nil, pb)
		require.NoError(t, err)
		for _, enc := range [][]byte{raw, AppendAck(nil, &a)} {
			var got Ack
			require.NoError(t, NewReader(bytes.NewReader(enc)).ReadAck(&got))
			require.Equal(t, a, got)
		}
	})
}

// Packets of all sizes, whatever pieces they arrive in, come out as they went in.
func TestPacketsInPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	var want [][]byte
	off := int64(0)
	for i := range 200 {
		data := make([]byte, []int{0, 1, 511, 512, 513, 64512, 65536, 300_000, 1 << 20}[rng.IntN(9)])
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		want = append(want, data)
		stream = DefaultChecksum.AppendData(stream, &Header{Offset: off, Seqno: int64(i), Sync: i%3 == 0}, data)
		off += int64(len(data))
	}
	for name, src := range map[string]io.Reader{"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)), "random": &randomReader{bytes.NewReader(stream), rng}} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(src)
			defer r.Release()
			var p Packet
			raw := 0
			for i, data := range want {
				require.NoError(t, r.ReadPacket(&p))
				require.Equal(t, int64(i), p.Seqno)
				require.True(t, bytes.Equal(data, p.Data))
				require.Equal(t, -1, DefaultChecksum.Verify(p.Checksums, p.Data))
				require.True(t, bytes.Equal(stream[raw:raw+len(p.Raw)], p.Raw))
				raw += len(p.Raw)
			}
			require.Equal(t, io.EOF, r.ReadPacket(&p))
		})
	}
}

type randomReader struct {
	src *bytes.Reader
	rng *rand.Rand
}

func (r *randomReader) Read(b []byte) (int, error) {
	return r.src.Read(b[:min(len(b), 1+r.rng.IntN(100_000))])
}

func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	for _, sum := range []Checksum{DefaultChecksum, {dfs.ChecksumCRC32, 512}, {dfs.ChecksumCRC32C, 100}} {
		data := bytes.Repeat([]byte("redoubt!"), 200)
		sums := make([]byte, sum.Size(len(data)))
		sum.Fill(sums, data)
		require.Equal(t, -1, sum.Verify(sums, data))
		for i := range data {
			data[i] ^= 1 << (i % 8)
			require.Equal(t, i/int(sum.BytesPer)*int(sum.BytesPer), sum.Verify(sums, data))
			data[i] ^= 1 << (i % 8)
		}
		require.Equal(t, 0, sum.Verify(sums[4:], data), "wrong number of checksums")
	}
	require.Equal(t, -1, Checksum{dfs.ChecksumNull, 512}.Verify(nil, []byte("x")))
}

// A length alone must not cost memory: only what was really sent may.
func TestHostileLengthsAreBounded(t *testing.T) {
	for name, in := range map[string]string{
		"payload over the limit": "01000005" + "0019",
		"payload below four":     "00000003" + "0019",
		"header over the limit":  "00000004" + "ffff",
		"data over the body":     "00000004" + "0019" + "090000000000000000" + "110000000000000000" + "1800" + "25ffffff00",
		"negative data":          "00000004" + "0019" + "090000000000000000" + "110000000000000000" + "1800" + "25ffffffff",
		"negative offset":        "00000004" + "0019" + "0900000000000000ff" + "110000000000000000" + "1800" + "2500000000",
		"ragged checksums":       "00000005" + "0019" + "090000000000000000" + "110000000000000000" + "1800" + "2500000000" + "00",
		"header without fields":  "00000004" + "0000",
		"last with data":         "00000005" + "0019" + "090000000000000000" + "110000000000000000" + "1801" + "2501000000" + "00",
	} {
		var p Packet
		err := NewReader(bytes.NewReader(unhex(t, in))).ReadPacket(&p)
		require.ErrorIs(t, err, ErrFrame, name)
	}
	_, err := NewReader(bytes.NewReader(unhex(t, "001c51ffffffff0f"))).ReadOp()
	require.ErrorIs(t, err, ErrFrame)
	_, err = NewReader(bytes.NewReader(unhex(t, "001b5100"))).ReadOp()
	require.ErrorIs(t, err, ErrFrame, "another version")

	r := NewReader(bytes.NewReader(unhex(t, "00ffffff0019")))
	var p Packet
	require.Equal(t, io.ErrUnexpectedEOF, r.ReadPacket(&p))
	require.LessOrEqual(t, len(r.buf), packetBuffer)
}

func TestBlockReaderCutsToTheAskedRange(t *testing.T) {
	block := bytes.Repeat([]byte("0123456789abcdef"), 200)
	for _, c := range []struct{ off, n int64 }{{0, 3200}, {1, 1}, {511, 2}, {512, 512}, {700, 1000}, {3199, 1}, {0, 0}} {
		client, server := net.Pipe()
		go func() {
			dn := NewConn(server)
			q, _ := dn.ReadOp()
			from := q.(*ReadRequest).Offset / 512 * 512
			_ = dn.SendResponse(&Response{Read: &ReadInfo{Checksum: DefaultChecksum, ChunkOffset: from}})
			end := min((c.off+c.n+511)/512*512, int64(len(block)))
			b := DefaultChecksum.AppendData(nil, &Header{Offset: from}, block[from:end])
			b, _, _ = AppendPacket(b, &Header{Offset: end, Seqno: 1, Last: true}, 0)
			_, _ = dn.Write(b)
			s, _ := dn.ReadStatus()
			_ = dn.SendStatus(s)
		}()
		conn := NewConn(client)
		br, err := conn.StartRead(&ReadRequest{Offset: c.off, Length: c.n})
		require.NoError(t, err)
		var got []byte
		for {
			b, err := br.Next()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			got = append(got, b...)
		}
		require.Equal(t, string(block[c.off:c.off+c.n]), string(got))
		require.NoError(t, br.Finish())
		s, err := conn.ReadStatus()
		require.NoError(t, err)
		require.Equal(t, StatusChecksumOK, s)
	}
}
