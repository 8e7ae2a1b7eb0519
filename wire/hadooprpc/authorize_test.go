package hadooprpc

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAuthorize: the protocol of a connection's context is asked about, and each other one
// before its first call; a refusal ends the connection with Hadoop's exception.
func TestAuthorize(t *testing.T) {
	const other = "test.Other"
	asked := make(chan string, 100)
	s := &Server{Authorize: func(p *Peer, protocol string) error {
		asked <- p.User + "," + p.RealUser + "," + p.Addr.String() + "," + protocol
		if p.User == "mallory" || protocol == other && p.RealUser == "" {
			return errors.New("not you, " + p.User)
		}
		return nil
	}}
	s.Handle(other, 1, newEcho())
	addr := serve(t, s, newEcho())
	call := func(c *Conn, protocol string) error {
		_, err := c.CallBytes(t.Context(), Target{protocol, 1, "echo"}, []byte("x"))
		return err
	}
	dial := func(user, real string) *Conn {
		c, err := Dial(t.Context(), addr, Options{User: user, RealUser: real, Protocol: testProtocol})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	refused := func(err error, text string) {
		var remote *RemoteError
		require.ErrorAs(t, err, &remote)
		require.Equal(t, "org.apache.hadoop.security.authorize.AuthorizationException", remote.Class)
		require.Equal(t, text, remote.Message)
	}

	refused(call(dial("mallory", ""), testProtocol), "not you, mallory")
	require.Equal(t, "mallory,,127.0.0.1,"+testProtocol, <-asked)

	ann := dial("ann", "")
	require.NoError(t, call(ann, testProtocol))
	require.NoError(t, call(ann, testProtocol))
	require.Equal(t, "ann,,127.0.0.1,"+testProtocol, <-asked)
	require.Empty(t, asked, "once for a connection and a protocol")
	refused(call(ann, other), "not you, ann")
	require.Equal(t, "ann,,127.0.0.1,"+other, <-asked)
	<-ann.Done()

	proxied := dial("ann/host@REALM", "ann")
	for range 2 {
		require.NoError(t, call(proxied, testProtocol))
		require.NoError(t, call(proxied, other))
	}
	require.Equal(t, "ann/host@REALM,ann,127.0.0.1,"+testProtocol, <-asked, "names as the client spells them")
	require.Equal(t, "ann/host@REALM,ann,127.0.0.1,"+other, <-asked)
}

// TestProxyOfOneself: a real user that is named counts, be it the same one, as in Hadoop.
func TestProxyOfOneself(t *testing.T) {
	var real string
	addr := serve(t, &Server{Authorize: func(p *Peer, _ string) error { real = p.RealUser; return nil }}, newEcho())
	c, err := Dial(t.Context(), addr, Options{User: user, RealUser: user, Protocol: testProtocol})
	require.NoError(t, err)
	defer c.Close()
	who, err := c.CallBytes(t.Context(), target("who"), nil)
	require.NoError(t, err)
	require.Equal(t, user+","+user+",", string(who))
	require.Equal(t, user, real)
}
