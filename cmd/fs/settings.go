package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/user"
	"slices"
	"strings"

	"redoubt/internal/hadoopconf"
	"redoubt/internal/nodeconf"
)

// defaultFS is where the shell looks when nothing is configured: what fs minicluster
// starts on this machine.
const defaultFS = "hdfs://127.0.0.1:8020"

// settings are Hadoop's configuration properties as one invocation sees them: values
// set by -D and -fs, over files given by -conf, over the site files of a directory.
type settings struct {
	dir   string // holds core-site.xml and hdfs-site.xml; "" for none
	files []string
	set   map[string]string

	values map[string]string
	site   *hadoopconf.Conf
}

// with gives a copy that has one more property set.
func (s settings) with(key, value string) settings {
	set := make(map[string]string, len(s.set)+1)
	for k, v := range s.set {
		set[k] = v
	}
	set[hadoopconf.CurrentName(key)] = value
	s.set, s.values = set, nil
	return s
}

// load reads the files; it is called once before the first get.
func (s *settings) load() error {
	if s.values != nil {
		return nil
	}
	values := map[string]string{}
	if s.dir != "" && s.site == nil {
		sys := hadoopconf.System{ReadFile: os.ReadFile, LookupEnv: os.LookupEnv, Properties: map[string]string{"user.name": effectiveUser()}, Client: true}
		var err error
		if s.site, err = hadoopconf.Load(sys, []string{s.dir}, nil); err != nil {
			return err
		}
	}
	for _, name := range s.files {
		if err := readSite(name, values); err != nil {
			return err
		}
		if err := refuseSettings(name, values); err != nil {
			return err
		}
	}
	if err := refuseSettings(hadoopconf.CommandLine, s.set); err != nil {
		return err
	}
	for k, v := range s.set {
		values[k] = v
	}
	s.values = values
	return nil
}

// refuseSettings is an error where values of a file, or of -D, promise a protection that the
// shell can't give.
func refuseSettings(from string, values map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if want, refused := hadoopconf.RefusedBy(key, values[key]); refused {
			return fmt.Errorf("%s: %s = %q: want %s", from, key, values[key], want)
		}
	}
	return nil
}

// warn tells of the settings given by -D that have no effect.
func (s *settings) warn(w io.Writer) {
	var given []string
	for k, v := range s.set {
		given = append(given, k+"="+v)
	}
	keys := []hadoopconf.Key{{Name: "dfs.nameservices", Kind: hadoopconf.List}}
	conf, err := hadoopconf.LoadKeys(hadoopconf.System{Client: true}, keys, nil, given)
	if err != nil {
		return // load has told
	}
	for _, r := range nodeconf.Remarks(conf, nodeconf.ShellProgram) {
		fmt.Fprintf(w, "fs: warning: -D %s\n", r)
	}
}

// get gives a property's value, or the default when it is not set.
func (s *settings) get(key, def string) string {
	if v, ok := s.lookup(key); ok {
		return v
	}
	return def
}

// lookup gives a property's value and whether it is set.
func (s *settings) lookup(key string) (string, bool) {
	if v, ok := s.values[key]; ok {
		return v, true
	}
	if s.site != nil {
		return s.site.Lookup(key)
	}
	return "", false
}

// integer gives a property that is a whole number of 32 or 64 bits; an ill-formed one is
// an error that names it.
func (s *settings) integer(key string, def int64, bits int) (int64, error) {
	return property(s, key, def, func(v string) (int64, error) { return hadoopconf.ParseProperty(v, bits) })
}

// size gives a property that counts bytes and may have a binary suffix.
func (s *settings) size(key string, def int64) (int64, error) {
	return property(s, key, def, hadoopconf.ParseSize)
}

// fraction gives a property that is a number with a fraction.
func (s *settings) fraction(key string, def float64) (float64, error) {
	return property(s, key, def, hadoopconf.ParseFloat)
}

func property[T any](s *settings, key string, def T, parse func(string) (T, error)) (T, error) {
	v, ok := s.lookup(key)
	if !ok {
		return def, nil
	}
	n, err := parse(v)
	if err != nil {
		return def, usagef("%s: %v", key, err)
	}
	return n, nil
}

// between refuses a number that is set and not from least to most.
func (s *settings) between(key string, n, least, most int64) error {
	if _, set := s.lookup(key); set && (n < least || n > most) {
		return usagef("%s: %d is not between %d and %d", key, n, least, most)
	}
	return nil
}

// boolean gives a property that is true or false.
func (s *settings) boolean(key string, def bool) bool {
	switch strings.ToLower(strings.TrimSpace(s.get(key, ""))) {
	case "true":
		return true
	case "false":
		return false
	}
	return def
}

// readSite adds the properties of one site file to values.
func readSite(name string, values map[string]string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var doc struct {
		Property []struct {
			Name  string `xml:"name"`
			Value string `xml:"value"`
		} `xml:"property"`
	}
	if err := xml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, p := range doc.Property {
		values[hadoopconf.CurrentName(strings.TrimSpace(p.Name))] = p.Value
	}
	return nil
}

// nameNodes gives the addresses behind an authority: those of a logical name service
// in the order configured, else the authority itself with HDFS's default port.
func (s *settings) nameNodes(authority string) []string {
	if ids := s.get("dfs.ha.namenodes."+authority, ""); ids != "" {
		var out []string
		for _, id := range strings.Split(ids, ",") {
			if a := s.get("dfs.namenode.rpc-address."+authority+"."+strings.TrimSpace(id), ""); a != "" {
				out = append(out, withPort(a))
			}
		}
		return out
	}
	return []string{withPort(authority)}
}

func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return net.JoinHostPort(strings.Trim(address, "[]"), "8020")
	}
	return address
}

// effectiveUser is who the commands act as: HADOOP_USER_NAME, else the process's user.
func effectiveUser() string {
	if name := os.Getenv("HADOOP_USER_NAME"); name != "" {
		return name
	}
	if name := os.Getenv("USER"); name != "" {
		if u, err := user.Current(); err != nil || u.Username == name {
			return name
		}
	}
	return hadoopconf.User(os.LookupEnv)
}
