package hadoopconf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// Bounds on a configuration file, so that a hostile one costs little.
const (
	maxFileSize = 16 << 20 // bytes
	maxDepth    = 32       // nested elements
	maxIncludes = 100      // included files, of all levels
	maxNesting  = 10       // files that include files
)

// property is one <property> of a file.
type property struct {
	name string
	setting
}

// parser reads one site file and what it includes.
type parser struct {
	read     func(name string) ([]byte, error)
	includes int
	included bool // the error is about an included file
}

// parse gives the properties of a file in order. The error names the file and line.
func (p *parser) parse(file string, nesting int) ([]property, error) {
	data, err := p.read(file)
	if err != nil {
		p.included = nesting > 0
		return nil, fmt.Errorf("hadoopconf: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("hadoopconf: %s: larger than %d bytes", file, maxFileSize)
	}
	d := document{parser: p, file: file, nesting: nesting, dec: xml.NewDecoder(bytes.NewReader(data))}
	d.dec.CharsetReader = charset
	if err := d.root(); err != nil {
		var include *includeError
		if errors.As(err, &include) {
			return nil, err
		}
		line, _ := d.dec.InputPos()
		return nil, fmt.Errorf("hadoopconf: %s:%d: %w", file, line, err)
	}
	return d.props, nil
}

// includeError keeps an error of an included file from getting the outer file's line.
type includeError struct{ err error }

func (e *includeError) Error() string { return e.err.Error() }
func (e *includeError) Unwrap() error { return e.err }

// charset knows the encodings that need no table.
func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1":
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
		}
		return strings.NewReader(string(runes)), nil
	}
	return nil, fmt.Errorf("encoding %q is not supported: use UTF-8", label)
}

// document is one file being read.
type document struct {
	*parser
	file    string
	nesting int
	dec     *xml.Decoder
	depth   int
	props   []property
}

// next gives the next start element, nil at the end of the enclosing one or of the file.
// Text before it goes to text, if that is not nil.
func (d *document) next(text *strings.Builder) (*xml.StartElement, error) {
	for {
		token, err := d.dec.Token()
		if err == io.EOF && d.depth == 0 {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if d.depth++; d.depth > maxDepth {
				return nil, fmt.Errorf("more than %d nested elements", maxDepth)
			}
			return &t, nil
		case xml.EndElement:
			d.depth--
			return nil, nil
		case xml.CharData:
			if text != nil {
				text.Write(t)
			}
		}
	}
}

func (d *document) root() error {
	e, err := d.next(nil)
	if err != nil {
		return err
	}
	if e == nil || e.Name.Local != "configuration" {
		return errors.New("the root element must be <configuration>")
	}
	if err := d.configuration(); err != nil {
		return err
	}
	if e, err = d.next(nil); err == nil && e != nil {
		err = errors.New("something follows </configuration>")
	}
	return err
}

// configuration reads the inside of <configuration> and of <fallback>.
func (d *document) configuration() error {
	for {
		e, err := d.next(nil)
		if e == nil || err != nil {
			return err
		}
		switch e.Name.Local {
		case "property":
			err = d.property(e)
		case "configuration":
			err = d.configuration()
		case "include":
			err = d.include(e)
		default:
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
}

// skip reads up to the end of the element that has just begun.
func (d *document) skip() error {
	for level := 1; level > 0; {
		e, err := d.next(nil)
		if err != nil {
			return err
		}
		if e != nil {
			level++
		} else {
			level--
		}
	}
	return nil
}

// property reads name, value and final as attributes or as elements. One without a name
// or value counts for nothing.
func (d *document) property(start *xml.StartElement) error {
	line, _ := d.dec.InputPos()
	p := property{setting: setting{file: d.file, line: line}}
	hasValue := false
	set := func(field, text string) {
		switch field {
		case "name":
			p.name = strings.TrimSpace(text)
		case "value":
			p.raw, hasValue = text, true
		case "final":
			p.final = strings.TrimSpace(text) == "true"
		}
	}
	for _, a := range start.Attr {
		set(a.Name.Local, a.Value)
	}
	for {
		e, err := d.next(nil)
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		text, err := d.text()
		if err != nil {
			return err
		}
		set(e.Name.Local, text)
	}
	if p.name != "" && hasValue {
		d.props = append(d.props, p)
	}
	return nil
}

// text reads an element's text; elements inside count for nothing.
func (d *document) text() (string, error) {
	var b strings.Builder
	for {
		e, err := d.next(&b)
		if err != nil {
			return "", err
		}
		if e == nil {
			return b.String(), nil
		}
		if err := d.skip(); err != nil {
			return "", err
		}
	}
}

// include reads <xi:include href="FILE"><xi:fallback>...</xi:fallback></xi:include>. A
// file that is missing needs a fallback; the fallback is skipped otherwise.
func (d *document) include(start *xml.StartElement) error {
	href := ""
	for _, a := range start.Attr {
		if a.Name.Local == "href" {
			href = strings.TrimPrefix(a.Value, "file://")
		}
	}
	if href == "" {
		return errors.New("an include without href")
	}
	if !filepath.IsAbs(href) {
		href = path.Join(path.Dir(d.file), href)
	}
	if d.includes++; d.includes > maxIncludes || d.nesting >= maxNesting {
		return fmt.Errorf("more than %d included files or %d levels of them", maxIncludes, maxNesting)
	}
	props, missing := d.parser.parse(href, d.nesting+1)
	if missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return &includeError{missing}
	}
	d.props = append(d.props, props...)
	for {
		e, err := d.next(nil)
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		if e.Name.Local == "fallback" && missing != nil {
			missing = nil
			err = d.configuration()
		} else {
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
	if missing != nil {
		return &includeError{missing}
	}
	return nil
}
