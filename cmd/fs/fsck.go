package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"redoubt/dfs"
	"redoubt/web"
)

// fsckFlags are the options of fs fsck and the parameters of /fsck that they stand for.
var fsckFlags = []struct{ flag, param, help string }{
	{"-files", "files", "one line for each file and directory"},
	{"-blocks", "blocks", "with -files: one line for each block, and its parity group"},
	{"-locations", "locations", "with -blocks: the datanodes of each replica and parity"},
	{"-racks", "racks", "with -blocks: their racks"},
	{"-replicaDetails", "replicadetails", "with -blocks: how each replica stands"},
	{"-upgradedomains", "upgradedomains", "with -blocks: as -locations; there are no upgrade domains"},
	{"-openforwrite", "openforwrite", "check files that are being written too"},
	{"-list-corruptfileblocks", "listcorruptfileblocks", "list only the blocks that are lost, and their files"},
	{"-storagepolicies", "storagepolicies", "count blocks by storage policy and media"},
	{"-maintenance", "maintenance", "count replicas on datanodes in maintenance"},
	{"-delete", "delete", "delete files that have lost blocks"},
	{"-move", "move", "not supported"},
	{"-includeSnapshots", "includeSnapshots", "accepted; there are no snapshots"},
	{"-showprogress", "", "accepted; has no meaning any more"},
	{"-replicate", "replicate", "accepted; misplaced blocks are always seen to"},
}

func fsckUsage(w io.Writer) {
	fmt.Fprint(w, "Usage: fs fsck [generic options] <path> [options]\n\nChecks files and their blocks: what is lost, short of replicas or badly placed,\n"+
		"which parity groups are degraded, and what one more failure could cost.\nExit code 0: nothing is lost; 1: something is; 255: it could not be checked.\n\n")
	for _, f := range fsckFlags {
		fmt.Fprintf(w, "  %-25s %s\n", f.flag, f.help)
	}
	fmt.Fprintf(w, "  %-25s %s\n\nThe name node's HTTP address is dfs.namenode.http-address, else port %s of its RPC host.\n", "-blockId <blk_ID> ...", "describe blocks", httpPort)
}

// fsckRequest is a command line of fs fsck.
type fsckRequest struct {
	path  string
	query url.Values
	lost  bool // -list-corruptfileblocks
}

func parseFsck(args []string) (*fsckRequest, error) {
	r := &fsckRequest{query: url.Values{}}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "-blockId" {
			var ids []string
			for ; i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"); i++ {
				ids = append(ids, args[i+1])
			}
			r.query.Set("blockId", strings.Join(ids, " "))
			continue
		}
		if !strings.HasPrefix(a, "-") {
			if r.path != "" {
				return nil, usagef("can only operate on one path at a time '%s'", a)
			}
			r.path = a
			continue
		}
		known := false
		for _, f := range fsckFlags {
			if f.flag == a {
				if known = true; f.param != "" {
					r.query.Set(f.param, "1")
				}
			}
		}
		if !known {
			return nil, usagef("Illegal option '%s'", a)
		}
	}
	r.lost = r.query.Has("listcorruptfileblocks")
	if r.path == "" {
		r.path = "/"
	}
	return r, nil
}

// runFsck asks the name node for a check of the tree and prints its answer.
func runFsck(ctx context.Context, e *env, args []string) int {
	scoped := *e
	args, err := scoped.genericOptions(args)
	var req *fsckRequest
	switch {
	case err != nil:
	case len(args) == 0:
		fsckUsage(e.stderr)
		return exitUsage
	case args[0] == "-help" || args[0] == "--help" || args[0] == "-h":
		fsckUsage(e.stdout)
		return 0
	default:
		req, err = parseFsck(args)
	}
	code := exitUsage
	if err == nil {
		code, err = scoped.fsck(ctx, req)
	}
	if err != nil {
		line, _, _ := strings.Cut(message(err), "\n")
		fmt.Fprintf(e.stderr, "fsck: %s\n", line)
		if isUsage(err) {
			fsckUsage(e.stderr)
		}
		return exitUsage
	}
	return code
}

func (e *env) fsck(ctx context.Context, req *fsckRequest) (int, error) {
	u, err := parsePath(req.path)
	if err != nil {
		return 0, err
	}
	if u.scheme == "" {
		def, err := (&shell{env: e}).defaultURI()
		if err != nil {
			return 0, err
		}
		u.scheme, u.authority = def.scheme, def.authority
	}
	if u.scheme != "hdfs" {
		return 0, fmt.Errorf("FileSystem %s://%s is not an HDFS file system", u.scheme, u.authority)
	}
	path := joinPath("/user/"+e.user, u.path)
	c, err := openClient(e, u.authority)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Stat(ctx, path); dfs.Is(err, dfs.NotFound) {
		// Hadoop's exits with 0 here too: there is nothing that is lost.
		fmt.Fprintf(e.stderr, "FileSystem is inaccessible due to:\nFile does not exist: %s\nDFSck exiting.\n", path)
		return 0, nil
	} else if err != nil && !dfs.Is(err, dfs.Permission) {
		return 0, err
	}
	base, err := e.httpAddress(ctx, u.authority)
	if err != nil {
		return 0, err
	}
	req.query.Set("ugi", e.user)
	req.query.Set("path", path)
	target := url.URL{Scheme: "http", Host: base, Path: "/fsck", RawQuery: req.query.Encode()}
	fmt.Fprintf(e.stderr, "Connecting to namenode via %s\n", target.String())
	if req.lost {
		return e.fsckLost(ctx, target, req.path)
	}
	last := ""
	err = getLines(ctx, target.String(), func(line string) error {
		last = line
		_, err := fmt.Fprintln(e.stdout, line)
		return err
	})
	return fsckCode(last), err
}

// httpPort is where a name node's HTTP address is by default.
const httpPort = "9870"

// httpAddress is where the name node's web pages are: configured, or the default port of the
// host that speaks RPC. Of several name nodes it is the first one that answers.
func (e *env) httpAddress(ctx context.Context, authority string) (string, error) {
	var candidates []string
	if ids := e.config.get("dfs.ha.namenodes."+authority, ""); ids != "" {
		for _, id := range strings.Split(ids, ",") {
			candidates = append(candidates, e.config.get("dfs.namenode.http-address."+authority+"."+strings.TrimSpace(id), ""))
		}
	} else {
		candidates = []string{e.config.get("dfs.namenode.http-address", "")}
	}
	rpc := e.config.nameNodes(authority)
	for i, addr := range candidates {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			host, port = addr, httpPort
		}
		if host == "" || host == "0.0.0.0" || host == "::" {
			if host, _, err = net.SplitHostPort(rpc[min(i, len(rpc)-1)]); err != nil {
				return "", err
			}
		}
		if candidates[i] = net.JoinHostPort(host, port); len(candidates) == 1 {
			return candidates[0], nil
		}
	}
	var errs []error
	for _, addr := range candidates {
		err := getLines(ctx, "http://"+addr+"/healthz", func(string) error { return nil })
		if err == nil {
			return addr, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// fsckConnect bounds how long a name node may take to begin its answer; the answer itself
// takes as long as the tree is big.
const fsckConnect = time.Minute

// getLines fetches a text and hands out its lines.
func getLines(ctx context.Context, target string, fn func(line string) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	req.Header.Set(web.ChangeHeader, "fs") // a web page could not send it
	tr := &http.Transport{ResponseHeaderTimeout: fsckConnect, DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: fsckConnect}).DialContext}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the long address, which has been shown
		}
		return fmt.Errorf("the name node's HTTP address %s can't be reached: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // the status alone says enough
		return fmt.Errorf("http://%s%s answers %s: %s", req.URL.Host, req.URL.Path, resp.Status, strings.TrimSpace(string(why)))
	}
	in := bufio.NewReader(resp.Body)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			if err := fn(strings.TrimSuffix(line, "\n")); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the name node at %s has not finished its answer: %w", req.URL.Host, err)
		}
	}
}

// fsckCode is what an answer's last line means, as Hadoop's fsck has it.
func fsckCode(last string) int {
	if strings.Contains(last, "Incorrect blockId format:") {
		return 0
	}
	for _, s := range []struct {
		end  string
		code int
	}{
		{"is HEALTHY", 0}, {"is CORRUPT", 1}, {"does not exist", 0}, {"is DECOMMISSIONED", 2}, {"is DECOMMISSIONING", 3},
		{"is IN MAINTENANCE", 4}, {"is ENTERING MAINTENANCE", 5}, {"is STALE", 6}, {"is EXCESS", 7},
	} {
		if strings.HasSuffix(last, s.end) {
			return s.code
		}
	}
	return exitUsage
}

// fsckLost lists lost blocks page after page.
func (e *env) fsckLost(ctx context.Context, target url.URL, shown string) (int, error) {
	query, found, failed := target.Query(), 0, false
	for cookie, done := 0, false; !done; {
		if cookie > 0 {
			query.Set("startblockafter", strconv.Itoa(cookie))
			target.RawQuery = query.Encode()
		}
		done = true // unless there is a page that says otherwise
		err := getLines(ctx, target.String(), func(line string) error {
			switch value, isCookie := strings.CutPrefix(line, "Cookie:\t"); {
			case isCookie:
				next, err := strconv.Atoi(value)
				done = err != nil || next <= cookie
				cookie = next
			case strings.HasPrefix(line, "blk_"):
				if found++; found == 1 {
					fmt.Fprintf(e.stdout, "The list of corrupt blocks under path '%s' are:\n", shown)
				}
				fmt.Fprintln(e.stdout, line)
			case strings.HasPrefix(line, "Fsck on path") && strings.HasSuffix(line, " FAILED"), strings.Contains(line, "denied"):
				failed = true
				fmt.Fprintln(e.stdout, line)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	if failed {
		return exitUsage, nil
	}
	fmt.Fprintf(e.stdout, "The filesystem under path '%s' has %d CORRUPT blocks\n", shown, found)
	if found > 0 {
		return exitUsage, nil
	}
	return 0, nil
}
