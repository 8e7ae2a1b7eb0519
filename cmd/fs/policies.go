package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"redoubt/client"
	"redoubt/dfs"
)

// policyCmd is one command of fs storagepolicies. Each option in needs must have a value;
// the text says what is missing otherwise.
type policyCmd struct {
	name, args, help string
	needs            [][2]string
	run              func(p *policyRun, values map[string]string) error
}

// policyRun is one use of fs storagepolicies.
type policyRun struct {
	ctx  context.Context
	out  io.Writer
	c    *client.Client
	home string
}

const (
	exitPolicyUsage  = 1 // as Hadoop's: the command line was wrong
	exitPolicyFailed = 2
)

func policyCommands() []policyCmd {
	return []policyCmd{
		{"-listPolicies", "", "Lists the storage policies.", nil, (*policyRun).list},
		{"-setStoragePolicy", "-path <path> -policy <policy>", "Sets the policy of a file or directory.",
			[][2]string{{"-path", "Please specify the path for setting the storage policy."}, {"-policy", "Please specify the policy name."}}, (*policyRun).set},
		{"-getStoragePolicy", "-path <path>", "Shows the policy that counts for a file or directory.",
			[][2]string{{"-path", "Please specify the path with -path."}}, (*policyRun).get},
		{"-unsetStoragePolicy", "-path <path>", "Makes a file or directory take its policy from above.",
			[][2]string{{"-path", "Please specify the path from which the storage policy will be unset."}}, (*policyRun).unset},
		{"-satisfyStoragePolicy", "-path <path>", "Has the blocks below a path kept as their policy says now, in the background.",
			[][2]string{{"-path", "Please specify the path for satisfying the storage policy."}}, (*policyRun).satisfy},
	}
}

func policyUsage(w io.Writer) {
	fmt.Fprintln(w, "Usage: fs storagepolicies [generic options] COMMAND")
	for _, c := range policyCommands() {
		fmt.Fprintf(w, "  %s\n      %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
}

// runStoragePolicies shows and sets storage policies.
func runStoragePolicies(ctx context.Context, e *env, args []string) int {
	scoped := *e
	args, err := scoped.genericOptions(args)
	if err != nil {
		fmt.Fprintf(e.stderr, "storagepolicies: %v\n", err)
		return exitPolicyUsage
	}
	if len(args) == 0 {
		policyUsage(e.stderr)
		return exitPolicyUsage
	}
	if args[0] == "-help" || args[0] == "--help" {
		policyUsage(e.stdout)
		return 0
	}
	for _, cmd := range policyCommands() {
		if cmd.name == args[0] {
			return scoped.storagePolicies(ctx, &cmd, args[1:])
		}
	}
	fmt.Fprintf(e.stderr, "Can't understand command '%s'\n", args[0])
	policyUsage(e.stderr)
	return exitPolicyUsage
}

func (e *env) storagePolicies(ctx context.Context, cmd *policyCmd, args []string) int {
	values := map[string]string{}
	for _, need := range cmd.needs {
		rest, value, given, err := popValue(args, need[0])
		if err != nil || !given {
			fmt.Fprintf(e.stderr, "%s\nUsage: %s\n", need[1], strings.TrimSpace(cmd.name+" "+cmd.args))
			return exitPolicyUsage
		}
		args, values[need[0]] = rest, value
	}
	c, err := e.connectDefault()
	if err == nil {
		defer c.Close()
		err = cmd.run(&policyRun{ctx, e.stdout, c, "/user/" + e.user}, values)
	}
	if err != nil {
		line, _, _ := strings.Cut(message(err), "\n")
		fmt.Fprintln(e.stderr, exceptionName(err)+line)
		return exitPolicyFailed
	}
	return 0
}

// exceptionName is the Java class that Hadoop's tool puts before a name node's refusal.
func exceptionName(err error) string {
	switch dfs.KindOf(err) {
	case dfs.NotFound:
		return "FileNotFoundException: "
	case dfs.Permission:
		return "AccessControlException: "
	case dfs.IllegalArgument, dfs.SafeMode:
		return "RemoteException: "
	}
	return ""
}

// connectDefault opens the default file system, which must be an HDFS.
func (e *env) connectDefault() (*client.Client, error) {
	u, err := (&shell{env: e}).defaultURI()
	if err != nil {
		return nil, err
	}
	if u.scheme != "hdfs" {
		return nil, fmt.Errorf("FileSystem %s://%s is not an HDFS file system", u.scheme, u.authority)
	}
	return openClient(e, u.authority)
}

func (p *policyRun) list(map[string]string) error {
	policies, err := p.c.StoragePolicies(p.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out, "Block Storage Policies:")
	for i := range policies {
		fmt.Fprintf(p.out, "\t%s\n", policies[i])
	}
	return nil
}

// path is where a typed path is, without a scheme.
func (p *policyRun) path(typed string) (string, error) {
	u, err := parsePath(typed)
	if err != nil {
		return "", err
	}
	return joinPath(p.home, u.path), nil
}

func (p *policyRun) get(values map[string]string) error {
	typed := values["-path"]
	path, err := p.path(typed)
	if err != nil {
		return err
	}
	st, err := p.c.Stat(p.ctx, path)
	if dfs.Is(err, dfs.NotFound) {
		return fmt.Errorf("File/Directory does not exist: %s", path)
	}
	if err != nil {
		return err
	}
	if st.StoragePolicy == dfs.PolicyUnspecified {
		fmt.Fprintf(p.out, "The storage policy of %s is unspecified\n", typed)
		return nil
	}
	policies, err := p.c.StoragePolicies(p.ctx)
	if err != nil {
		return err
	}
	for i := range policies {
		if policies[i].ID == st.StoragePolicy {
			fmt.Fprintf(p.out, "The storage policy of %s:\n%s\n", typed, policies[i])
			return nil
		}
	}
	return fmt.Errorf("Cannot identify the storage policy for %s", typed)
}

func (p *policyRun) set(values map[string]string) error {
	path, err := p.path(values["-path"])
	if err != nil {
		return err
	}
	if err := p.c.SetStoragePolicy(p.ctx, path, values["-policy"]); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Set storage policy %s on %s\n", values["-policy"], values["-path"])
	return nil
}

func (p *policyRun) unset(values map[string]string) error {
	path, err := p.path(values["-path"])
	if err != nil {
		return err
	}
	if err := p.c.UnsetStoragePolicy(p.ctx, path); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Unset storage policy from %s\n", values["-path"])
	return nil
}

func (p *policyRun) satisfy(values map[string]string) error {
	path, err := p.path(values["-path"])
	if err != nil {
		return err
	}
	if err := p.c.SatisfyStoragePolicy(p.ctx, path); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Scheduled blocks to move based on the current storage policy on %s\n", values["-path"])
	return nil
}

// runGroups prints the groups of users as the name node sees them.
func runGroups(ctx context.Context, e *env, args []string) int {
	scoped := *e
	args, err := scoped.genericOptions(args)
	if err == nil && len(args) > 0 && (args[0] == "--help" || args[0] == "-help") {
		fmt.Fprintln(e.stdout, "Usage: fs groups [generic options] [username ...]")
		return 0
	}
	var c *client.Client
	if err == nil {
		c, err = scoped.connectDefault()
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "groups: %s\n", message(err))
		return exitUsage
	}
	defer c.Close()
	if len(args) == 0 {
		args = []string{e.user}
	}
	for _, user := range args {
		groups, err := c.Groups(ctx, user)
		if err != nil {
			fmt.Fprintf(e.stderr, "groups: %s\n", message(err))
			return exitUsage
		}
		fmt.Fprintf(e.stdout, "%s :", user)
		for _, g := range groups {
			fmt.Fprintf(e.stdout, " %s", g)
		}
		fmt.Fprintln(e.stdout)
	}
	return 0
}
