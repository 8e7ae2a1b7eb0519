package control

import (
	"encoding/binary"

	"redoubt/dfs"
)

// AppendReplica appends one replica to BlockReportRequest.Blocks. previous is the id of
// the replica appended before it, 0 for the first of a request.
func AppendReplica(dst []byte, previous dfs.BlockID, r ReplicaInfo) []byte {
	dst = binary.AppendVarint(dst, int64(r.Block.ID-previous))
	dst = binary.AppendUvarint(dst, uint64(r.Block.GenStamp))
	dst = binary.AppendUvarint(dst, uint64(r.Block.Length))
	return binary.AppendUvarint(dst, uint64(r.State))
}

// DecodeReplicas calls fn for each of the count replicas in b, in order, without
// allocating. It stops at fn's first error and returns it. Bytes that are not exactly
// count replicas give a dfs.IllegalArgument error, after fn has seen the ones before.
func DecodeReplicas(b []byte, count int, fn func(ReplicaInfo) error) error {
	if count < 0 || count > len(b)/4 {
		return dfs.Errorf(dfs.IllegalArgument, "block report: %d replicas in %d bytes", count, len(b))
	}
	var id dfs.BlockID
	rest := b
	for i := range count {
		delta, n0 := binary.Varint(rest)
		if n0 <= 0 {
			return replicaError(i, count, len(b)-len(rest))
		}
		stamp, n1 := binary.Uvarint(rest[n0:])
		if n1 <= 0 {
			return replicaError(i, count, len(b)-len(rest))
		}
		length, n2 := binary.Uvarint(rest[n0+n1:])
		if n2 <= 0 || int64(length) < 0 {
			return replicaError(i, count, len(b)-len(rest))
		}
		state, n3 := binary.Uvarint(rest[n0+n1+n2:])
		if n3 <= 0 || state > uint64(dfs.ReplicaTemporary) {
			return replicaError(i, count, len(b)-len(rest))
		}
		rest = rest[n0+n1+n2+n3:]
		id += dfs.BlockID(delta)
		err := fn(ReplicaInfo{
			Block: dfs.Block{ID: id, GenStamp: dfs.GenStamp(stamp), Length: int64(length)},
			State: dfs.ReplicaState(state),
		})
		if err != nil {
			return err
		}
	}
	if len(rest) != 0 {
		return dfs.Errorf(dfs.IllegalArgument, "block report: %d bytes behind %d replicas", len(rest), count)
	}
	return nil
}

func replicaError(i, count, at int) error {
	return dfs.Errorf(dfs.IllegalArgument, "block report: replica %d of %d at byte %d is malformed", i, count, at)
}
