package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"redoubt/dfs"
	"redoubt/fsimage"
	"redoubt/namespace"
	"redoubt/raid"
	"redoubt/vfs"
)

// viewer is one run of oiv or oev: which file, to where, how.
type viewer struct {
	command   string
	input     string
	output    string
	processor string
}

// runOIV prints or checks an image or a block meta file.
func runOIV(ctx context.Context, e *env, args []string) int { return runViewer(ctx, e, "oiv", args) }

// runViewer is oiv and oev: the flags are those of HDFS's viewers, and what the file is
// its first bytes tell, so that either command takes any of our files.
func runViewer(ctx context.Context, e *env, command string, args []string) int {
	v := viewer{command: command}
	set := pflag.NewFlagSet(command, pflag.ContinueOnError)
	set.SetOutput(e.stderr)
	set.SortFlags = false
	set.StringVarP(&v.input, "inputFile", "i", "", "the image, log segment or block meta file to read")
	set.StringVarP(&v.output, "outputFile", "o", "-", "where to print; - is standard output")
	set.StringVarP(&v.processor, "processor", "p", "text", "text, json, xml, stats, or check: say only whether the file is whole")
	help := set.BoolP("help", "h", false, "print this")
	set.Usage = func() {
		fmt.Fprintf(e.stderr, "Usage: fs %s -i FILE [-o FILE] [-p text|json|xml|stats|check]\n\n%s", command, set.FlagUsages())
	}
	if err := set.Parse(args); err != nil {
		if !errors.Is(err, pflag.ErrHelp) {
			fmt.Fprintf(e.stderr, "%s: %v\n", command, err)
			set.Usage()
		}
		return exitUsage
	}
	if *help {
		set.Usage()
		return 0
	}
	v.processor = strings.ToLower(v.processor)
	if !slices.Contains([]string{"text", "json", "xml", "stats", "check"}, v.processor) || v.input == "" || set.NArg() > 0 {
		set.Usage()
		return exitUsage
	}
	if err := v.run(ctx, e); err != nil {
		fmt.Fprintf(e.stderr, "%s: %v\n", command, err)
		return exitFailed
	}
	return 0
}

// run finds out what the file is and prints it.
func (v *viewer) run(ctx context.Context, e *env) (err error) {
	input := v.input
	if !filepath.IsAbs(input) {
		input = filepath.Join(e.dir, input)
	}
	magic, err := firstBytes(input)
	if err != nil {
		return err
	}
	out := e.stdout
	if v.output != "-" {
		name := v.output
		if !filepath.IsAbs(name) {
			name = filepath.Join(e.dir, name)
		}
		file, err := os.Create(name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	w := bufio.NewWriterSize(out, 64<<10)
	defer func() { err = errors.Join(err, w.Flush()) }()
	d := &dumper{ctx: ctx, dir: filepath.Dir(input), name: filepath.Base(input), w: w, stats: map[string]*stat{}}
	d.out = newPrinter(v.processor, w)
	d.silent = v.processor == "check"
	switch {
	case bytes.HasPrefix(magic, []byte("RDBTEDIT")):
		return d.log()
	case strings.HasSuffix(d.name, ".meta"):
		return d.meta()
	case bytes.HasPrefix(magic, []byte("RDBTIMAG")), v.command == "oiv":
		return d.image()
	}
	return d.log()
}

func firstBytes(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, 8)
	n, err := io.ReadFull(file, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return b[:n], err
}

// dumper walks through one file. out is nil for stats and check.
type dumper struct {
	ctx       context.Context
	dir, name string
	w         *bufio.Writer
	out       printer
	silent    bool
	stats     map[string]*stat
	records   int64
}

// stat counts records of one kind.
type stat struct{ count, bytes int64 }

func (d *dumper) begin(kind string, head value) {
	if d.out != nil {
		d.out.begin(kind, head)
	} else if !d.silent {
		(&textPrinter{d.w}).begin(kind, head)
	}
}

func (d *dumper) section(name string) {
	if d.out != nil {
		d.out.section(name)
	}
}

// record prints or counts one record. make is called only if it is needed.
func (d *dumper) record(kind string, size int, make func() value) error {
	if d.records++; d.records%4096 == 0 && d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	if d.out != nil {
		d.out.record(kind, make())
		return nil
	}
	d.count(kind, size)
	return nil
}

func (d *dumper) count(kind string, size int) {
	s := d.stats[kind]
	if s == nil {
		s = new(stat)
		d.stats[kind] = s
	}
	s.count++
	s.bytes += int64(size)
}

// end prints what was counted, most frequent first.
func (d *dumper) end(good string) {
	switch {
	case d.out != nil:
		d.out.end()
	case d.silent:
		fmt.Fprintf(d.w, "%s: %s\n", d.name, good)
	default:
		kinds := make([]string, 0, len(d.stats))
		for k := range d.stats {
			kinds = append(kinds, k)
		}
		slices.SortFunc(kinds, func(a, b string) int {
			return cmp.Or(cmp.Compare(d.stats[b].count, d.stats[a].count), cmp.Compare(a, b))
		})
		for _, k := range kinds {
			s := d.stats[k]
			if s.bytes > 0 {
				fmt.Fprintf(d.w, "%12d %-20s %d bytes\n", s.count, k, s.bytes)
			} else {
				fmt.Fprintf(d.w, "%12d %s\n", s.count, k)
			}
		}
	}
}

// image walks through an image, section by section.
func (d *dumper) image() error {
	img, err := fsimage.Open(vfs.OS(), d.dir, d.name, nil)
	if err != nil {
		return err
	}
	defer img.Close()
	info := img.Info()
	head := clusterValue(info.Cluster)
	head.add("TxID", info.TxID)
	head.add("Digest", info.Digest)
	var sections value
	sections.kind = list
	for _, name := range img.Sections() {
		chunks, stored, raw := img.SectionSize(name)
		var s value
		s.add("Name", name)
		s.add("Chunks", chunks)
		s.add("Stored", stored)
		s.add("Raw", raw)
		sections.values = append(sections.values, s)
	}
	head.addValue("Sections", sections)
	d.begin("image", head)
	for _, name := range img.Sections() {
		d.section(name)
		err := img.Chunks(name, func(chunk []byte) error {
			return namespace.DecodeSection(name, chunk, func(rec any) error {
				if group, ok := rec.(*namespace.ParityGroupRecord); ok {
					if err := d.group(group); err != nil {
						return err
					}
				}
				return d.record(kindOf(rec, name), 0, func() value { return valueOf(reflect.ValueOf(rec)) })
			})
		})
		if err != nil {
			return fmt.Errorf("%s, section %s: %w", d.name, name, err)
		}
	}
	d.end(fmt.Sprintf("good image of transaction %d, %d records in %d sections", info.TxID, d.records, len(img.Sections())))
	return nil
}

// group counts the members of a parity group, and checks that the recorded checksum of the
// parity is the one that follows from theirs.
func (d *dumper) group(g *namespace.ParityGroupRecord) error {
	if d.out != nil {
		return nil
	}
	var sums []raid.Sum
	for i := range g.Members {
		m := &g.Members[i]
		sums = append(sums, raid.Sum{CRC: m.CRC, Length: m.Block.Length})
		kind := "member"
		if m.Departed {
			kind = "member, departed"
		}
		d.count(kind, 0)
	}
	if want := raid.ParityCRC(sums...); d.silent && (want.CRC != g.CRC || want.Length != g.Parity.Length) {
		return dfs.Errorf(dfs.Corrupt, "parity %s of %d bytes has checksum %08x, from its members follow %d bytes and %08x",
			g.Parity, g.Parity.Length, g.CRC, want.Length, want.CRC)
	}
	return nil
}

func clusterValue(c dfs.ClusterInfo) (v value) {
	v.add("ClusterID", c.ClusterID)
	v.add("PoolID", c.PoolID)
	v.add("NamespaceID", c.NamespaceID)
	v.add("CTime", c.CTime)
	return v
}

// kindOf names a record by its Go type, or by its section where it is only a string.
func kindOf(rec any, section string) string {
	t := reflect.TypeOf(rec)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == "" {
		return section
	}
	return strings.TrimSuffix(t.Name(), "Record")
}

// Layout of a block meta file, as HDFS has it: version and bytes per checksum are
// big-endian, then comes one checksum for each chunk of the block.
const metaHeader = 7

// meta walks through a block's checksums, and compares them with the block if its file
// lies beside.
func (d *dumper) meta() error {
	b, err := vfs.ReadFile(vfs.OS(), filepath.Join(d.dir, d.name), 1<<30)
	if err != nil {
		return err
	}
	if len(b) < metaHeader {
		return dfs.Errorf(dfs.Corrupt, "%s: ends after %d bytes, inside its header", d.name, len(b))
	}
	version, kind, chunk := binary.BigEndian.Uint16(b), b[2], binary.BigEndian.Uint32(b[3:])
	tables := map[uint8]*crc32.Table{1: crc32.IEEETable, 2: crc32.MakeTable(crc32.Castagnoli)}
	switch {
	case version != 1:
		return dfs.Errorf(dfs.IncorrectVersion, "%s: unsupported version %d", d.name, version)
	case tables[kind] == nil || chunk == 0 || chunk > 1<<20:
		return dfs.Errorf(dfs.Corrupt, "%s: checksum type %d over %d bytes can't be", d.name, kind, chunk)
	case (len(b)-metaHeader)%4 != 0:
		return dfs.Errorf(dfs.Corrupt, "%s: ends inside a checksum, at offset %d", d.name, len(b)-(len(b)-metaHeader)%4)
	}
	var head value
	head.add("Version", version)
	head.add("Type", map[uint8]string{1: "CRC32", 2: "CRC32C"}[kind])
	head.add("BytesPerChecksum", chunk)
	head.add("Checksums", (len(b)-metaHeader)/4)
	d.begin("meta", head)
	d.section("checksums")
	for i, off := 0, metaHeader; off < len(b); i, off = i+1, off+4 {
		if err := d.record("sum", 4, func() (v value) {
			v.add("Offset", int64(i)*int64(chunk))
			v.add("CRC", fmt.Sprintf("%08x", binary.BigEndian.Uint32(b[off:])))
			return v
		}); err != nil {
			return err
		}
	}
	note, err := d.compare(b[metaHeader:], int(chunk), tables[kind])
	if err != nil {
		return err
	}
	d.end(fmt.Sprintf("%d checksums, %s", (len(b)-metaHeader)/4, note))
	return nil
}

// compare checks the block file beside a meta file against the checksums.
func (d *dumper) compare(sums []byte, chunk int, table *crc32.Table) (string, error) {
	name, _, found := strings.Cut(strings.TrimPrefix(d.name, "blk_"), "_")
	file, err := os.Open(filepath.Join(d.dir, "blk_"+name))
	if !found || errors.Is(err, os.ErrNotExist) {
		return "no block file beside it to compare with", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<20)
	b := make([]byte, chunk)
	for i := int64(0); ; i++ {
		n, err := io.ReadFull(r, b)
		if n == 0 && err == io.EOF && len(sums) == 0 {
			return "all as the block file has them", nil
		}
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return "", err
		}
		if n == 0 || len(sums) < 4 {
			return "", dfs.Errorf(dfs.Corrupt, "%s: block file and checksums have different lengths, from offset %d of the block on", d.name, i*int64(chunk))
		}
		if crc32.Checksum(b[:n], table) != binary.BigEndian.Uint32(sums) {
			return "", dfs.Errorf(dfs.Corrupt, "%s: checksum error in the block file at offset %d", d.name, i*int64(chunk))
		}
		sums = sums[4:]
	}
}
