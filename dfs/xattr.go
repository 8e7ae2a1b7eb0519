package dfs

import "strings"

// XAttrSpace is a name space of extended attributes, with HDFS's wire numbers.
type XAttrSpace uint8

// The name spaces. Users set user attributes, the superuser trusted ones; security and
// system belong to the file system, raw is seen below /.reserved/raw only.
const (
	XAttrUser     XAttrSpace = 0
	XAttrTrusted  XAttrSpace = 1
	XAttrSecurity XAttrSpace = 2
	XAttrSystem   XAttrSpace = 3
	XAttrRaw      XAttrSpace = 4
)

var xattrSpaces = [...]string{
	XAttrUser: "user", XAttrTrusted: "trusted", XAttrSecurity: "security", XAttrSystem: "system", XAttrRaw: "raw",
}

// XAttr is one extended attribute. Value is nil where there is none, which is not the same
// as an empty one only for the one who sets it.
type XAttr struct {
	Space XAttrSpace
	Name  string
	Value []byte
}

// Flags of setting an extended attribute, with HDFS's wire numbers: at least one of them
// is needed, both mean whether it is there or not.
const (
	XAttrCreate  uint8 = 1 // it must not be there
	XAttrReplace uint8 = 2 // it must be there
)

// UnreadableBySuperuser is the attribute that keeps a file's contents from the superuser.
// It has no value, can't be removed and may be set by whoever can reach the file.
const UnreadableBySuperuser = "security.hdfs.unreadable.by.superuser"

// FullName is the name behind its name space: user.NAME.
func (x *XAttr) FullName() string {
	if int(x.Space) >= len(xattrSpaces) {
		return x.Name
	}
	return xattrSpaces[x.Space] + "." + x.Name
}

// ParseXAttrName splits a full name; the name space may be written in any case. Errors
// are IllegalArgument in Hadoop's words.
func ParseXAttrName(full string) (XAttr, error) {
	prefix, name, _ := strings.Cut(full, ".")
	for space, s := range xattrSpaces {
		if strings.EqualFold(prefix, s) && len(full) > len(prefix) {
			if name == "" {
				return XAttr{}, Errorf(IllegalArgument, "XAttr name cannot be empty.")
			}
			return XAttr{Space: XAttrSpace(space), Name: name}, nil
		}
	}
	return XAttr{}, Errorf(IllegalArgument, "An XAttr name must be prefixed with user/trusted/security/system/raw, followed by a '.'")
}
