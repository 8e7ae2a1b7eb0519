package control

import "redoubt/dfs"

// ChainRequest asks a datanode for the exclusive or of Sources over a range of their bytes,
// each as if zeroes followed. It is the body of the data transfer operation CUSTOM, answered
// as READ_BLOCK is. The receiver reads the sources that it has itself, and sends the rest to
// a datanode that has one of them: so the bytes go along a chain of datanodes, once over
// each one's link, and are joined on the way.
type ChainRequest struct {
	PoolID  string
	Client  string // for whom; not this protocol's business
	Offset  int64
	End     int64
	Sources []Source
}

// maxChain bounds the body: sources have few places.
const maxChain = 256 << 10

// AppendChain appends a request's body.
func AppendChain(dst []byte, req *ChainRequest) ([]byte, error) {
	body, err := encode(req)
	if err != nil {
		return dst, err
	}
	return append(dst, body...), nil
}

// DecodeChain reads a request's body. One that makes no sense is dfs.IllegalArgument, one of
// another version dfs.IncorrectVersion.
func DecodeChain(body []byte) (*ChainRequest, error) {
	if len(body) > maxChain {
		return nil, dfs.Errorf(dfs.IllegalArgument, "control: chain request of %d bytes", len(body))
	}
	req := new(ChainRequest)
	if err := decode(body, req); err != nil {
		return nil, err
	}
	if req.Offset < 0 || req.End < req.Offset || len(req.Sources) == 0 {
		return nil, dfs.Errorf(dfs.IllegalArgument, "control: chain request of %d sources from %d to %d", len(req.Sources), req.Offset, req.End)
	}
	for i := range req.Sources {
		if b := req.Sources[i].Block; b.Length < 0 {
			return nil, dfs.Errorf(dfs.IllegalArgument, "control: chain request with %v of %d bytes", b, b.Length)
		}
	}
	return req, nil
}
