package vfs

import (
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder notes the steps of a publication that goes through it.
type recorder struct {
	FS
	steps []string
}

type recordedFile struct {
	File
	r *recorder
}

func (r *recorder) note(step string) { r.steps = append(r.steps, step) }

func (r *recorder) Create(name string) (File, error) {
	r.note("create temporary file beside the target")
	f, err := r.FS.Create(name)
	return recordedFile{f, r}, err
}

func (r *recorder) Rename(old, new string) error {
	r.note("rename to the target")
	return r.FS.Rename(old, new)
}

func (r *recorder) SyncDir(dir string) error {
	r.note("sync the directory")
	return r.FS.SyncDir(dir)
}

func (f recordedFile) WriteAt(b []byte, off int64) (int, error) {
	f.r.note("write")
	return f.File.WriteAt(b, off)
}

func (f recordedFile) Sync() error {
	f.r.note("sync the file")
	return f.File.Sync()
}

func (f recordedFile) Close() error {
	f.r.note("close the file")
	return f.File.Close()
}

func twoWrites(w io.Writer) error {
	for _, part := range []string{"one", "two"} {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	return nil
}

const publishHere = "REDOUBT_PUBLISH_HERE"

// TestPublishIsOneRecipe has strace watch a publication on the real disk and compares its
// steps with those that every crash test takes. So the order that was proven is the order that
// runs.
func TestPublishIsOneRecipe(t *testing.T) {
	if dir := os.Getenv(publishHere); dir != "" {
		fs := OS()
		_, err := fs.Protect(dir)
		require.NoError(t, err)
		require.NoError(t, fs.Publish(path.Join(dir, "target"), twoWrites))
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not there to watch the system calls")
	}
	mem := NewMem()
	require.NoError(t, mem.MkdirAll("/d"))
	r := &recorder{FS: mem}
	require.NoError(t, PublishWith(r, "/d/target", TempName("/d/target", 1), twoWrites))

	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-o", out, "-e", "trace=openat,openat2,write,pwrite64,fsync,fdatasync,close,rename,renameat,renameat2",
		os.Args[0], "-test.run=^TestPublishIsOneRecipe$")
	cmd.Env = append(os.Environ(), publishHere+"="+dir)
	if text, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(text), "ptrace") {
			t.Skipf("this machine lets nobody watch system calls: %s", text)
		}
		t.Fatalf("%v: %s", err, text)
	}
	trace, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, r.steps, stepsOf(string(trace), dir))
}

// stepsOf picks the steps of a publication in dir out of strace's lines.
func stepsOf(trace, dir string) (steps []string) {
	d := regexp.QuoteMeta(dir)
	kinds := []struct {
		step string
		line *regexp.Regexp
	}{
		{"create temporary file beside the target", regexp.MustCompile(`openat2?\(.*/\.target\d+".*O_CREAT.*O_EXCL.*<` + d + `/\.target\d+>`)},
		{"write", regexp.MustCompile(`p?write(64)?\(\d+<` + d + `/\.target\d+>`)},
		{"sync the file", regexp.MustCompile(`f(data)?sync\(\d+<` + d + `/\.target\d+>`)},
		{"close the file", regexp.MustCompile(`close\(\d+<` + d + `/\.target\d+>`)},
		{"rename to the target", regexp.MustCompile(`rename(at2?)?\(.*/\.target\d+".*/target"`)},
		{"sync the directory", regexp.MustCompile(`f(data)?sync\(\d+<` + d + `>`)},
	}
	for line := range strings.Lines(trace) {
		for _, k := range kinds {
			if k.line.MatchString(line) && !strings.Contains(line, "resumed") {
				steps = append(steps, k.step)
			}
		}
	}
	return steps
}
