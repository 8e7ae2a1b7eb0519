package dfs

import (
	"cmp"
	"slices"
	"strings"
)

// ACLType says whom an ACL entry is about, with HDFS's wire numbers; they also order
// entries.
type ACLType uint8

// The types of ACL entries. User and group entries without a name are about the inode's
// own owner and group; the mask bounds all entries but the owner's and the others'.
const (
	ACLUser  ACLType = 0
	ACLGroup ACLType = 1
	ACLMask  ACLType = 2
	ACLOther ACLType = 3
)

// ACLScope tells entries that count for access to the inode from those that new children
// of a directory start with. HDFS's wire numbers.
type ACLScope uint8

// The scopes of ACL entries.
const (
	ACLAccess  ACLScope = 0
	ACLDefault ACLScope = 1
)

// MaxACLEntries bounds the entries of each scope of one ACL.
const MaxACLEntries = 32

// ACLEntry is one entry of an access control list.
type ACLEntry struct {
	Type  ACLType
	Scope ACLScope
	Perm  Access
	Name  string // "" for the inode's own owner or group, the mask and the others
}

// ACLStatus is what getAclStatus tells. Entries are the extended ones only: what the mode
// already says (the owner's, the others' and the mask or, without named entries, the
// group's) is left out. FullACL puts it back.
type ACLStatus struct {
	Owner, Group string
	Mode         Mode
	Entries      []ACLEntry
}

var aclTypes = [...]string{ACLUser: "user", ACLGroup: "group", ACLMask: "mask", ACLOther: "other"}

// CompareACL orders entries: access before default, then by type, then by name.
func CompareACL(a, b ACLEntry) int {
	if c := cmp.Compare(a.Scope, b.Scope); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// String spells an entry as getfacl does: [default:]TYPE:NAME:rwx.
func (e ACLEntry) String() string {
	s := e.Perm.Symbol()
	if int(e.Type) < len(aclTypes) {
		s = aclTypes[e.Type] + ":" + e.Name + ":" + s
	}
	if e.Scope == ACLDefault {
		s = "default:" + s
	}
	return s
}

// Symbol spells an access as three characters: r-x.
func (a Access) Symbol() string {
	b := []byte("rwx")
	for i := range b {
		if a&(4>>i) == 0 {
			b[i] = '-'
		}
	}
	return string(b)
}

// SplitACL gives the access and the default entries of a sorted list.
func SplitACL(acl []ACLEntry) (access, defaults []ACLEntry) {
	n := len(acl)
	if i := slices.IndexFunc(acl, func(e ACLEntry) bool { return e.Scope == ACLDefault }); i >= 0 {
		n = i
	}
	return acl[:n], acl[n:]
}

// FullACL is the whole list of an inode with a mode and extended entries. The mode's group
// bits are the mask where there are extended access entries, else the group's entry.
func FullACL(mode Mode, extended []ACLEntry) []ACLEntry {
	access, defaults := SplitACL(extended)
	group := ACLGroup
	if len(access) > 0 {
		group = ACLMask
	}
	full := make([]ACLEntry, 0, len(extended)+3)
	full = append(full, ACLEntry{Type: ACLUser, Perm: Access(mode>>6) & 7})
	full = append(full, access...)
	full = append(full, ACLEntry{Type: group, Perm: Access(mode>>3) & 7}, ACLEntry{Type: ACLOther, Perm: Access(mode) & 7})
	return append(full, defaults...)
}

// ParseACL reads a comma-separated list of entries as setfacl takes them,
// [default:]TYPE:[NAME]:rwx, without the permissions where an entry is only named to be
// removed. Errors are IllegalArgument in Hadoop's words.
func ParseACL(spec string, perms bool) ([]ACLEntry, error) {
	var list []ACLEntry
	for _, text := range strings.Split(spec, ",") {
		if text == "" {
			continue
		}
		e, err := parseACLEntry(text, perms)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func parseACLEntry(text string, perms bool) (e ACLEntry, err error) {
	invalid := Errorf(IllegalArgument, "Invalid <aclSpec> : %s", text)
	fields := strings.Split(text, ":")
	for len(fields) > 0 && fields[len(fields)-1] == "" { // empty ones at the end don't count
		fields = fields[:len(fields)-1]
	}
	take := func() (f string, ok bool) {
		if len(fields) == 0 {
			return "", false
		}
		f, fields = fields[0], fields[1:]
		return f, true
	}
	if len(fields) > 0 && fields[0] == "default" {
		e.Scope, fields = ACLDefault, fields[1:]
	}
	typ, ok := take()
	if !ok {
		return e, invalid
	}
	i := slices.Index(aclTypes[:], strings.ToLower(typ))
	if i < 0 {
		return e, Errorf(IllegalArgument, "Invalid type of acl in <aclSpec> :%s", text)
	}
	e.Type = ACLType(i)
	e.Name, _ = take()
	if perms {
		p, ok := take()
		if !ok {
			return e, invalid
		}
		if e.Perm, ok = parseSymbol(p); !ok {
			return e, Errorf(IllegalArgument, "Invalid permission in <aclSpec> : %s", text)
		}
	}
	if len(fields) > 0 {
		return e, invalid
	}
	return e, nil
}

func parseSymbol(s string) (Access, bool) {
	for a := Access(0); a < 8; a++ {
		if a.Symbol() == s {
			return a, true
		}
	}
	return 0, false
}
