package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"redoubt/internal/nodeconf"
	"redoubt/journal"
)

// runRecover shows what is wrong with name directories and what can be done about it. It
// does nothing that was not chosen, by --choice or at the prompt.
func runRecover(_ context.Context, a *app, args []string) int {
	f := a.flags("recover", "Reads every file of the name directories, says what is damaged, and offers ways to go on.\nNothing is changed unless one is chosen; nothing is ever deleted: what does not count any more is set aside.")
	choice := f.String("choice", "", "take this way, by its name, without asking")
	conf, code, done := a.parse(f, args)
	if done {
		return code
	}
	dirs, err := nodeconf.NameDirs(conf)
	if err != nil {
		return a.fail("recover", err, exitUsage)
	}
	edits, err := nodeconf.EditsDirs(conf)
	if err != nil {
		return a.fail("recover", err, exitUsage)
	}
	disk, err := nodeconf.NameFS(conf)
	if err != nil {
		return a.fail("recover", err, exitUsage)
	}
	report, err := journal.Inspect(disk, dirs, edits...)
	if err != nil {
		return a.fail("recover", err, exitFailed)
	}
	printReport(a.stdout, report)
	if report.Recoverable {
		return exitOK
	}
	if len(report.Choices) == 0 {
		return a.fail("recover", fmt.Errorf("no way on can be offered: mend what is named above, or put a copy of a name directory back"), exitFailed)
	}
	id := *choice
	if id == "" {
		if id = a.ask(); id == "" {
			fmt.Fprintln(a.stdout, "Nothing was changed.")
			return exitFailed
		}
	}
	for _, c := range report.Choices {
		if c.ID != id {
			continue
		}
		if err := journal.Recover(disk, dirs, c.ID, edits...); err != nil {
			return a.fail("recover", err, exitFailed)
		}
		fmt.Fprintf(a.stdout, "%s: done. What was set aside is still in the directories.\n", c.ID)
		return exitOK
	}
	return a.fail("recover", fmt.Errorf("there is no choice %q", id), exitUsage)
}

func (a *app) ask() string {
	fmt.Fprint(a.stdout, "\nWhich one? (empty: none) ")
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return ""
	}
	return strings.TrimSpace(line)
}

func printReport(w io.Writer, r *journal.Report) {
	for _, d := range r.Dirs {
		fmt.Fprintf(w, "%s\n", d.Dir)
		if d.Problem != "" {
			fmt.Fprintf(w, "  %s\n", d.Problem)
		}
		for _, f := range d.Files {
			state := "good"
			switch {
			case f.Problem != "":
				state = "DAMAGED: " + f.Problem
			case f.Note != "":
				state = f.Note
			}
			fmt.Fprintf(w, "  %-44s transactions %d to %d: %s\n", f.Name, f.First, f.Last, state)
		}
	}
	fmt.Fprintf(w, "Last transaction that was durable: %d\n", r.LastDurable)
	if r.Recoverable {
		fmt.Fprintln(w, "The name node can start: nothing needs to be done.")
		return
	}
	fmt.Fprintf(w, "The name node refuses to start: %s\n", r.Problem)
	for _, c := range r.Choices {
		fmt.Fprintf(w, "\n  --choice %s\n    %s\n    loses: %s\n", c.ID, c.What, c.Loses)
	}
}
