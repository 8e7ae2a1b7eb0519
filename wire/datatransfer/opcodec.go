package datatransfer

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"redoubt/dfs"
	"redoubt/wire/hdfspb"
)

// maxTargets bounds a pipeline that a request names.
const maxTargets = dfs.MaxReplication

// ReadOp reads the next operation. io.EOF means that the other side closed the
// connection between operations; a wrong version or an undecodable message is ErrFrame.
func (r *Reader) ReadOp() (Request, error) {
	if err := r.need(3, messageBuffer); err != nil {
		return nil, err
	}
	if v := binary.BigEndian.Uint16(r.buf[r.pos:]); v != Version {
		return nil, fmt.Errorf("datatransfer: protocol version %d instead of %d: %w", v, Version, ErrFrame)
	}
	op := Op(r.buf[r.pos+2])
	r.pos += 3
	b, err := r.message()
	if err != nil {
		return nil, unexpected(err)
	}
	q, err := decodeRequest(op, b)
	if err != nil {
		return nil, fmt.Errorf("datatransfer: %v: %w: %w", op, ErrFrame, err)
	}
	return q, nil
}

func decodeRequest(op Op, b []byte) (Request, error) {
	switch op {
	case OpWriteBlock:
		return decodeWrite(b)
	case OpReadBlock:
		return decodeRead(b)
	case OpTransferBlock:
		return decodeTransfer(b)
	case OpBlockChecksum:
		return decodeChecksum(b)
	case OpCustom:
		return &CustomRequest{Body: append([]byte(nil), b...)}, nil
	case OpReplaceBlock:
		return decodeReplace(b)
	case OpCopyBlock:
		var m hdfspb.OpCopyBlock
		if err := m.UnmarshalVT(b); err != nil {
			return nil, err
		}
		return &CopyRequest{Block: blockRef(m.Header)}, nil
	case OpReadMetadata, OpRequestFDs, OpReleaseFDs, OpRequestShm, OpBlockGroupChecksum:
		return &OtherRequest{Code: op}, nil
	}
	return nil, fmt.Errorf("unknown operation code %d", op)
}

func decodeWrite(b []byte) (Request, error) {
	var m hdfspb.OpWriteBlock
	if err := m.UnmarshalVT(b); err != nil {
		return nil, err
	}
	q := &WriteRequest{
		Block:        blockRef(m.Header.BaseHeader),
		Client:       m.Header.GetClientName(),
		Stage:        Stage(m.GetStage()),
		PipelineSize: m.GetPipelineSize(),
		MinBytes:     int64(m.GetMinBytesRcvd()),
		MaxBytes:     int64(m.GetMaxBytesRcvd()),
		NewStamp:     dfs.GenStamp(m.GetLatestGenerationStamp()),
		Checksum:     Checksum{dfs.ChecksumType(m.RequestedChecksum.GetType()), m.RequestedChecksum.GetBytesPerChecksum()},
		StorageID:    m.GetStorageId(),
		LazyPersist:  m.GetAllowLazyPersist(),
	}
	if m.StorageType != nil {
		q.StorageType = dfs.StorageType(*m.StorageType)
	}
	if m.Source != nil {
		src := datanodeID(m.Source)
		q.Source = &src
	}
	var err error
	q.Targets, err = targets(m.Targets, m.TargetStorageTypes, m.TargetStorageIds)
	if err != nil {
		return nil, err
	}
	if q.MinBytes < 0 || q.MaxBytes < 0 || q.Block.Length < 0 {
		return nil, fmt.Errorf("negative length")
	}
	if m.RequestedChecksum.GetType() < 0 || m.RequestedChecksum.GetType() > 255 {
		return nil, fmt.Errorf("checksum type %d", m.RequestedChecksum.GetType())
	}
	return q, q.Checksum.Validate()
}

func decodeRead(b []byte) (Request, error) {
	var m hdfspb.OpReadBlock
	if err := m.UnmarshalVT(b); err != nil {
		return nil, err
	}
	q := &ReadRequest{
		Block:       blockRef(m.Header.BaseHeader),
		Client:      m.Header.GetClientName(),
		Offset:      int64(m.GetOffset()),
		Length:      int64(m.GetLen()),
		NoChecksums: !m.GetSendChecksums(),
	}
	if cs := m.CachingStrategy; cs != nil {
		q.DropBehind, q.ReadAhead, q.HasReadAhead = cs.GetDropBehind(), cs.GetReadahead(), cs.Readahead != nil
	}
	return q, nil
}

func decodeTransfer(b []byte) (Request, error) {
	var m hdfspb.OpTransferBlock
	if err := m.UnmarshalVT(b); err != nil {
		return nil, err
	}
	t, err := targets(m.Targets, m.TargetStorageTypes, m.TargetStorageIds)
	return &TransferRequest{Block: blockRef(m.Header.BaseHeader), Client: m.Header.GetClientName(), Targets: t}, err
}

func decodeReplace(b []byte) (Request, error) {
	var m hdfspb.OpReplaceBlock
	if err := m.UnmarshalVT(b); err != nil {
		return nil, err
	}
	return &ReplaceRequest{Block: blockRef(m.Header), DeleteHint: m.GetDelHint(), Source: datanodeID(m.Source),
		Type: dfs.StorageType(m.GetStorageType()), StorageID: m.GetStorageId()}, nil
}

func decodeChecksum(b []byte) (Request, error) {
	var m hdfspb.OpBlockChecksum
	if err := m.UnmarshalVT(b); err != nil {
		return nil, err
	}
	q := &ChecksumRequest{Block: blockRef(m.Header), Kind: ChecksumMD5CRC}
	if o := m.BlockChecksumOptions; o != nil {
		if k := o.GetBlockChecksumType(); k == hdfspb.BlockChecksumType_COMPOSITE_CRC {
			q.Kind = ChecksumComposite
		}
		if o.GetStripeLength() > maxOffset {
			return nil, fmt.Errorf("stripe length %d", o.GetStripeLength())
		}
		q.StripeLength = int64(o.GetStripeLength())
	}
	return q, nil
}

func blockRef(h *hdfspb.BaseHeader) BlockRef {
	b := h.Block
	return BlockRef{PoolID: b.GetPoolId(), Block: dfs.Block{
		ID: dfs.BlockID(b.GetBlockId()), GenStamp: dfs.GenStamp(b.GetGenerationStamp()), Length: int64(b.GetNumBytes()),
	}}
}

func datanodeID(m *hdfspb.DatanodeInfo) dfs.DatanodeID {
	id := m.Id
	return dfs.DatanodeID{
		UUID: id.GetDatanodeUuid(), IP: id.GetIpAddr(), Host: id.GetHostName(),
		XferPort: uint16(id.GetXferPort()), InfoPort: uint16(id.GetInfoPort()),
		SecurePort: uint16(id.GetInfoSecurePort()), IPCPort: uint16(id.GetIpcPort()),
	}
}

func targets(nodes []*hdfspb.DatanodeInfo, types []hdfspb.StorageType, ids []string) ([]Target, error) {
	if len(nodes) > maxTargets {
		return nil, fmt.Errorf("%d targets", len(nodes))
	}
	var out []Target
	for i, n := range nodes {
		t := Target{Node: datanodeID(n)}
		if i < len(types) {
			t.Type = dfs.StorageType(types[i])
		}
		if i < len(ids) {
			t.StorageID = ids[i]
		}
		out = append(out, t)
	}
	return out, nil
}

// AppendRequest appends an operation. Every request type but *OtherRequest can be sent.
func AppendRequest(dst []byte, q Request) ([]byte, error) {
	var m hdfspb.Message
	switch q := q.(type) {
	case *WriteRequest:
		m = writeMessage(q)
	case *ReadRequest:
		m = &hdfspb.OpReadBlock{
			Header: clientHeader(q.Block, q.Client), Offset: ptr(uint64(q.Offset)), Len: ptr(uint64(q.Length)),
			SendChecksums: ptr(!q.NoChecksums), CachingStrategy: &hdfspb.CachingStrategy{},
		}
	case *TransferRequest:
		nodes, types, ids := targetMessages(q.Targets)
		m = &hdfspb.OpTransferBlock{Header: clientHeader(q.Block, q.Client), Targets: nodes, TargetStorageTypes: types, TargetStorageIds: ids}
	case *ChecksumRequest:
		m = checksumMessage(q)
	case *ReplaceRequest:
		m = replaceMessage(q)
	case *CopyRequest:
		m = &hdfspb.OpCopyBlock{Header: clientHeader(q.Block, "").BaseHeader}
	case *CustomRequest:
		dst = binary.BigEndian.AppendUint16(dst, Version)
		dst = append(dst, byte(OpCustom))
		return protowire.AppendBytes(dst, q.Body), nil
	default:
		return nil, fmt.Errorf("datatransfer: %v can't be sent", q.Op())
	}
	dst = binary.BigEndian.AppendUint16(dst, Version)
	dst = append(dst, byte(q.Op()))
	return appendMessage(dst, m)
}

func replaceMessage(q *ReplaceRequest) hdfspb.Message {
	m := &hdfspb.OpReplaceBlock{Header: clientHeader(q.Block, "").BaseHeader, DelHint: &q.DeleteHint, Source: datanodeMessage(&q.Source)}
	if q.Type != 0 {
		m.StorageType = ptr(hdfspb.StorageType(q.Type))
	}
	if q.StorageID != "" {
		m.StorageId = &q.StorageID
	}
	return m
}

func checksumMessage(q *ChecksumRequest) hdfspb.Message {
	kind := hdfspb.BlockChecksumType_MD5CRC
	if q.Kind == ChecksumComposite {
		kind = hdfspb.BlockChecksumType_COMPOSITE_CRC
	}
	return &hdfspb.OpBlockChecksum{
		Header:               clientHeader(q.Block, "").BaseHeader,
		BlockChecksumOptions: &hdfspb.BlockChecksumOptions{BlockChecksumType: &kind, StripeLength: ptr(uint64(q.StripeLength))},
	}
}

func writeMessage(q *WriteRequest) hdfspb.Message {
	nodes, types, ids := targetMessages(q.Targets)
	stage, sum := hdfspb.OpWriteBlock_Stage(q.Stage), hdfspb.ChecksumType(q.Checksum.Type)
	m := &hdfspb.OpWriteBlock{
		Header: clientHeader(q.Block, q.Client), Targets: nodes, Stage: &stage, PipelineSize: &q.PipelineSize,
		MinBytesRcvd: ptr(uint64(q.MinBytes)), MaxBytesRcvd: ptr(uint64(q.MaxBytes)),
		LatestGenerationStamp: ptr(uint64(q.NewStamp)),
		RequestedChecksum:     &hdfspb.Checksum{Type: &sum, BytesPerChecksum: &q.Checksum.BytesPer},
		CachingStrategy:       &hdfspb.CachingStrategy{},
		TargetStorageTypes:    types, TargetStorageIds: ids,
	}
	if q.LazyPersist {
		m.AllowLazyPersist = ptr(true)
	}
	if q.StorageType != 0 {
		m.StorageType = ptr(hdfspb.StorageType(q.StorageType))
	}
	if q.StorageID != "" {
		m.StorageId = &q.StorageID
	}
	if q.Source != nil {
		m.Source = datanodeMessage(q.Source)
	}
	return m
}

func clientHeader(b BlockRef, client string) *hdfspb.ClientOperationHeader {
	return &hdfspb.ClientOperationHeader{
		ClientName: &client,
		BaseHeader: &hdfspb.BaseHeader{
			Block: &hdfspb.ExtendedBlock{
				PoolId: &b.PoolID, BlockId: ptr(uint64(b.ID)), GenerationStamp: ptr(uint64(b.GenStamp)), NumBytes: ptr(uint64(b.Length)),
			},
			Token: &hdfspb.Token{Identifier: []byte{}, Password: []byte{}, Kind: ptr(""), Service: ptr("")},
		},
	}
}

func datanodeMessage(id *dfs.DatanodeID) *hdfspb.DatanodeInfo {
	return &hdfspb.DatanodeInfo{Id: &hdfspb.DatanodeID{
		IpAddr: &id.IP, HostName: &id.Host, DatanodeUuid: &id.UUID,
		XferPort: ptr(uint32(id.XferPort)), InfoPort: ptr(uint32(id.InfoPort)),
		IpcPort: ptr(uint32(id.IPCPort)), InfoSecurePort: ptr(uint32(id.SecurePort)),
	}}
}

func targetMessages(ts []Target) (nodes []*hdfspb.DatanodeInfo, types []hdfspb.StorageType, ids []string) {
	for i := range ts {
		nodes = append(nodes, datanodeMessage(&ts[i].Node))
		typ := ts[i].Type
		if typ == 0 {
			typ = dfs.StorageDisk
		}
		types = append(types, hdfspb.StorageType(typ))
		ids = append(ids, ts[i].StorageID)
	}
	return nodes, types, ids
}

func ptr[T any](v T) *T { return &v }

func appendMessage(dst []byte, m hdfspb.Message) ([]byte, error) {
	n := m.SizeVT()
	dst = protowire.AppendVarint(dst, uint64(n))
	at := len(dst)
	dst = append(dst, make([]byte, n)...)
	if _, err := m.MarshalToSizedBufferVT(dst[at:]); err != nil {
		return nil, fmt.Errorf("datatransfer: encode: %w", err)
	}
	return dst, nil
}
