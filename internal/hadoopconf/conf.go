// Package hadoopconf reads Hadoop's configuration: core-site.xml and hdfs-site.xml of
// one or several directories, with "-D key=value" settings over them. It keeps Hadoop's
// rules (the later file wins unless the earlier one said <final>, ${name} is replaced
// from system properties, the environment and other keys, old key names still work) and
// adds one of its own: every value of a known key is checked at load, and all faults are
// told at once, with file, line, key, value and what would be allowed.
//
// Keys is the table of what the programs look at, Refusals of what they don't start with,
// and KnownKeys of what else Hadoop has; nodeconf.Remarks tells what of a configuration has
// no effect. Keys that are in none of these are kept.
package hadoopconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// System is what Load needs from the machine. Properties are Java's system properties
// that values may name, user.name foremost; they win over keys of the configuration.
type System struct {
	ReadFile   func(name string) ([]byte, error)         // os.ReadFile; required
	LookupEnv  func(name string) (value string, ok bool) // os.LookupEnv; nil is an empty environment
	Properties map[string]string
	// Client passes over what servers alone would have to honour.
	Client bool
}

// ConfDirEnv names the directory that is read when no other is given.
const ConfDirEnv = "HADOOP_CONF_DIR"

// CommandLine is where an override comes from.
const CommandLine = "-D"

// siteFiles are read from each directory in this order.
var siteFiles = []string{"core-site.xml", "hdfs-site.xml"}

// Conf is a loaded, checked configuration. It does not change and may be shared.
type Conf struct {
	sys    System
	values map[string]setting // by current key name
	keys   map[string]*Key

	table           []Key // what it was loaded with
	dirs, overrides []string
}

// setting is a value as it was written and where.
type setting struct {
	raw   string
	file  string // "-D" for an override
	line  int    // 0: not known
	final bool
}

// Load reads the site files of dirs in order, then the overrides, each "key=value". With
// no dirs it takes the directory in HADOOP_CONF_DIR, if that is set. A directory of dirs
// that has neither site file is an error. The error is *Errors when values are wrong.
func Load(sys System, dirs, overrides []string) (*Conf, error) {
	return LoadKeys(sys, Keys, dirs, overrides)
}

// LoadKeys is Load with a key table of the caller's.
func LoadKeys(sys System, keys []Key, dirs, overrides []string) (*Conf, error) {
	c := &Conf{sys: sys, values: map[string]setting{}, keys: map[string]*Key{}, table: keys, dirs: dirs, overrides: overrides}
	current := map[string]string{}
	for i := range keys {
		c.keys[keys[i].Name] = &keys[i]
		for _, old := range keys[i].Old {
			current[old] = keys[i].Name
		}
	}
	given := len(dirs) > 0
	if dir, ok := c.env(ConfDirEnv); ok && dir != "" && !given {
		dirs = []string{dir}
	}
	for _, r := range Refusals {
		for _, old := range r.Old {
			current[old] = r.Name
		}
	}
	for _, dir := range dirs {
		if err := c.loadDir(dir, given, current); err != nil {
			return nil, err
		}
	}
	faults := c.override(overrides, current)
	if err := c.loadPolicies(dirs); err != nil {
		return nil, err
	}
	for i := range keys {
		if f, ok := c.check(&keys[i]); !ok {
			faults = append(faults, f)
		}
	}
	faults = append(faults, c.refuse()...)
	if len(faults) > 0 {
		return nil, &Errors{Faults: faults}
	}
	return c, nil
}

func (c *Conf) env(name string) (string, bool) {
	if c.sys.LookupEnv == nil {
		return "", false
	}
	return c.sys.LookupEnv(name)
}

func (c *Conf) loadDir(dir string, required bool, current map[string]string) error {
	found := false
	for _, name := range siteFiles {
		file := path.Join(dir, name)
		p := parser{read: c.sys.ReadFile}
		props, err := p.parse(file, 0)
		if errors.Is(err, fs.ErrNotExist) && !p.included {
			continue
		}
		if err != nil {
			return err
		}
		found = true
		for _, s := range props {
			c.put(s.name, s.setting, current)
		}
	}
	if !found && required {
		return fmt.Errorf("hadoopconf: %s holds neither %s", dir, strings.Join(siteFiles, " nor "))
	}
	return nil
}

// put keeps a value unless a final one is there; final itself sticks in any case.
func (c *Conf) put(name string, s setting, current map[string]string) {
	if now, ok := current[name]; ok {
		name = now
	}
	if !c.values[name].final {
		c.values[name] = s
	}
}

func (c *Conf) override(overrides []string, current map[string]string) (faults []Fault) {
	for _, o := range overrides {
		name, value, ok := strings.Cut(o, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			faults = append(faults, Fault{File: CommandLine, Key: o, Want: "key=value"})
			continue
		}
		if now, ok := current[name]; ok {
			name = now
		}
		c.values[name] = setting{raw: value, file: CommandLine}
	}
	return faults
}

// check parses a known key's value, the default included.
func (c *Conf) check(k *Key) (Fault, bool) {
	s := c.values[k.Name]
	value, err := c.expand(c.text(k))
	if err == nil {
		if _, ok := k.parse(value); ok {
			return Fault{}, true
		}
	}
	f := Fault{File: s.file, Line: s.line, Key: k.Name, Value: value, Want: k.Want()}
	if s.file == "" {
		f.File = "default"
	}
	if err != nil {
		f.Value, f.Want = s.raw, err.Error()
	}
	return f, false
}

// text is a key's value before expansion: what was set, or the default where nothing or
// only blanks were.
func (c *Conf) text(k *Key) string {
	if s, ok := c.values[k.Name]; ok && (k.Kind == String || Trim(s.raw) != "") {
		return s.raw
	}
	return k.Default
}

func (c *Conf) value(name string, kind Kind) parsed {
	k := c.keys[name]
	if k == nil || k.Kind != kind {
		panic(fmt.Sprintf("hadoopconf: the key table has no %s key %s", kind, name))
	}
	text, err := c.expand(c.text(k))
	if err != nil {
		panic(err) // Load has expanded it before
	}
	v, ok := k.parse(text)
	if !ok {
		panic("hadoopconf: unchecked value of " + name)
	}
	return v
}

// Lookup gives the expanded text of any key, in the table or not, and whether it is set.
// A key of the table that is not set gives its default and false.
func (c *Conf) Lookup(name string) (string, bool) {
	s, ok := c.values[name]
	if !ok {
		if k := c.keys[name]; k != nil {
			s.raw = k.Default
		}
	}
	text, err := c.expand(s.raw)
	if err != nil {
		return s.raw, ok
	}
	return text, ok
}

// IsSet reports whether a file or an override sets the key.
func (c *Conf) IsSet(name string) bool { _, ok := c.values[name]; return ok }

// Origin tells where a key's value comes from: a file, "-D" or "default".
func (c *Conf) Origin(name string) string {
	if s, ok := c.values[name]; ok {
		return s.file
	}
	return "default"
}

// The getters below give a key of the table in its own kind; asking for another kind or
// an unknown key is a programming error and panics.

// String gives a String key, blanks around it removed.
func (c *Conf) String(name string) string { return c.value(name, String).text }

// Int gives an Int key.
func (c *Conf) Int(name string) int { return int(c.value(name, Int).num) }

// Bool gives a Bool key.
func (c *Conf) Bool(name string) bool { return c.value(name, Bool).num != 0 }

// Float gives a Float key.
func (c *Conf) Float(name string) float64 { return c.value(name, Float).float }

// Size gives a Size key in bytes.
func (c *Conf) Size(name string) int64 { return c.value(name, Size).num }

// Duration gives a Duration key.
func (c *Conf) Duration(name string) time.Duration {
	return time.Duration(c.value(name, Duration).num)
}

// List gives a List key: items between commas, trimmed, empty ones left out.
func (c *Conf) List(name string) []string { return c.value(name, List).list }

// Fault is one thing that can't be.
type Fault struct {
	File  string // "-D" for an override
	Line  int    // 0: not known
	Key   string
	Value string
	Want  string // what is allowed
}

func (f Fault) String() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s: %s = %q: want %s", at, f.Key, f.Value, f.Want)
}

// Errors is every fault of a configuration, one a line.
type Errors struct{ Faults []Fault }

func (e *Errors) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}
