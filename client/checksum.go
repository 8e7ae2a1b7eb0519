package client

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math"

	"redoubt/dfs"
	"redoubt/raid"
	"redoubt/wire/datatransfer"
)

// FileChecksum is a checksum that two files with equal bytes share, whatever their
// datanodes; of the MD5 kind only if their blocks and chunks have equal sizes.
type FileChecksum struct {
	Algorithm string // "MD5-of-0MD5-of-512CRC32C", "COMPOSITE-CRC32C"
	Value     []byte // as Hadoop serialises it
}

// Checksum asks the datanodes for a file's checksum: MD5 of the blocks' MD5s of their
// chunks' CRCs, HDFS's default.
func (c *Client) Checksum(ctx context.Context, path string) (*FileChecksum, error) {
	return c.checksum(ctx, path, datatransfer.ChecksumMD5CRC)
}

// CompositeChecksum asks for the CRC of a file's bytes; of an empty file, as in HDFS, for
// the MD5 of nothing.
func (c *Client) CompositeChecksum(ctx context.Context, path string) (*FileChecksum, error) {
	return c.checksum(ctx, path, datatransfer.ChecksumComposite)
}

func (c *Client) checksum(ctx context.Context, path string, kind datatransfer.ChecksumKind) (*FileChecksum, error) {
	located, err := c.BlockLocations(ctx, path, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	// Of ciphertext the checksum is as good, and what Hadoop's client gives.
	if err := unreadable("summed up", path, located.ECPolicy, false); err != nil {
		return nil, err
	}
	if located.UnderConstruction {
		return nil, &dfs.Error{Op: "checksum", Path: path, Kind: dfs.Other, Msg: "Fail to get checksum, since file " + path + " is under construction."}
	}
	results := make([]*datatransfer.ChecksumResult, len(located.Blocks))
	for i := range located.Blocks {
		if results[i], err = c.blockChecksum(ctx, path, &located.Blocks[i], kind); err != nil {
			return nil, err
		}
		if r, first := results[i], results[0]; r.BytesPerCRC != first.BytesPerCRC || r.Type != first.Type {
			return nil, &dfs.Error{Op: "checksum", Path: path, Kind: dfs.Other, Msg: "Fail to get checksum, since blocks of " + path + " have different checksum types"}
		}
	}
	if kind == datatransfer.ChecksumComposite && len(results) > 0 {
		return composite(results, located.Blocks)
	}
	return md5OfMD5(results), nil
}

// blockChecksum asks one replica after the other.
func (c *Client) blockChecksum(ctx context.Context, path string, b *dfs.LocatedBlock, kind datatransfer.ChecksumKind) (*datatransfer.ChecksumResult, error) {
	var last error
	for _, loc := range b.Locs {
		conn, err := c.peers.dial(ctx, &loc.Node.DatanodeID)
		if err != nil {
			last = err
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		resp, err := conn.Call(&datatransfer.ChecksumRequest{Block: datatransfer.BlockRef{PoolID: b.PoolID, Block: b.Block}, Kind: kind})
		stop()
		drop(conn)
		if err == nil {
			err = resp.Err()
		}
		if err == nil && resp.Checksum == nil {
			err = fmt.Errorf("client: %s answered without a checksum", c.peers.address(&loc.Node.DatanodeID))
		}
		if err == nil {
			return resp.Checksum, nil
		}
		last = err
	}
	return nil, &dfs.Error{Op: "checksum", Path: path, Kind: dfs.Unavailable, Msg: fmt.Sprintf("Fail to get block checksum for %s:%s", b.PoolID, b.Block), Err: last}
}

func checksumName(t dfs.ChecksumType) string {
	switch t {
	case dfs.ChecksumCRC32:
		return "CRC32"
	case dfs.ChecksumCRC32C:
		return "CRC32C"
	}
	return "NULL"
}

// md5OfMD5 digests the blocks' digests, padded with zeroes to the size of a buffer that
// starts at 32 bytes and doubles; the value has chunk size and CRCs per block before it.
func md5OfMD5(results []*datatransfer.ChecksumResult) *FileChecksum {
	var bytesPer uint32
	var perBlock uint64
	typ := dfs.ChecksumCRC32
	if len(results) > 0 {
		bytesPer, typ = results[0].BytesPerCRC, results[0].Type
	}
	if len(results) > 1 {
		perBlock = results[0].CRCPerBlock
	}
	size := 32
	for size < 16*len(results) {
		size *= 2
	}
	buf := make([]byte, 0, size)
	for _, r := range results {
		buf = append(buf, r.Sum...)
	}
	sum := md5.Sum(buf[:max(size, len(buf))])
	value := binary.BigEndian.AppendUint32(nil, bytesPer)
	value = binary.BigEndian.AppendUint64(value, perBlock)
	return &FileChecksum{
		Algorithm: fmt.Sprintf("MD5-of-%dMD5-of-%d%s", perBlock, bytesPer, checksumName(typ)),
		Value:     append(value, sum[:]...),
	}
}

// composite joins the blocks' CRCs to the CRC of the whole file.
func composite(results []*datatransfer.ChecksumResult, blocks []dfs.LocatedBlock) (*FileChecksum, error) {
	typ := dfs.ChecksumCRC32C
	var crc uint32
	for i, r := range results {
		if len(r.Sum) != 4 {
			return nil, &dfs.Error{Op: "checksum", Kind: dfs.Other, Msg: fmt.Sprintf("a composite CRC of %d bytes", len(r.Sum))}
		}
		typ = r.Type
		crc = polynomial(typ).Join(crc, binary.BigEndian.Uint32(r.Sum), blocks[i].Length)
	}
	return &FileChecksum{Algorithm: "COMPOSITE-" + checksumName(typ), Value: binary.BigEndian.AppendUint32(nil, crc)}, nil
}

func polynomial(t dfs.ChecksumType) raid.Polynomial {
	if t == dfs.ChecksumCRC32 {
		return raid.CRC32
	}
	return raid.CRC32C
}
