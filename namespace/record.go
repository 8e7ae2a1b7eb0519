package namespace

import "redoubt/dfs"

// opVersion is the version of every op's record but one: a SetAttr with AttrTypeQuota has
// typeQuotaVersion, so that what does not know that bit refuses the log and does not pass over it.
const (
	opVersion        = 1
	typeQuotaVersion = 2
)

func versionOf(op Op) uint8 {
	if o, ok := op.(*SetAttr); ok && o.Mask&AttrTypeQuota != 0 {
		return typeQuotaVersion
	}
	return opVersion
}

// opFields is the number of fields of each kind's record after kind, version and head.
var opFields = [kindCount]int{
	KindMkdirs: 7, KindCreate: 15, KindAddBlock: 3, KindAbandonBlock: 3, KindUpdateBlocks: 5,
	KindClose: 3, KindAppend: 4, KindDelete: 6, KindRename: 9, KindConcat: 2, KindTruncate: 4,
	KindSetAttr: 12, KindSetACL: 3, KindSetXAttr: 5, KindNextStamp: 0, KindReassignLease: 3,
	KindCommitSync: 5, KindParityGroup: 6, KindEpoch: 3, KindCluster: 2,
}

// headFields are kind, version, time, call and auth.
const headFields = 5

// Encode appends op's record to dst: a msgpack array of kind, version, time, call, auth
// and the op's own fields.
func Encode(dst []byte, op Op) []byte {
	c := coder{b: dst}
	kind, version := op.Kind(), versionOf(op)
	c.array(headFields + opFields[kind])
	codeUint(&c, &kind)
	codeUint(&c, &version)
	codeHead(&c, op.head())
	op.code(&c)
	return c.b
}

// Decode reads a record. The op shares no memory with it. Errors are dfs.Corrupt.
func Decode(rec []byte) (Op, error) {
	c := coder{b: append([]byte(nil), rec...), read: true}
	kind, err := c.opening()
	if err != nil {
		return nil, err
	}
	op := newOp(kind)
	if err := c.body(op); err != nil {
		return nil, err
	}
	return op, nil
}

func newOp(kind Kind) Op {
	switch kind {
	case KindMkdirs:
		return new(Mkdirs)
	case KindCreate:
		return new(Create)
	case KindAddBlock:
		return new(AddBlock)
	case KindAbandonBlock:
		return new(AbandonBlock)
	case KindUpdateBlocks:
		return new(UpdateBlocks)
	case KindClose:
		return new(Close)
	case KindAppend:
		return new(Append)
	case KindDelete:
		return new(Delete)
	case KindRename:
		return new(Rename)
	case KindConcat:
		return new(Concat)
	case KindTruncate:
		return new(Truncate)
	case KindSetAttr:
		return new(SetAttr)
	case KindSetACL:
		return new(SetACL)
	case KindSetXAttr:
		return new(SetXAttr)
	case KindNextStamp:
		return new(NextStamp)
	case KindReassignLease:
		return new(ReassignLease)
	case KindCommitSync:
		return new(CommitSync)
	case KindParityGroup:
		return new(ParityGroup)
	case KindEpoch:
		return new(BeginEpoch)
	case KindCluster:
		return new(Cluster)
	}
	return nil
}

// opening reads the array header, kind and version and refuses what this version does
// not know.
func (c *coder) opening() (Kind, error) {
	n := c.array(0)
	var kind Kind
	codeUint(c, &kind)
	codeUint(c, &c.version)
	switch {
	case c.bad:
		return 0, dfs.Errorf(dfs.Corrupt, "namespace: record does not begin as an op")
	case kind == 0 || kind >= kindCount || kindNames[kind] == "":
		return 0, dfs.Errorf(dfs.Corrupt, "namespace: unknown op kind %d", kind)
	case kind >= KindSnapshot && kind <= KindCache && kind != KindParityGroup:
		return 0, dfs.Errorf(dfs.Corrupt, "namespace: op %s is not supported by this version", kind)
	case c.version != opVersion && (c.version != typeQuotaVersion || kind != KindSetAttr):
		return 0, dfs.Errorf(dfs.Corrupt, "namespace: unsupported version %d of op %s", c.version, kind)
	case n != headFields+opFields[kind]:
		return 0, dfs.Errorf(dfs.Corrupt, "namespace: op %s has %d fields, want %d", kind, n, headFields+opFields[kind])
	}
	return kind, nil
}

// body reads the rest of a record after opening.
func (c *coder) body(op Op) error {
	codeHead(c, op.head())
	op.code(c)
	if c.bad || len(c.b) != 0 {
		return dfs.Errorf(dfs.Corrupt, "namespace: damaged record of op %s", op.Kind())
	}
	return nil
}

func codeHead(c *coder, h *Head) {
	codeInt(c, &h.Time)
	c.call(&h.Call)
	codeUint(c, &h.Auth)
}

func (o *Mkdirs) code(c *coder) {
	codeUint(c, &o.Parent)
	c.strings(&o.Names)
	codeUint(c, &o.Mode)
	codeUint(c, &o.Unmasked)
	c.bool(&o.HasUnmasked)
	c.string(&o.Owner)
	c.bool(&o.CreateParent)
}

func (o *Create) code(c *coder) {
	codeUint(c, &o.Parent)
	c.strings(&o.Names)
	codeUint(c, &o.Mode)
	codeUint(c, &o.Unmasked)
	c.bool(&o.HasUnmasked)
	c.string(&o.Owner)
	c.string(&o.Holder)
	c.string(&o.Machine)
	codeUint(c, &o.Flags)
	c.bool(&o.CreateParent)
	codeUint(c, &o.Replication)
	codeInt(c, &o.BlockSize)
	codeUint(c, &o.Policy)
	codeUint(c, &o.ECPolicy)
	codeUint(c, &o.Existing)
}

func (o *AddBlock) code(c *coder) {
	codeUint(c, &o.File)
	c.string(&o.Holder)
	c.block(&o.Previous)
}

func (o *AbandonBlock) code(c *coder) {
	codeUint(c, &o.File)
	c.string(&o.Holder)
	c.block(&o.Block)
}

func (o *UpdateBlocks) code(c *coder) {
	codeUint(c, &o.File)
	c.string(&o.Holder)
	codeUint(c, &o.Action)
	codeUint(c, &o.Old)
	c.block(&o.Block)
}

func (o *Close) code(c *coder) {
	codeUint(c, &o.File)
	c.string(&o.Holder)
	c.block(&o.Last)
}

func (o *Append) code(c *coder) {
	codeUint(c, &o.File)
	c.string(&o.Holder)
	c.string(&o.Machine)
	c.bool(&o.NewBlock)
}

func (o *Delete) code(c *coder) {
	codeUint(c, &o.Parent)
	c.string(&o.Name)
	codeUint(c, &o.Target)
	c.bool(&o.Recursive)
	codeUint(c, &o.Epoch)
	codeUint(c, &o.Reap)
}

func (o *Rename) code(c *coder) {
	codeUint(c, &o.SrcParent)
	c.string(&o.SrcName)
	codeUint(c, &o.Source)
	codeUint(c, &o.DstParent)
	c.string(&o.DstName)
	codeUint(c, &o.DstAuth)
	c.bool(&o.Legacy)
	c.bool(&o.Overwrite)
	c.bool(&o.ToTrash)
}

func (o *Concat) code(c *coder) {
	codeUint(c, &o.Target)
	c.inodeIDs(&o.Sources)
}

func (o *Truncate) code(c *coder) {
	codeUint(c, &o.File)
	codeInt(c, &o.Length)
	c.string(&o.Holder)
	c.string(&o.Machine)
}

func (o *SetAttr) code(c *coder) {
	codeUint(c, &o.Target)
	codeUint(c, &o.Mask)
	codeUint(c, &o.Mode)
	c.string(&o.Owner)
	c.string(&o.Group)
	codeInt(c, &o.ModTime)
	codeInt(c, &o.AccessTime)
	codeUint(c, &o.Replication)
	codeUint(c, &o.Policy)
	codeInt(c, &o.NSQuota)
	codeInt(c, &o.DSQuota)
	codeUint(c, &o.QuotaType)
	if c.read && c.version != versionOf(o) {
		c.fail()
	}
}

func (o *SetACL) code(c *coder) {
	codeUint(c, &o.Target)
	codeUint(c, &o.Mode)
	codeACL(c, &o.Entries)
}

func codeACL(c *coder, p *[]ACLEntry) {
	n := c.array(len(*p))
	if c.read {
		*p = (*p)[:0]
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			*p = append(*p, ACLEntry{})
		}
		e := &(*p)[i]
		c.fields(4)
		codeUint(c, &e.Type)
		codeUint(c, &e.Scope)
		codeUint(c, &e.Perm)
		c.string(&e.Name)
	}
}

func (o *SetXAttr) code(c *coder) {
	codeUint(c, &o.Target)
	codeUint(c, &o.Flags)
	codeUint(c, &o.Space)
	c.string(&o.Name)
	c.bytes(&o.Value)
}

func (o *NextStamp) code(*coder) {}

func (o *ReassignLease) code(c *coder) {
	codeUint(c, &o.File)
	c.string(&o.OldHolder)
	c.string(&o.Holder)
}

func (o *CommitSync) code(c *coder) {
	c.block(&o.Block)
	codeUint(c, &o.Stamp)
	codeInt(c, &o.Length)
	c.bool(&o.Close)
	c.bool(&o.Remove)
}

func (o *ParityGroup) code(c *coder) {
	codeUint(c, &o.Action)
	c.block(&o.Parity)
	codeUint(c, &o.CRC)
	codeUint(c, &o.Data)
	codeUint(c, &o.Replaces)
	codeMembers(c, &o.Members)
}

// codeMembers is an array of members: block, checksum of its bytes, checksum type and
// bytes per checksum of its replicas, and whether it has departed.
func codeMembers(c *coder, p *[]dfs.ParityMember) {
	n := c.array(len(*p))
	if c.read {
		*p = (*p)[:0]
	}
	for i := 0; i < n && !c.bad; i++ {
		if c.read {
			*p = append(*p, dfs.ParityMember{})
		}
		m := &(*p)[i]
		c.fields(5)
		c.block(&m.Block)
		codeUint(c, &m.CRC)
		codeUint(c, &m.Checksum)
		per := int64(m.BytesPer)
		codeInt(c, &per)
		m.BytesPer = int(per)
		c.bool(&m.Departed)
	}
}

func (o *BeginEpoch) code(c *coder) {
	codeUint(c, &o.Number)
	codeUint(c, &o.Block)
	codeUint(c, &o.Stamp)
}

func (o *Cluster) code(c *coder) {
	c.string(&o.Key)
	c.string(&o.Value)
}

var kindNames = [kindCount]string{
	KindMkdirs: "Mkdirs", KindCreate: "Create", KindAddBlock: "AddBlock", KindAbandonBlock: "AbandonBlock",
	KindUpdateBlocks: "UpdateBlocks", KindClose: "Close", KindAppend: "Append", KindDelete: "Delete",
	KindRename: "Rename", KindConcat: "Concat", KindTruncate: "Truncate", KindSetAttr: "SetAttr",
	KindSetACL: "SetACL", KindSetXAttr: "SetXAttr", KindNextStamp: "NextStamp", KindReassignLease: "ReassignLease",
	KindCommitSync: "CommitSync", KindSnapshot: "Snapshot", KindSymlink: "Symlink", KindParityGroup: "ParityGroup",
	KindECPolicy: "ECPolicy", KindCache: "Cache", KindEpoch: "BeginEpoch", KindCluster: "Cluster",
}

// String gives the kind's name as oev prints it.
func (k Kind) String() string {
	if k < kindCount && kindNames[k] != "" {
		return kindNames[k]
	}
	return "Kind(" + string(appendDecimal(nil, uint64(k))) + ")"
}

func appendDecimal(b []byte, v uint64) []byte {
	if v >= 10 {
		b = appendDecimal(b, v/10)
	}
	return append(b, byte('0'+v%10))
}
