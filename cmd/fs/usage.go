package main

import (
	"fmt"
	"io"
	"strings"
)

// shellCommands lists the shell's commands by name.
func shellCommands() []*shellCmd {
	return []*shellCmd{
		appendCmd, catCmd, checksumCmd, chgrpCmd, chmodCmd, chownCmd, concatCmd, copyFromLocalCmd, copyToLocalCmd,
		countCmd, cpCmd, dfCmd, duCmd, dusCmd, expungeCmd, findCmd, getCmd, getfaclCmd, getfattrCmd, getmergeCmd, headCmd, helpCmd(), lsCmd, lsrCmd,
		mkdirCmd, moveFromLocalCmd, moveToLocalCmd, mvCmd, putCmd, rmCmd, rmrCmd, rmdirCmd, setfaclCmd, setfattrCmd, setrepCmd, statCmd, tailCmd,
		testCmd, textCmd, touchCmd, touchzCmd, truncateCmd, usageCmd(),
	}
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
func (sh *shell) shellUsage() { writeUsage(sh.stderr) }

func writeUsage(w io.Writer) {
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
	_, _ = io.WriteString(w, b.String()) // standard error or output; nobody else to tell
}

// Both commands need the table that they are part of, hence functions.
func helpCmd() *shellCmd {
	return &shellCmd{
		name: "help", args: "[cmd ...]", help: "Explains commands, all of them when none is named.",
		setup: func(inv *invocation, args []string) ([]string, error) {
			return nil, inv.explain(args, func(c *shellCmd) {
				fmt.Fprintf(inv.out, "%s :\n%s\n", strings.TrimSpace("-"+c.name+" "+c.args), wrap(c.help))
			})
		},
	}
}

func usageCmd() *shellCmd {
	return &shellCmd{
		name: "usage", args: "[cmd ...]", help: "Shows how commands are written, all of them when none is named.",
		setup: func(inv *invocation, args []string) ([]string, error) {
			return nil, inv.explain(args, func(c *shellCmd) {
				fmt.Fprintf(inv.out, "Usage: fs [generic options] %s\n", strings.TrimSpace("-"+c.name+" "+c.args))
			})
		},
	}
}

// explain calls show for the named commands.
func (inv *invocation) explain(names []string, show func(*shellCmd)) error {
	if len(names) == 0 {
		writeUsage(inv.out)
		for _, c := range shellCommands() {
			if !c.hidden && inv.cmd.name == "help" {
				show(c)
			}
		}
		return nil
	}
	for _, name := range names {
		c := shellCommand(strings.TrimPrefix(name, "-"))
		if c == nil {
			return usagef("`%s': Unknown command", name)
		}
		show(c)
	}
	return nil
}

// wrap indents a text by two and breaks it at 80 columns.
func wrap(text string) string {
	var b strings.Builder
	for _, line := range strings.Split(text, "\n") {
		indent := "  "
		for strings.HasPrefix(line, " ") {
			indent, line = indent+" ", line[1:]
		}
		col := 0
		for _, word := range strings.Fields(line) {
			switch {
			case col == 0:
				b.WriteString(indent)
				col = len(indent)
			case col+1+len(word) > 80:
				b.WriteString("\n" + indent)
				col = len(indent)
			default:
				b.WriteByte(' ')
				col++
			}
			b.WriteString(word)
			col += len(word)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
