package hadoopconf

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// policyFile holds the ACLs of services. Hadoop reads it over the site files, and only
// where authorization is on.
const (
	policyFile   = "hadoop-policy.xml"
	policyPrefix = "security."
)

// loadPolicies takes the ACLs out of the policy files; what -D says stays.
func (c *Conf) loadPolicies(dirs []string) error {
	on, _ := c.Lookup("hadoop.security.authorization")
	if !strings.EqualFold(strings.TrimSpace(on), "true") {
		return nil
	}
	for _, dir := range dirs {
		p := parser{read: c.sys.ReadFile}
		props, err := p.parse(path.Join(dir, policyFile), 0)
		if errors.Is(err, fs.ErrNotExist) && !p.included {
			continue
		}
		if err != nil {
			return err
		}
		for _, s := range props {
			if strings.HasPrefix(s.name, policyPrefix) && c.values[s.name].file != CommandLine {
				c.put(s.name, s.setting, nil)
			}
		}
	}
	return nil
}

// Again reads the same directories and overrides as they are now.
func (c *Conf) Again() (*Conf, error) {
	return LoadKeys(c.sys, c.table, c.dirs, c.overrides)
}

// SetWith gives the names of all keys that are set and begin so, in order. A key that was
// set by an old name goes by its new one.
func (c *Conf) SetWith(prefix string) (names []string) {
	for name := range c.values {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
