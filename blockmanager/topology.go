package blockmanager

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// RackTable maps hosts and IP addresses to racks.
type RackTable map[string]string

// ParseRackTable reads the file of net.topology.table.file.name: lines of a host or IP
// address and its rack, with blanks between them; empty lines and what follows a # count
// for nothing. All faulty lines are told at once.
func ParseRackTable(data []byte) (RackTable, error) {
	table := RackTable{}
	var faults []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			faults = append(faults, fmt.Sprintf("line %d: %q: want HOST RACK", n, strings.TrimSpace(line)))
			continue
		}
		rack, err := CleanRack(fields[1])
		if err != nil {
			faults = append(faults, fmt.Sprintf("line %d: %v", n, err))
			continue
		}
		table[fields[0]] = rack
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, err.Error())
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("blockmanager: rack table: %s", strings.Join(faults, "; "))
	}
	return table, nil
}

// Rack gives the rack of a datanode by its address or host name, DefaultRack if the table
// has neither.
func (t RackTable) Rack(ip, host string) string {
	if r, ok := t[ip]; ok {
		return r
	}
	if r, ok := t[host]; ok {
		return r
	}
	return DefaultRack
}

// CleanRack checks a rack's name, an absolute path such as /row1/rack7, and takes
// repeated and trailing slashes out of it.
func CleanRack(name string) (string, error) {
	if !strings.HasPrefix(name, "/") || strings.ContainsAny(name, " \t\r\n") {
		return "", fmt.Errorf("rack %q is not a path such as /rack1", name)
	}
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
	if len(parts) == 0 {
		return "", fmt.Errorf("rack %q has no name", name)
	}
	return "/" + strings.Join(parts, "/"), nil
}
