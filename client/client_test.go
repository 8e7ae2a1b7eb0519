package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"redoubt/dfs"
	"redoubt/wire/datatransfer"
	"redoubt/wire/hadooprpc"
	"redoubt/wire/hdfspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// bubble runs a test on virtual time; a goroutine that outlives Close deadlocks it.
func bubble(t *testing.T, nodes, repl int, blockSize int64, f func(t *testing.T, c *cluster, cl *Client)) {
	bubbleWith(t, nodes, repl, blockSize, nil, f)
}

func bubbleWith(t *testing.T, nodes, repl int, blockSize int64, change func(*Config), f func(t *testing.T, c *cluster, cl *Client)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nodes, repl, blockSize)
		cl := c.client(change)
		f(t, c, cl)
		require.NoError(t, cl.Close())
		c.close()
	})
}

// writeFile writes data in uneven pieces.
func writeFile(t *testing.T, cl *Client, data []byte) {
	w, err := cl.Create(t.Context(), "/f", CreateOptions{})
	require.NoError(t, err)
	for n := 1; len(data) > 0; n = n*3 + 1 {
		n = min(n, len(data))
		_, err := w.Write(data[:n])
		require.NoError(t, err)
		data = data[n:]
	}
	require.NoError(t, w.Close())
}

func readFile(t *testing.T, cl *Client) []byte {
	f, err := cl.Open(t.Context(), "/f")
	require.NoError(t, err)
	defer f.Close()
	got, err := io.ReadAll(f)
	require.NoError(t, err)
	return got
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 4096, 8191, 8192, 8193, 20000, 40960} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, 3, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
				data := randomBytes(n)
				writeFile(t, cl, data)
				require.Equal(t, data, append([]byte{}, c.contents()...))
				require.Equal(t, data, append([]byte{}, readFile(t, cl)...))
			})
		})
	}
}

// Every member of the pipeline fails at every packet, by a bad status or by cutting the
// connection; the file must come out whole on all nodes that the name node knows.
func TestPipelineMemberFailsAtEachPacket(t *testing.T) {
	const blockSize, n = 8192, 12000
	cases := 0
	for bad := -1; bad < 3; bad++ { // -1 cuts the connection
		for at := 0; at < 14; at++ {
			cases++
			t.Run(fmt.Sprintf("node %d packet %d", bad, at), func(t *testing.T) {
				bubble(t, 5, 3, blockSize, func(t *testing.T, c *cluster, cl *Client) {
					packets, fired := 0, false
					c.failAck = func(_ dfs.BlockID, _ int64, nodes []int) (int, bool) {
						packets++
						if packets-1 != at || bad >= len(nodes) || fired {
							return -1, false
						}
						fired = true
						return bad, bad < 0
					}
					data := randomBytes(n)
					writeFile(t, cl, data)
					require.Equal(t, data, c.contents())
					require.Equal(t, data, readFile(t, cl))
					if fired {
						require.Positive(t, c.calls["updatePipeline"])
					}
				})
			})
		}
	}
	t.Logf("%d failures", cases)
}

// All nodes but one fail, one after the other; then the last one.
func TestPipelineShrinksToNothing(t *testing.T) {
	bubble(t, 3, 3, 1<<20, func(t *testing.T, c *cluster, cl *Client) {
		cl.cfg.Write.Replace = ReplaceNever
		w, err := cl.Create(t.Context(), "/f", CreateOptions{})
		require.NoError(t, err)
		data := randomBytes(60000)
		packets := 0
		c.failAck = func(_ dfs.BlockID, _ int64, nodes []int) (int, bool) {
			packets++
			if packets%10 == 0 {
				return len(nodes) - 1, false
			}
			return -1, false
		}
		_, err = w.Write(data)
		if err == nil {
			err = w.Flush()
		}
		require.ErrorContains(t, err, "are bad")
		require.True(t, dfs.Is(err, dfs.Unavailable))
		require.Equal(t, err, w.Close(), "the first error stays")
	})
}

func TestReplacementDatanode(t *testing.T) {
	bubble(t, 4, 3, 1<<20, func(t *testing.T, c *cluster, cl *Client) {
		w, err := cl.Create(t.Context(), "/f", CreateOptions{})
		require.NoError(t, err)
		data := randomBytes(30000)
		_, err = w.Write(data[:10001])
		require.NoError(t, err)
		require.NoError(t, w.Flush()) // flushed: the policy asks for a replacement
		fired := false
		c.mu.Lock()
		c.failAck = func(dfs.BlockID, int64, []int) (int, bool) {
			if fired {
				return -1, false
			}
			fired = true
			return 1, false
		}
		c.mu.Unlock()
		_, err = w.Write(data[10001:])
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, 1, c.calls["getAdditionalDatanode"])
		require.Len(t, c.where[c.blocks[0].ID], 3)
		require.Equal(t, data, c.contents())
	})
}

// Each member of the pipeline can't be reached when it is set up.
func TestSetUpFailureExcludes(t *testing.T) {
	for down := range 3 {
		bubble(t, 4, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
			c.down[down] = true
			data := randomBytes(9000)
			writeFile(t, cl, data)
			require.Equal(t, data, c.contents())
			require.Positive(t, c.calls["abandonBlock"])
			for _, b := range c.blocks {
				require.NotContains(t, c.where[b.ID], down)
			}
		})
	}
}

// Every replica fails at every packet of a read, cut off or damaged.
func TestReplicaFailsAtEachPacket(t *testing.T) {
	data := randomBytes(12000)
	for _, damage := range []bool{false, true} {
		for node := range 3 {
			for at := range 10 {
				t.Run(fmt.Sprintf("node %d packet %d damage %t", node, at, damage), func(t *testing.T) {
					bubble(t, 3, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
						writeFile(t, cl, data)
						failed := 0
						c.failRead = func(n, k int) (bool, bool) {
							hit := n == node && k == at && !(damage && at == 8)
							if hit {
								failed++
							}
							return hit && !damage, hit && damage
						}
						require.Equal(t, data, readFile(t, cl))
						if damage && failed > 0 {
							require.NotEmpty(t, c.bad, "the damaged replica was not reported")
						}
						f, err := cl.Open(t.Context(), "/f")
						require.NoError(t, err)
						got := make([]byte, 5000)
						_, err = f.ReadAt(got, 6001)
						require.NoError(t, err)
						require.Equal(t, data[6001:11001], got)
						require.NoError(t, f.Close())
					})
				})
			}
		}
	}
}

func TestAllReplicasFail(t *testing.T) {
	bubble(t, 3, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
		writeFile(t, cl, randomBytes(3000))
		c.failRead = func(int, int) (bool, bool) { return false, true }
		f, err := cl.Open(t.Context(), "/f")
		require.NoError(t, err)
		_, err = io.ReadAll(f)
		require.True(t, dfs.Is(err, dfs.Corrupt), "%v", err)
		require.ErrorContains(t, err, "Could not obtain block")
		require.NoError(t, f.Close())
	})
}

// A hedged read does not wait for a replica that hangs.
func TestHedgedRead(t *testing.T) {
	hedge := func(cfg *Config) { cfg.Read.Hedge = 100 * time.Millisecond }
	bubbleWith(t, 3, 3, 8192, hedge, func(t *testing.T, c *cluster, cl *Client) {
		data := randomBytes(8000)
		writeFile(t, cl, data)
		release := make(chan struct{})
		c.failRead = func(n, k int) (bool, bool) {
			if n == 0 {
				<-release
			}
			return false, false
		}
		f, err := cl.Open(t.Context(), "/f")
		require.NoError(t, err)
		start := time.Now()
		got := make([]byte, 1000)
		_, err = f.ReadAt(got, 100)
		require.NoError(t, err)
		require.Equal(t, data[100:1100], got)
		require.Equal(t, 100*time.Millisecond, time.Since(start))
		close(release)
		require.NoError(t, f.Close())
	})
}

// A silent pipeline stays up by heartbeats and the lease by renewals.
func TestIdleWriter(t *testing.T) {
	bubble(t, 3, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
		w, err := cl.Create(t.Context(), "/f", CreateOptions{})
		require.NoError(t, err)
		_, err = w.Write([]byte("begin"))
		require.NoError(t, err)
		require.NoError(t, w.Flush())
		time.Sleep(10 * time.Minute)
		_, err = w.Write([]byte("end"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Equal(t, "beginend", string(c.contents()))
		require.Equal(t, 20, c.calls["renewLease"]/1)
		require.Zero(t, c.calls["updatePipeline"])
	})
}

// Flushes at odd lengths leave partial chunks, which later packets complete.
func TestFlushInsideChunks(t *testing.T) {
	bubble(t, 3, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
		w, err := cl.Create(t.Context(), "/f", CreateOptions{})
		require.NoError(t, err)
		data := randomBytes(20000)
		for at, n := 0, 1; at < len(data); n = n*2 + 3 {
			n = min(n, len(data)-at, 3000)
			_, err := w.Write(data[at : at+n])
			require.NoError(t, err)
			require.NoError(t, w.Sync(n%2 == 0))
			at += n
			require.EqualValues(t, at, w.Size())
		}
		require.NoError(t, w.Close())
		require.Equal(t, data, c.contents())
	})
}

func TestCanceledWriter(t *testing.T) {
	bubble(t, 3, 3, 1<<20, func(t *testing.T, c *cluster, cl *Client) {
		ctx, cancel := context.WithCancel(t.Context())
		w, err := cl.Create(ctx, "/f", CreateOptions{})
		require.NoError(t, err)
		_, err = w.Write(randomBytes(5000))
		require.NoError(t, err)
		cancel()
		require.True(t, dfs.Is(w.Flush(), dfs.Canceled))
		require.Error(t, w.Close())
	})
}

// Name nodes fail over on refused connections and on StandbyException.
func TestNameNodeFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 3, 8192)
		dials := []string{}
		cl, err := Open(Config{NameNodes: []string{"dead:1", "nn:1"}, User: "alice", Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			dials = append(dials, addr)
			if addr == "dead:1" {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
			}
			return c.dial(ctx, addr)
		}})
		require.NoError(t, err)
		start := time.Now()
		_, err = cl.ServerDefaults(t.Context())
		require.NoError(t, err)
		require.Zero(t, time.Since(start), "the second name node is asked at once")
		require.Equal(t, []string{"dead:1", "nn:1"}, dials)
		require.NoError(t, cl.Close())
		c.close()
	})
}

// A call whose connection breaks is sent again over a new one under the same client and
// call id, so that the name node's retry cache knows it.
func TestResendKeepsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type sent struct {
			caller dfs.CallID
			retry  int32
		}
		var mu sync.Mutex
		var calls []sent
		var last net.Conn // the client's end
		server := &hadooprpc.Server{}
		server.Handle(clientProtocol, 1, hadooprpc.HandlerFunc(func(call *hadooprpc.Call) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, sent{call.Caller.ID, call.Retry})
			if len(calls) < 3 {
				_ = last.Close() // the answer is lost on its way
			}
			call.Reply(&hdfspb.BoolResponse{Result: new(true)})
		}))
		var serving sync.WaitGroup
		cl, err := Open(Config{NameNodes: []string{"nn:1"}, User: "alice", Dial: func(context.Context, string) (net.Conn, error) {
			near, far := net.Pipe()
			mu.Lock()
			last = near
			mu.Unlock()
			serving.Go(func() { server.ServeConn(far) })
			return near, nil
		}})
		require.NoError(t, err)
		_, err = cl.Mkdirs(t.Context(), "/d", 0o755, false)
		require.NoError(t, err)
		require.NoError(t, cl.Close())
		require.NoError(t, server.Close())
		serving.Wait()
		require.Len(t, calls, 3)
		for i, c := range calls {
			require.Equal(t, calls[0].caller, c.caller)
			require.Equal(t, int32(i), c.retry)
		}
	})
}

func TestNameNodePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := func(context.Context, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
		}
		cl, err := Open(Config{NameNodes: []string{"a:1"}, User: "u", Dial: refuse, Patience: 5 * time.Second})
		require.NoError(t, err)
		start := time.Now()
		_, err = cl.Stat(t.Context(), "/")
		require.True(t, dfs.Is(err, dfs.Unavailable), "%v", err)
		require.InDelta(t, 5, time.Since(start).Seconds(), 2)
		require.NoError(t, cl.Close())
		cl, err = Open(Config{NameNodes: []string{"a:1"}, User: "u", Dial: refuse, FailFast: true})
		require.NoError(t, err)
		start = time.Now()
		_, err = cl.Stat(t.Context(), "/")
		require.Error(t, err)
		require.Zero(t, time.Since(start))
		require.NoError(t, cl.Close())
	})
}

func TestConfigValidate(t *testing.T) {
	_, err := Open(Config{NameNodes: []string{"noport"}, Write: WriteConfig{PacketSize: -1}, Read: ReadConfig{Hedge: -1}})
	for _, want := range []string{"noport", "no user", "packet size", "negative"} {
		require.ErrorContains(t, err, want)
	}
}

func TestErrorKinds(t *testing.T) {
	require.ErrorIs(t, &dfs.Error{Kind: dfs.NotFound, Msg: "m", Err: sentinel(dfs.NotFound)}, fs.ErrNotExist)
	require.ErrorIs(t, notFound("stat", "/x"), fs.ErrNotExist)
}

// The composite checksum of several blocks is the CRC of all their bytes.
func TestCompositeOfBlocks(t *testing.T) {
	for typ, poly := range map[dfs.ChecksumType]uint32{dfs.ChecksumCRC32: crc32.IEEE, dfs.ChecksumCRC32C: crc32.Castagnoli} {
		table := crc32.MakeTable(poly)
		var all []byte
		var results []*datatransfer.ChecksumResult
		var blocks []dfs.LocatedBlock
		for _, n := range []int{777, 512, 0, 5000} {
			b := randomBytes(n)
			all = append(all, b...)
			results = append(results, &datatransfer.ChecksumResult{Type: typ, Sum: binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, table))})
			blocks = append(blocks, dfs.LocatedBlock{Block: dfs.Block{Length: int64(n)}})
		}
		sum, err := composite(results, blocks)
		require.NoError(t, err)
		require.Equal(t, "COMPOSITE-"+checksumName(typ), sum.Algorithm)
		require.Equal(t, binary.BigEndian.AppendUint32(nil, crc32.Checksum(all, table)), sum.Value)
	}
}

func TestSeek(t *testing.T) {
	bubble(t, 3, 3, 8192, func(t *testing.T, c *cluster, cl *Client) {
		data := randomBytes(20000)
		writeFile(t, cl, data)
		f, err := cl.Open(t.Context(), "/f")
		require.NoError(t, err)
		for _, at := range []int64{0, 5, 1000, 8191, 8192, 16000, 3, 19999} {
			_, err := f.Seek(at, io.SeekStart)
			require.NoError(t, err)
			b := make([]byte, min(700, 20000-at))
			_, err = io.ReadFull(f, b)
			require.NoError(t, err)
			require.Equal(t, data[at:at+int64(len(b))], b)
		}
		_, err = f.Seek(-1, io.SeekStart)
		require.ErrorIs(t, err, fs.ErrInvalid)
		_, err = f.Seek(10, io.SeekEnd)
		require.NoError(t, err)
		_, err = f.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		require.NoError(t, f.Close())
	})
}

func TestReplacedFileIsNotMixedIn(t *testing.T) {
	block := func(id dfs.BlockID, stamp dfs.GenStamp, offset, length int64) dfs.LocatedBlock {
		return dfs.LocatedBlock{Block: dfs.Block{ID: id, GenStamp: stamp, Length: length}, Offset: offset}
	}
	f := &File{blocks: []dfs.LocatedBlock{block(1, 1, 0, 100), block(2, 2, 100, 50)}}
	require.False(t, f.replacedLocked([]dfs.LocatedBlock{block(2, 3, 100, 80), block(3, 4, 180, 10)}), "appended to")
	require.True(t, f.replacedLocked([]dfs.LocatedBlock{block(7, 9, 0, 100)}))
	require.True(t, f.replacedLocked([]dfs.LocatedBlock{block(1, 1, 0, 100), block(7, 9, 100, 10)}))
}

// A call waits for a name node that has just started, not for an administrator.
func TestSafeModeThatPasses(t *testing.T) {
	n := &nameService{cfg: &Config{Patience: time.Second}}
	refusal := func(text string) error { return &dfs.Error{Kind: dfs.SafeMode, Msg: text} }
	require.True(t, n.mayRetry(refusal("Cannot create file /f. Name node is in safe mode.\n0 of 1 blocks are reported. It ends by itself once that is reached.")))
	require.True(t, n.mayRetry(refusal("The reported blocks 0 needs additional 1 blocks. Safe mode will be turned off automatically once the thresholds have been reached.")))
	require.False(t, n.mayRetry(refusal(`It was turned on by hand; "dfsadmin -safemode leave" turns it off.`)))
	require.False(t, n.mayRetry(refusal(`It was turned on manually. Use "hdfs dfsadmin -safemode leave" to turn safe mode off.`)))
}
