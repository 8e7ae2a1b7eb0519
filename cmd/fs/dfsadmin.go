package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"redoubt/client"
	"redoubt/dfs"
	"redoubt/internal/hadoopconf"
)

// admin is one use of dfsadmin.
type admin struct {
	ctx  context.Context
	out  *bufio.Writer
	err  io.Writer
	c    *client.Client
	uri  string // hdfs://authority
	home string
	user string
	zone *time.Location
	// nodes are the RPC addresses of the name nodes.
	nodes []string
}

// adminCmd is one command of dfsadmin. It takes min to max arguments.
type adminCmd struct {
	name, args, help string
	min, max         int
	run              func(a *admin, args []string) error
}

func adminCommands() []adminCmd {
	return []adminCmd{
		{"report", "[-live] [-dead] [-decommissioning] [-enteringmaintenance] [-inmaintenance] [-slownodes]", "Shows capacity, the state of blocks, and datanodes.", 0, 6, (*admin).report},
		{"safemode", "<enter | leave | get | wait | forceExit>", "Changes, shows or waits for the end of safe mode.", 1, 1, (*admin).safeMode},
		{"saveNamespace", "[-beforeShutdown]", "Writes a checkpoint of the namespace; safe mode must be on.", 0, 1, (*admin).saveNamespace},
		{"rollEdits", "", "Ends the edit log's current segment and begins the next.", 0, 0, (*admin).rollEdits},
		{"restoreFailedStorage", "true|false|check", "Whether name directories that failed are tried again at a checkpoint.", 1, 1, (*admin).restoreFailedStorage},
		{"refreshNodes", "", "Makes the name node read its lists of datanodes again.", 0, 0, (*admin).refreshNodes},
		{"setQuota", "<quota> <dirname>...<dirname>", "Limits the number of names below directories.", 2, -1, (*admin).setQuota},
		{"clrQuota", "<dirname>...<dirname>", "Takes that limit away.", 1, -1, (*admin).clearQuota},
		{"setSpaceQuota", "<quota> [-storageType <storagetype>] <dirname>...<dirname>", "Limits the bytes, replicas counted, below directories; k, m, g, t may follow the number.", 2, -1, (*admin).setSpaceQuota},
		{"clrSpaceQuota", "[-storageType <storagetype>] <dirname>...<dirname>", "Takes that limit away.", 1, -1, (*admin).clearSpaceQuota},
		{"upgrade", "<query | finalize>", "Shows whether an upgrade waits for its end, or ends it for good.", 1, 1, (*admin).upgrade},
		{"refreshServiceAcl", "", "Makes the name node read again who may use which protocol.", 0, 0, (*admin).refreshServiceACL},
		{"refreshUserToGroupsMappings", "", "Makes the name node look up users' groups again.", 0, 0, (*admin).refreshGroups},
		{"refreshSuperUserGroupsConfiguration", "", "Makes the name node read again who may act for others.", 0, 0, (*admin).refreshProxies},
		{"refreshCallQueue", "", "Makes the name node read the call queue's configuration again.", 0, 0, (*admin).refreshCallQueue},
		{"finalizeUpgrade", "", "Ends an upgrade for good.", 0, 0, (*admin).finalizeUpgrade},
		{"printTopology", "", "Shows racks and their datanodes.", 0, 0, (*admin).printTopology},
		{"setBalancerBandwidth", "<bandwidth in bytes per second>", "Tells datanodes how fast they may move blocks.", 1, 1, (*admin).setBandwidth},
		{"metasave", "<filename>", "Makes the name node write its block manager's queues to a file in its log directory.", 1, 1, (*admin).metaSave},
		{"raidStatus", "[<host:port>]", "Shows the RAID-5 volumes of a datanode, or of all: members, rebuilds, spares.", 0, 1, (*admin).raidStatus},
		{"raidReplace", "<host:port> <old dir> <new dir>", "Puts a directory in the place of a member of a RAID-5 volume and rebuilds onto it.", 3, 3, (*admin).raidReplace},
		{"raidVerify", "[<host:port>]", "Reads every stripe of a datanode's RAID-5 volumes, or of all, and repairs what one bad unit explains.", 0, 1, (*admin).raidVerify},
		{"listOpenFiles", "[-blockingDecommission] [-path <path>]", "Lists the files that are open for writing.", 0, 3, (*admin).listOpenFiles},
	}
}

// runDFSAdmin administers a cluster.
func runDFSAdmin(ctx context.Context, e *env, args []string) int {
	scoped := *e
	args, err := scoped.genericOptions(args)
	if err != nil {
		fmt.Fprintf(e.stderr, "dfsadmin: %v\n", err)
		return exitUsage
	}
	if len(args) == 0 {
		adminUsage(e.stderr, "")
		return exitUsage
	}
	name := strings.TrimPrefix(args[0], "-")
	if name == "help" {
		return adminHelp(e, args[1:])
	}
	var cmd *adminCmd
	for _, c := range adminCommands() {
		if "-"+c.name == args[0] {
			cmd = &c
		}
	}
	switch {
	case cmd == nil:
		fmt.Fprintf(e.stderr, "%s: Unknown command\n", name)
		adminUsage(e.stderr, "")
		return exitUsage
	case cmd.max < 0 && len(args)-1 < cmd.min:
		fmt.Fprintf(e.stderr, "%s: Not enough arguments: expected %d but got %d\n", name, cmd.min, len(args)-1)
		adminUsage(e.stderr, name)
		return exitUsage
	case len(args)-1 < cmd.min || cmd.max >= 0 && len(args)-1 > cmd.max:
		adminUsage(e.stderr, name)
		return exitUsage
	}
	return scoped.administer(ctx, cmd, args[1:])
}

// administer connects and runs one command.
func (e *env) administer(ctx context.Context, cmd *adminCmd, args []string) int {
	out := bufio.NewWriter(e.stdout)
	defer out.Flush()
	complain := func(err error) int {
		out.Flush()
		for _, one := range errorList(err) {
			line, _, _ := strings.Cut(message(one), "\n")
			fmt.Fprintf(e.stderr, "%s: %s\n", cmd.name, line)
		}
		if isUsage(err) {
			adminUsage(e.stderr, cmd.name)
		}
		return exitUsage
	}
	sh := &shell{env: e}
	u, err := sh.defaultURI()
	if err != nil {
		return complain(err)
	}
	if u.scheme != "hdfs" {
		return complain(fmt.Errorf("FileSystem %s://%s is not an HDFS file system", u.scheme, u.authority))
	}
	c, err := openClient(e, u.authority)
	if err != nil {
		return complain(err)
	}
	defer c.Close()
	err = cmd.run(&admin{ctx, out, e.stderr, c, "hdfs://" + u.authority, "/user/" + e.user, e.user, time.Local, e.config.nameNodes(u.authority)}, args)
	if errors.Is(err, errSaid) {
		return exitUsage
	}
	if errors.Is(err, errOnlyUsage) {
		adminUsage(e.stderr, cmd.name)
		return 0
	}
	if err != nil {
		return complain(err)
	}
	return 0
}

// errorList takes errors.Join apart.
func errorList(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// errSaid is an error that the user has been told of.
var errSaid = errors.New("said")

// errOnlyUsage shows the usage and counts as success, as in Hadoop.
var errOnlyUsage = errors.New("usage")

func adminUsage(w io.Writer, name string) {
	var b strings.Builder
	for _, c := range adminCommands() {
		if c.name == name {
			fmt.Fprintf(&b, "Usage: fs dfsadmin [%s]\n", strings.TrimSpace("-"+c.name+" "+c.args))
		}
	}
	if b.Len() == 0 {
		b.WriteString("Usage: fs dfsadmin\nMost of these commands need the superuser.\n")
		for _, c := range adminCommands() {
			fmt.Fprintf(&b, "\t[%s]\n", strings.TrimSpace("-"+c.name+" "+c.args))
		}
		b.WriteString("\t[-help [cmd]]\n\nGeneric options: -fs <uri>, -D <key=value>, -conf <file>\n")
	}
	_, _ = io.WriteString(w, b.String()) // nobody else to tell
}

func adminHelp(e *env, names []string) int {
	for _, c := range adminCommands() {
		if len(names) == 0 || strings.TrimPrefix(names[0], "-") == c.name {
			fmt.Fprintf(e.stdout, "%s:\n%s\n", strings.TrimSpace("-"+c.name+" "+c.args), wrap(c.help))
		}
	}
	return 0
}

func (a *admin) safeMode(args []string) error {
	actions := map[string]dfs.SafeModeAction{
		"enter": dfs.SafeModeEnter, "leave": dfs.SafeModeLeave, "get": dfs.SafeModeGet, "wait": dfs.SafeModeGet, "forceExit": dfs.SafeModeForceExit,
	}
	action, ok := actions[args[0]]
	if !ok {
		return errOnlyUsage
	}
	on, err := a.c.SetSafeMode(a.ctx, action)
	for err == nil && on && args[0] == "wait" {
		select {
		case <-a.ctx.Done():
			return a.ctx.Err()
		case <-time.After(time.Second):
		}
		on, err = a.c.SetSafeMode(a.ctx, action)
	}
	if err == nil && on && args[0] == "leave" {
		a.whySafe()
	}
	if err == nil {
		fmt.Fprintf(a.out, "Safe mode is %s\n", map[bool]string{true: "ON", false: "OFF"}[on])
	}
	return err
}

func (a *admin) saveNamespace(args []string) error {
	var window, gap int64
	if len(args) == 1 && args[0] == "-beforeShutdown" {
		window, gap = 10800, 3000000 // three checkpoint periods, three times the transactions of one
		fmt.Fprintf(a.out, "Do checkpoint if necessary before stopping namenode. The time window is %d seconds, and the transaction gap is %d\n", window, gap)
	}
	saved, err := a.c.SaveNamespace(a.ctx, window, gap)
	if err != nil {
		return err
	}
	if saved {
		fmt.Fprintln(a.out, "Save namespace successful")
	} else {
		fmt.Fprintln(a.out, "No extra checkpoint has been made (not saving namespace).")
	}
	return nil
}

func (a *admin) rollEdits([]string) error {
	tx, err := a.c.RollEdits(a.ctx)
	if err == nil {
		fmt.Fprintf(a.out, "Successfully rolled edit logs.\nNew segment starts at txid %d\n", tx)
	}
	return err
}

func (a *admin) restoreFailedStorage(args []string) error {
	switch args[0] {
	case "true", "false", "check":
	default:
		return usagef("restoreFailedStorage valid args are true|false|check")
	}
	on, err := a.c.RestoreFailedStorage(a.ctx, args[0])
	if err == nil {
		fmt.Fprintf(a.out, "restoreFailedStorage is set to %t\n", on)
	}
	return err
}

func (a *admin) refreshNodes([]string) error {
	err := a.c.RefreshNodes(a.ctx)
	if err == nil {
		fmt.Fprintln(a.out, "Refresh nodes successful")
	}
	return err
}

func (a *admin) finalizeUpgrade([]string) error {
	err := a.c.FinalizeUpgrade(a.ctx)
	if err == nil {
		fmt.Fprintln(a.out, "Finalize upgrade successful")
	}
	return err
}

func (a *admin) metaSave(args []string) error {
	err := a.c.MetaSave(a.ctx, args[0])
	if err == nil {
		fmt.Fprintf(a.out, "Created metasave file %s in the log directory of namenode %s\n", args[0], a.uri)
	}
	return err
}

func (a *admin) setBandwidth(args []string) error {
	n, err := sizeArgument(args[0])
	if err != nil {
		return err
	}
	if n < 0 {
		fmt.Fprintln(a.err, "Bandwidth should be a non-negative integer")
		return errSaid
	}
	if err = a.c.SetBalancerBandwidth(a.ctx, n); err != nil {
		fmt.Fprintln(a.err, "Balancer bandwidth is set failed.")
		return err
	}
	fmt.Fprintf(a.out, "Balancer bandwidth is set to %d\n", n)
	return nil
}

// sizeArgument reads a quota or a bandwidth.
func sizeArgument(s string) (int64, error) {
	n, err := hadoopconf.ParseSize(s)
	if err != nil {
		return 0, &errUsage{err.Error()}
	}
	return n, nil
}

// eachDir calls f for each directory argument; one that fails does not stop the others.
func (a *admin) eachDir(dirs []string, f func(path string) error) error {
	var failed []error
	for _, d := range dirs {
		p, err := parsePath(d)
		if err != nil {
			return err
		}
		if err := withoutColon(p.path); err != nil {
			return err
		}
		if err := f(joinPath(a.home, p.path)); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// operands are arguments that have no options before them. A negative number would be one.
func operands(args []string, least int) ([]string, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:] // Hadoop takes it away, so it protects nothing
	}
	f := flags{min: least, max: -1}
	return f.parse(args)
}

func (a *admin) setQuota(args []string) error {
	args, err := operands(args, 2)
	if err != nil {
		return err
	}
	n, err := sizeArgument(args[0])
	if err != nil {
		return err
	}
	if n <= 0 {
		return usagef("Invalid values for quota : %d and %d", n, int64(client.KeepQuota))
	}
	return a.eachDir(args[1:], func(p string) error { return a.c.SetQuota(a.ctx, p, n, client.KeepQuota) })
}

func (a *admin) clearQuota(args []string) error {
	args, err := operands(args, 1)
	if err != nil {
		return err
	}
	return a.eachDir(args, func(p string) error { return a.c.SetQuota(a.ctx, p, client.ClearQuota, client.KeepQuota) })
}

// Hadoop's words for a storage type that there is not, to set and to clear.
const (
	noTypeToSet   = "Storage type %s is not available. Available storage types are [SSD, DISK, ARCHIVE, PROVIDED, NVDIMM]"
	noTypeToClear = "No enum constant org.apache.hadoop.fs.StorageType.%s"
)

// storageTypeOption takes -storageType TYPE out of args; 0 when it is not there.
func storageTypeOption(args []string, none string) ([]string, dfs.StorageType, error) {
	for i, s := range args {
		switch {
		case s != "-storageType":
			continue
		case i+1 == len(args):
			return nil, 0, usagef("option -storageType requires 1 argument.")
		}
		t, ok := dfs.StorageTypeNamed(args[i+1])
		if !ok {
			name := args[i+1]
			if none == noTypeToClear {
				name = strings.ToUpper(name)
			}
			return nil, 0, usagef(none, name)
		}
		return append(append([]string(nil), args[:i]...), args[i+2:]...), t, nil
	}
	return args, 0, nil
}

func (a *admin) setSpaceQuota(args []string) error {
	args, err := operands(args, 2)
	if err != nil {
		return err
	}
	args, typ, err := storageTypeOption(args, noTypeToSet)
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return usagef("Not enough arguments: expected 2 but got %d", len(args))
	}
	n, err := sizeArgument(args[0])
	if err != nil {
		return err
	}
	if typ != 0 && n <= 0 {
		return usagef("Invalid values for quota :%d", n)
	}
	return a.eachDir(args[1:], func(p string) error { return a.spaceQuota(p, n, typ) })
}

func (a *admin) clearSpaceQuota(args []string) error {
	if len(args) == 1 && args[0] == "-storageType" {
		args = nil // that a directory is missing comes first
	}
	args, typ, err := storageTypeOption(args, noTypeToClear)
	if err == nil {
		args, err = operands(args, 1)
	}
	if err != nil {
		return err
	}
	return a.eachDir(args, func(p string) error { return a.spaceQuota(p, client.ClearQuota, typ) })
}

func (a *admin) spaceQuota(path string, n int64, typ dfs.StorageType) error {
	if typ != 0 {
		if !typ.HasQuota() {
			return usagef("Don't support Quota for storage type : %s", typ)
		}
		return a.c.SetTypeQuota(a.ctx, path, n, typ)
	}
	return a.c.SetQuota(a.ctx, path, client.KeepQuota, n)
}

func (a *admin) printTopology([]string) error {
	nodes, err := a.c.DatanodeReport(a.ctx, dfs.ReportAll)
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		fmt.Fprintln(a.out, "No DataNodes")
		return nil
	}
	racks := map[string][]string{}
	for i := range nodes {
		n := &nodes[i]
		state := map[dfs.AdminState]string{dfs.AdminNormal: "In Service", dfs.AdminDecommissioning: "Decommission In Progress",
			dfs.AdminDecommissioned: "Decommissioned", dfs.AdminEnteringMaintenance: "Entering Maintenance", dfs.AdminInMaintenance: "In Maintenance"}[n.Admin]
		racks[n.Location] = append(racks[n.Location], fmt.Sprintf("%s:%d (%s) %s", n.IP, n.XferPort, n.Host, state))
	}
	var names []string
	for r := range racks {
		names = append(names, r)
	}
	sort.Strings(names)
	for _, r := range names {
		fmt.Fprintf(a.out, "Rack: %s\n", r)
		sort.Strings(racks[r])
		for _, n := range racks[r] {
			fmt.Fprintf(a.out, "   %s\n", n)
		}
		fmt.Fprintln(a.out)
	}
	return nil
}

func (a *admin) listOpenFiles(args []string) error {
	path := ""
	for i, s := range args {
		if s != "-path" {
			continue
		}
		if i+1 == len(args) {
			return usagef("option -path requires 1 argument.")
		}
		path = args[i+1]
	}
	fmt.Fprintf(a.out, "%-20s\t%-20s\t%s\n", "Client Host", "Client Name", "Open File Path")
	for after, more := dfs.InodeID(0), true; more; {
		var files []dfs.OpenFile
		var err error
		if files, more, err = a.c.OpenFiles(a.ctx, after, cmpPath(path), slices.Contains(args, "-blockingDecommission")); err != nil {
			a.out.Flush()
			fmt.Fprintln(a.err, "List open files failed.")
			return err
		}
		for _, f := range files {
			fmt.Fprintf(a.out, "%-20s\t%-20s\t%20s\n", f.Machine, f.Holder, f.Path)
			after = f.ID
		}
		more = more && len(files) > 0
	}
	return nil
}

func cmpPath(p string) string {
	if p == "" {
		return "/"
	}
	return p
}
