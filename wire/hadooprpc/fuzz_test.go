package hadooprpc

import (
	"context"
	"net"
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
