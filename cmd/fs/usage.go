package main

import (
	"fmt"
	"strings"
)

// shellCommands lists the shell's commands by name.
func shellCommands() []*shellCmd {
	return []*shellCmd{}
}

// shellCommand finds a shell command by its name without dash.
func shellCommand(name string) *shellCmd {
	for _, c := range shellCommands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

// shellUsage prints one line for each shell command on standard error.
func (sh *shell) shellUsage() {
	var b strings.Builder
	b.WriteString("Usage: fs [generic options]\n")
	for _, c := range shellCommands() {
		if !c.hidden {
			fmt.Fprintf(&b, "\t[%s]\n", strings.TrimSpace("-"+c.name+" "+c.args))
		}
	}
	b.WriteString("\nGeneric options:\n" +
		"-fs <uri>            the file system, instead of fs.defaultFS\n" +
		"-D <key=value>       a configuration property\n" +
		"-conf <file>         a configuration file\n\n" +
		"A command line is: fs [generic options] -command [options] [paths]\n\n")
	fmt.Fprint(sh.stderr, b.String())
}
