package namenode

import (
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"redoubt/dfs"
)

// auditLog writes one line per operation in the format of HDFS's FSNamesystem.audit
// logger. Lines gather in a buffer and a goroutine writes them out, so that an operation
// waits for the file only when a megabyte is outstanding.
type auditLog struct {
	w    io.Writer
	log  *slog.Logger
	done chan struct{}

	mu      sync.Mutex
	wake    sync.Cond // the buffer has something, has been taken, or the log is closed
	buf     []byte
	spare   []byte
	closed  bool
	failing bool
}

const maxAuditBuffer = 1 << 20

func newAuditLog(w io.Writer, log *slog.Logger) *auditLog {
	if w == nil {
		return nil
	}
	a := &auditLog{w: w, log: log, done: make(chan struct{})}
	a.wake.L = &a.mu
	go a.run()
	return a
}

// auditEntry is what one line tells. Src and dst may be empty, which prints as null.
type auditEntry struct {
	allowed  bool
	cmd      string
	src, dst string
	st       *dfs.FileStatus // for perm=, nil prints null
}

func (a *auditLog) add(now time.Time, c *dfs.Caller, e auditEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.buf) >= maxAuditBuffer && !a.closed {
		a.wake.Wait()
	}
	if a.closed {
		return
	}
	if len(a.buf) == 0 {
		a.wake.Broadcast()
	}
	a.buf = appendAuditLine(a.buf, now, c, e)
}

// appendAuditLine appends one line: tab-separated key=value pairs, in HDFS's order.
func appendAuditLine(b []byte, now time.Time, c *dfs.Caller, e auditEntry) []byte {
	b = now.AppendFormat(b, "2006-01-02 15:04:05,000")
	b = append(b, " INFO FSNamesystem.audit: allowed="...)
	if e.allowed {
		b = append(b, "true"...)
	} else {
		b = append(b, "false"...)
	}
	b = append(b, "\tugi="...)
	b = appendAuditText(b, c.User)
	if c.RealUser != "" {
		b = append(b, " (auth:PROXY) via "...)
		b = appendAuditText(b, c.RealUser)
	}
	b = append(b, " (auth:SIMPLE)\tip=/"...)
	if c.Addr.IsValid() {
		b = c.Addr.Unmap().AppendTo(b)
	} else {
		b = append(b, "127.0.0.1"...)
	}
	b = append(append(b, "\tcmd="...), e.cmd...)
	b = appendAuditPath(append(b, "\tsrc="...), e.src)
	b = appendAuditPath(append(b, "\tdst="...), e.dst)
	b = append(b, "\tperm="...)
	if e.st == nil {
		b = append(b, "null"...)
	} else {
		b = append(appendAuditText(b, e.st.Owner), ':')
		b = append(appendAuditText(b, e.st.Group), ':')
		b = appendMode(b, e.st.Mode, 0)
	}
	b = append(b, "\tproto="...)
	if c.Protocol == "" {
		b = append(b, "rpc"...)
	} else {
		b = append(b, c.Protocol...)
	}
	if c.Context != "" {
		b = appendAuditText(append(b, "\tcallerContext="...), c.Context)
	}
	return append(b, '\n')
}

func appendAuditPath(b []byte, p string) []byte {
	if p == "" {
		return append(b, "null"...)
	}
	return appendAuditText(b, p)
}

// appendAuditText keeps a name from breaking out of its field or line.
func appendAuditText(b []byte, s string) []byte {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 {
		return append(b, s...)
	}
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == 0x7f {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// run writes the buffer out whenever there is something in it.
func (a *auditLog) run() {
	defer close(a.done)
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		for len(a.buf) == 0 && !a.closed {
			a.wake.Wait()
		}
		if len(a.buf) == 0 {
			return
		}
		out := a.buf
		a.buf, a.spare = a.spare[:0], nil
		a.wake.Broadcast()
		a.mu.Unlock()
		_, err := a.w.Write(out)
		a.mu.Lock()
		a.spare = out
		if err != nil && !a.failing {
			a.log.Error("audit log can't be written, lines are lost", "err", err)
		}
		a.failing = err != nil
	}
}

func (a *auditLog) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.closed = true
	a.wake.Broadcast()
	a.mu.Unlock()
	<-a.done
}

// appendMode appends a permission as ls shows it: rwxr-x--T. A type letter that is not
// zero goes before it.
func appendMode(b []byte, m dfs.Mode, letter byte) []byte {
	if letter != 0 {
		b = append(b, letter)
	}
	const rwx = "rwxrwxrwx"
	for i := range len(rwx) {
		if m&(1<<(8-i)) != 0 {
			b = append(b, rwx[i])
		} else {
			b = append(b, '-')
		}
	}
	if m&dfs.Sticky != 0 {
		if last := &b[len(b)-1]; *last == 'x' {
			*last = 't'
		} else {
			*last = 'T'
		}
	}
	return b
}
