package namespace

import (
	"encoding/hex"

	"redoubt/dfs"
)

// Description is a record in words, for tools: it marshals to JSON and XML.
type Description struct {
	Kind string // the op's kind or the section's record
	Time int64  // ms; ops only
	Call string // "client/call", "" for none; ops only
	Body any    // the op or record; times are ms, numbers as in the format's page
}

// Describe reads an op's record for a tool. Errors are dfs.Corrupt.
func Describe(rec []byte) (Description, error) {
	op, err := Decode(rec)
	if err != nil {
		return Description{}, err
	}
	h := op.head()
	d := Description{Kind: op.Kind().String(), Time: h.Time, Body: op}
	if !h.Call.IsZero() {
		d.Call = callText(h.Call)
	}
	return d, nil
}

func callText(id dfs.CallID) string {
	return hex.EncodeToString(id.Client[:]) + "/" + string(appendSigned(nil, int64(id.Call)))
}

func appendSigned(b []byte, v int64) []byte {
	if v < 0 {
		return appendDecimal(append(b, '-'), uint64(-v))
	}
	return appendDecimal(b, uint64(v))
}

// DescribeSection calls fn with each record of a chunk of a section. The bodies share
// memory with the chunk.
func DescribeSection(name string, chunk []byte, fn func(Description) error) error {
	return DecodeSection(name, chunk, func(record any) error {
		d := Description{Body: record}
		switch r := record.(type) {
		case *Meta:
			d.Kind = "Meta"
		case string:
			d.Kind = "String"
		case *InodeRecord:
			d.Kind = "Inode"
		case *BlocksRecord:
			d.Kind = "Blocks"
		case *WriterRecord:
			d.Kind = "Writer"
		case *RetryRecord:
			d.Kind, d.Time, d.Call = "Retry", r.Time, callText(r.Call)
		case *QuotaRecord:
			d.Kind = "Quota"
		case *TypeQuotaRecord:
			d.Kind = "TypeQuota"
		case *ACLRecord:
			d.Kind = "ACL"
		case *XAttrRecord:
			d.Kind = "XAttr"
		case *SettingRecord:
			d.Kind = "Setting"
		case *Epoch:
			d.Kind = "Epoch"
		case *ParityGroupRecord:
			d.Kind = "ParityGroup"
		}
		return fn(d)
	})
}
