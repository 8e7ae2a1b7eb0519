package datatransfer

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
)

// FuzzReader feeds any bytes to every decoder. None may panic, hold more than twice of
// what came in, or accept a packet whose parts don't add up.
func FuzzReader(f *testing.F) {
	q, _ := AppendRequest(nil, &WriteRequest{Targets: []Target{{}}, Checksum: DefaultChecksum})
	f.Add(q)
	q, _ = AppendRequest(nil, &ReadRequest{Length: 5})
	f.Add(q)
	q, _ = AppendRequest(nil, &ChecksumRequest{})
	f.Add(q)
	q, _ = AppendRequest(nil, &CustomRequest{Body: []byte{1, 2}})
	f.Add(q)
	q, _ = AppendResponse(nil, &Response{Read: &ReadInfo{Checksum: DefaultChecksum}})
	f.Add(q)
	f.Add(AppendAck(nil, &Ack{Replies: []Status{0, 1}}))
	f.Add(AppendStatus(nil, StatusChecksumOK))
	f.Add(DefaultChecksum.AppendData(nil, &Header{Seqno: 1}, []byte("data")))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, read := range []func(*Reader) error{
			func(r *Reader) error { _, err := r.ReadOp(); return err },
			func(r *Reader) error { _, err := r.ReadResponse(); return err },
			func(r *Reader) error { _, err := r.ReadStatus(); return err },
			func(r *Reader) error { return r.ReadAck(&Ack{}) },
			func(r *Reader) error {
				var p Packet
				err := r.ReadPacket(&p)
				if err == nil {
					require.Len(t, p.Data, int(p.Length))
					require.LessOrEqual(t, len(p.Raw), len(in))
					DefaultChecksum.Verify(p.Checksums, p.Data)
				}
				return err
			},
		} {
			r := NewReader(bytes.NewReader(in))
			for read(r) == nil {
			}
			require.LessOrEqual(t, len(r.buf), max(2*len(in), packetBuffer))
			r.Release()
		}
	})
}

// FuzzHeader holds the quick header decoder against the field-by-field one.
func FuzzHeader(f *testing.F) {
	b, _, _ := AppendPacket(nil, &Header{Offset: 5, Seqno: 6, Sync: true}, 0)
	f.Add(b[packetPrefix:])
	b, _, _ = AppendPacket(nil, &Header{Offset: 5, Seqno: 6, Last: true}, 0)
	f.Add(b[packetPrefix:])
	f.Fuzz(func(t *testing.T, in []byte) {
		var quick, slow Header
		err := decodeHeader(in, &quick)
		// An unknown field before the others sends the same header down the slow path.
		slowErr := decodeHeader(append([]byte{0x78, 0}, in...), &slow)
		require.Equal(t, err == nil, slowErr == nil, "%v %v", err, slowErr)
		if err == nil {
			require.Equal(t, slow, quick)
		}
	})
}

func benchmarkStream(n int) []byte {
	var stream []byte
	data := make([]byte, dfs.DefaultWritePacket)
	for i := range n {
		stream = DefaultChecksum.AppendData(stream, &Header{Offset: int64(i * len(data)), Seqno: int64(i)}, data)
	}
	return stream
}

func BenchmarkReadVerify(b *testing.B) {
	stream := benchmarkStream(64)
	src := bytes.NewReader(stream)
	r := NewReader(src)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(stream)
		var p Packet
		for {
			err := r.ReadPacket(&p)
			if err == io.EOF {
				break
			}
			if err != nil || DefaultChecksum.Verify(p.Checksums, p.Data) >= 0 {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkAppendData(b *testing.B) {
	data := make([]byte, dfs.DefaultWritePacket)
	buf := make([]byte, 0, 2*len(data))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		buf = DefaultChecksum.AppendData(buf[:0], &Header{}, data)
	}
}
