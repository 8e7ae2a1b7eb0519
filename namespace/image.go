package namespace

import (
	"unsafe"

	"redoubt/dfs"
)

// Meta is the one record of SectionMeta.
type Meta struct {
	Version   uint8
	TxID      dfs.TxID
	NextInode uint64
	NextBlock uint64
	NextStamp uint64
	AuthEpoch uint64
	Inodes    uint64
	Blocks    uint64
	Chunks    uint64 // of SectionInodes
	Digest    []byte
}

func (r *Meta) code(c *coder) {
	c.fields(10)
	codeUint(c, &r.Version)
	codeUint(c, &r.TxID)
	codeUint(c, &r.NextInode)
	codeUint(c, &r.NextBlock)
	codeUint(c, &r.NextStamp)
	codeUint(c, &r.AuthEpoch)
	codeUint(c, &r.Inodes)
	codeUint(c, &r.Blocks)
	codeUint(c, &r.Chunks)
	c.bytes(&r.Digest)
}

// BlockRecord is one block in an image: an array of four.
type BlockRecord struct {
	ID    uint64
	Stamp uint64
	Size  int64
	State uint8 // a BlockState
}

func codeBlocks(c *coder, p *[]BlockRecord) {
	n := c.array(len(*p))
	if c.read {
		*p = (*p)[:0]
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			*p = append(*p, BlockRecord{})
		}
		b := &(*p)[i]
		c.fields(4)
		codeUint(c, &b.ID)
		codeUint(c, &b.Stamp)
		codeInt(c, &b.Size)
		codeUint(c, &b.State)
	}
}

// InodeRecord is one inode of SectionInodes. Directories end after Policy and Detached.
type InodeRecord struct {
	ID          uint64
	Parent      uint64 // 0 for the root and detached ones
	Type        uint8  // a dfs.FileType
	Name        string
	Mode        uint16
	Owner       uint32 // number in SectionStrings
	Group       uint32
	ModTime     int64
	AccessTime  int64
	Policy      uint8
	Detached    bool
	Replication uint16 // files only, as what follows
	BlockSize   int64
	Blocks      []BlockRecord // the first ones
}

func (r *InodeRecord) code(c *coder) {
	n := 11
	if !c.read && dfs.FileType(r.Type) == dfs.TypeFile {
		n = 14
	}
	if n = c.array(n); n != 11 && n != 14 {
		c.fail()
		return
	}
	codeUint(c, &r.ID)
	codeUint(c, &r.Parent)
	codeUint(c, &r.Type)
	c.string(&r.Name)
	codeUint(c, &r.Mode)
	codeUint(c, &r.Owner)
	codeUint(c, &r.Group)
	codeInt(c, &r.ModTime)
	codeInt(c, &r.AccessTime)
	codeUint(c, &r.Policy)
	c.bool(&r.Detached)
	if n == 11 {
		r.Replication, r.BlockSize, r.Blocks = 0, 0, r.Blocks[:0]
		return
	}
	codeUint(c, &r.Replication)
	codeInt(c, &r.BlockSize)
	codeBlocks(c, &r.Blocks)
}

// BlocksRecord is a run of further blocks of a file, in order.
type BlocksRecord struct {
	File   uint64
	Blocks []BlockRecord
}

func (r *BlocksRecord) code(c *coder) {
	c.fields(2)
	codeUint(c, &r.File)
	codeBlocks(c, &r.Blocks)
}

// WriterRecord is one open file.
type WriterRecord struct {
	File     uint64
	Holder   string
	Machine  string
	Truncate int64 // target length, -1 none
}

func (r *WriterRecord) code(c *coder) {
	c.fields(4)
	codeUint(c, &r.File)
	c.string(&r.Holder)
	c.string(&r.Machine)
	codeInt(c, &r.Truncate)
}

// RetryRecord is one entry of the retry cache.
type RetryRecord struct {
	Call  dfs.CallID
	Kind  Kind
	OK    bool
	Time  int64
	ID    uint64
	Extra uint64
}

func (r *RetryRecord) code(c *coder) {
	c.fields(6)
	c.call(&r.Call)
	codeUint(c, &r.Kind)
	c.bool(&r.OK)
	codeInt(c, &r.Time)
	codeUint(c, &r.ID)
	codeUint(c, &r.Extra)
}

// QuotaRecord is the quota of a directory.
type QuotaRecord struct {
	Inode uint64
	Quota Quota
}

func (r *QuotaRecord) code(c *coder) {
	c.fields(5)
	codeUint(c, &r.Inode)
	codeInt(c, &r.Quota.NSLimit)
	codeInt(c, &r.Quota.DSLimit)
	codeInt(c, &r.Quota.NSUsed)
	codeInt(c, &r.Quota.DSUsed)
}

// ACLRecord is the access control list of an inode.
type ACLRecord struct {
	Inode   uint64
	Entries []ACLEntry
}

func (r *ACLRecord) code(c *coder) {
	c.fields(2)
	codeUint(c, &r.Inode)
	codeACL(c, &r.Entries)
}

// XAttrRecord holds the extended attributes of an inode.
type XAttrRecord struct {
	Inode uint64
	Attrs []XAttr
}

func (r *XAttrRecord) code(c *coder) {
	c.fields(2)
	codeUint(c, &r.Inode)
	codeXAttrs(c, &r.Attrs)
}

// SettingRecord is a setting of the cluster.
type SettingRecord struct{ Key, Value string }

func (r *SettingRecord) code(c *coder) {
	c.fields(2)
	c.string(&r.Key)
	c.string(&r.Value)
}

// ParityGroupRecord is one parity group with its members in order.
type ParityGroupRecord struct {
	Parity  dfs.Block
	CRC     uint32 // CRC32C of the parity's bytes
	Data    uint8  // k
	Members []dfs.ParityMember
}

func (r *ParityGroupRecord) code(c *coder) {
	c.fields(4)
	c.block(&r.Parity)
	codeUint(c, &r.CRC)
	codeUint(c, &r.Data)
	codeMembers(c, &r.Members)
}

// stringOf shares the bytes' memory.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// DecodeSection calls fn with each record of one chunk of a section: a *Meta, string,
// *InodeRecord, *BlocksRecord, *WriterRecord, *RetryRecord, *QuotaRecord, *ACLRecord,
// *XAttrRecord, *SettingRecord, *Epoch or *ParityGroupRecord, which share memory with the chunk and are fn's only until it
// returns. Errors are fn's own or dfs.Corrupt.
func DecodeSection(name string, chunk []byte, fn func(record any) error) error {
	c := &coder{b: chunk, read: true}
	var read func() any
	switch name {
	case SectionMeta:
		read = func() any { r := new(Meta); r.code(c); return r }
	case SectionStrings:
		read = func() any { var s string; c.string(&s); return s }
	case SectionInodes:
		var count uint64
		codeUint(c, &count)
		read = func() any { r := new(InodeRecord); r.code(c); return r }
	case SectionBlocks:
		read = func() any { r := new(BlocksRecord); r.code(c); return r }
	case SectionWriters:
		read = func() any { r := new(WriterRecord); r.code(c); return r }
	case SectionRetry:
		read = func() any { r := new(RetryRecord); r.code(c); return r }
	case SectionQuotas:
		read = func() any { r := new(QuotaRecord); r.code(c); return r }
	case SectionACLs:
		read = func() any { r := new(ACLRecord); r.code(c); return r }
	case SectionXAttrs:
		read = func() any { r := new(XAttrRecord); r.code(c); return r }
	case SectionSettings:
		read = func() any { r := new(SettingRecord); r.code(c); return r }
	case SectionTypeQuotas:
		read = func() any { r := new(TypeQuotaRecord); r.code(c); return r }
	case SectionEpochs:
		read = func() any { r := new(Epoch); r.code(c); return r }
	case SectionParityGroups:
		read = func() any { r := new(ParityGroupRecord); r.code(c); return r }
	default:
		return dfs.Errorf(dfs.Corrupt, "namespace: unknown section %q", name)
	}
	for len(c.b) > 0 && !c.bad {
		r := read()
		if c.bad {
			break
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	if c.bad {
		return dfs.Errorf(dfs.Corrupt, "namespace: damaged record in section %q", name)
	}
	return nil
}
