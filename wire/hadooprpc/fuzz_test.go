package hadooprpc

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzClient has a server answer anything to a call: the call ends, with an answer or an
// error, and so does the connection.
func FuzzClient(f *testing.F) {
	success := func(id int32, body string) []byte {
		b, start := beginFrame(nil)
		b = appendSuccessHeader(b, id, nil)
		b = append(b, byte(len(body)))
		b = append(b, body...)
		endFrame(b, start)
		return b
	}
	f.Add(success(0, "hi"))
	f.Add(append(success(77, "not asked for"), success(0, "hi")...))
	f.Add(appendErrorFrame(nil, 0, nil, &RemoteError{Class: "c", Message: "m", Detail: 1}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		c, err := NewConn(ours, Options{User: user})
		require.NoError(t, err)
		read := make(chan struct{})
		go func() { // the server takes everything
			defer close(read)
			buf := make([]byte, 4096)
			for {
				if _, err := theirs.Read(buf); err != nil {
					return
				}
			}
		}()
		called := make(chan struct{})
		go func() {
			defer close(called)
			_, _ = c.CallBytes(context.Background(), target("echo"), []byte("x"))
		}()
		_ = theirs.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = theirs.Write(b)
		_ = theirs.Close()
		<-called
		<-read
		_ = c.Close()
	})
}

// A length alone must not cost memory: only what was really sent may.
func TestHostileLengthsAreBounded(t *testing.T) {
	const limit = 64 << 20
	for name, in := range map[string]string{
		"over the limit": "\x04\x00\x00\x01\x00",
		"negative":       "\xff\xff\xff\xff\x00",
		"empty":          "\x00\x00\x00\x00",
	} {
		r := newFrameReader(strings.NewReader(in), limit)
		require.NoError(t, r.fill())
		_, _, err := r.next()
		require.ErrorIs(t, err, errFrame, name)
	}
	r := newFrameReader(strings.NewReader("\x04\x00\x00\x00only this"), limit)
	var err error
	for err == nil {
		_, ok, frameErr := r.next()
		require.NoError(t, frameErr)
		require.False(t, ok)
		err = r.fill()
	}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.LessOrEqual(t, len(r.buf), 2*smallBuffer)
}
