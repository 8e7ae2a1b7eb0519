package clientrpc

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/wire/hadooprpc"
	pb "redoubt/wire/hdfspb"
)

// FuzzCalls sends any bytes as the request of any method: there is an answer or an error,
// and the connection goes on.
func FuzzCalls(f *testing.F) {
	c := dial(f, serve(f, &fake{}), "root")
	list := pb.ClientMethods()
	for i, m := range list {
		req := m.Request()
		b, err := req.MarshalVT()
		if err != nil {
			b = nil // it has required fields
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), []byte("\x0a\x02/a\x10\x01\x18\x01"))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		m := list[int(which)%len(list)]
		answer, err := c.CallBytes(context.Background(), hadooprpc.Target{Protocol: pb.ClientProtocol, Version: 1, Method: m.Name}, body)
		if err != nil {
			var re *hadooprpc.RemoteError
			require.ErrorAs(t, err, &re, "%s lost the connection", m.Name)
			return
		}
		require.NoError(t, m.Response().UnmarshalVT(answer), m.Name)
	})
}
