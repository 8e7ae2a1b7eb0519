package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is a record of a file taken apart: a literal, a list, or named fields in order.
type value struct {
	kind   valueKind
	text   string // literals and strings
	names  []string
	values []value // of fields, or the list's
}

type valueKind uint8

const (
	literal valueKind = iota // number or boolean
	quoted                   // string
	list
	fields
)

func (v *value) add(name string, x any) { v.addValue(name, valueOf(reflect.ValueOf(x))) }

func (v *value) addValue(name string, x value) {
	v.kind = fields
	v.names = append(v.names, name)
	v.values = append(v.values, x)
}

// valueOf takes anything apart. Bytes become hexadecimal strings; embedded structs
// become fields of their own; what a zero CallID or so looks like is left to the reader.
func valueOf(r reflect.Value) value {
	switch r.Kind() {
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return value{kind: literal, text: "null"}
		}
		return valueOf(r.Elem())
	case reflect.String:
		return value{kind: quoted, text: r.String()}
	case reflect.Slice, reflect.Array:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, r.Len())
			reflect.Copy(reflect.ValueOf(b), r)
			return value{kind: quoted, text: hex.EncodeToString(b)}
		}
		v := value{kind: list}
		for i := range r.Len() {
			v.values = append(v.values, valueOf(r.Index(i)))
		}
		return v
	case reflect.Struct:
		v := value{kind: fields}
		for i := range r.NumField() {
			f := r.Type().Field(i)
			switch x := r.Field(i); {
			case !f.IsExported():
			case f.Anonymous && f.Type.Kind() == reflect.Struct:
				inner := valueOf(x)
				v.names = append(v.names, inner.names...)
				v.values = append(v.values, inner.values...)
			default:
				v.addValue(f.Name, valueOf(x))
			}
		}
		return v
	case reflect.Bool:
		return value{text: strconv.FormatBool(r.Bool())}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return value{text: strconv.FormatInt(r.Int(), 10)}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return value{text: strconv.FormatUint(r.Uint(), 10)}
	}
	return value{kind: quoted, text: fmt.Sprint(r.Interface())}
}

// printer writes a document: a head, then sections of records. It streams, so that the
// size of the file doesn't matter. Write errors stay in the bufio.Writer until its Flush.
type printer interface {
	begin(kind string, head value)
	section(name string)
	record(kind string, v value)
	end()
}

// newPrinter gives the printer for a processor's name, nil if there is none.
func newPrinter(processor string, w *bufio.Writer) printer {
	switch strings.ToLower(processor) {
	case "text":
		return &textPrinter{w: w}
	case "json":
		return &jsonPrinter{w: w}
	case "xml":
		return &xmlPrinter{w: w}
	}
	return nil
}

type textPrinter struct{ w *bufio.Writer }

func (p *textPrinter) begin(kind string, head value) { p.record(kind, head) }
func (p *textPrinter) section(name string)           { fmt.Fprintf(p.w, "[%s]\n", name) }
func (p *textPrinter) end()                          {}

func (p *textPrinter) record(kind string, v value) {
	p.w.WriteString(kind)
	for i, name := range v.names {
		p.w.WriteString(" " + name + "=")
		p.value(v.values[i])
	}
	if v.kind != fields {
		p.w.WriteByte(' ')
		p.value(v)
	}
	p.w.WriteByte('\n')
}

func (p *textPrinter) value(v value) {
	switch v.kind {
	case literal:
		p.w.WriteString(v.text)
	case quoted:
		p.w.WriteString(strconv.Quote(v.text))
	case list:
		p.w.WriteByte('[')
		for i, x := range v.values {
			if i > 0 {
				p.w.WriteByte(' ')
			}
			p.value(x)
		}
		p.w.WriteByte(']')
	case fields:
		p.w.WriteByte('{')
		for i, x := range v.values {
			if i > 0 {
				p.w.WriteByte(' ')
			}
			p.w.WriteString(v.names[i] + "=")
			p.value(x)
		}
		p.w.WriteByte('}')
	}
}

type jsonPrinter struct {
	w                 *bufio.Writer
	sections, records int
}

func (p *jsonPrinter) begin(kind string, head value) {
	p.w.WriteString("{\"kind\":")
	p.string(kind)
	p.w.WriteString(",\"head\":")
	p.value(head)
	p.w.WriteString(",\"sections\":[")
}

func (p *jsonPrinter) section(name string) {
	if p.sections > 0 {
		p.w.WriteString("\n]},")
	}
	p.sections++
	p.records = 0
	p.w.WriteString("\n{\"name\":")
	p.string(name)
	p.w.WriteString(",\"records\":[")
}

func (p *jsonPrinter) record(kind string, v value) {
	if p.records > 0 {
		p.w.WriteByte(',')
	}
	p.records++
	p.w.WriteString("\n{\"kind\":")
	p.string(kind)
	p.w.WriteString(",\"data\":")
	p.value(v)
	p.w.WriteByte('}')
}

func (p *jsonPrinter) end() {
	if p.sections > 0 {
		p.w.WriteString("\n]}")
	}
	p.w.WriteString("\n]}\n")
}

func (p *jsonPrinter) string(s string) {
	b, _ := json.Marshal(s) // a string always can be
	p.w.Write(b)
}

func (p *jsonPrinter) value(v value) {
	switch v.kind {
	case literal:
		p.w.WriteString(v.text)
	case quoted:
		p.string(v.text)
	default:
		open, shut := byte('['), byte(']')
		if v.kind == fields {
			open, shut = '{', '}'
		}
		p.w.WriteByte(open)
		for i, x := range v.values {
			if i > 0 {
				p.w.WriteByte(',')
			}
			if v.kind == fields {
				p.string(v.names[i])
				p.w.WriteByte(':')
			}
			p.value(x)
		}
		p.w.WriteByte(shut)
	}
}

type xmlPrinter struct {
	w        *bufio.Writer
	kind     string
	sections int
}

func (p *xmlPrinter) begin(kind string, head value) {
	p.kind = kind
	p.w.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<" + kind + ">\n")
	p.record("head", head)
}

func (p *xmlPrinter) section(name string) {
	if p.sections > 0 {
		p.w.WriteString("</section>\n")
	}
	p.sections++
	p.w.WriteString("<section name=\"")
	p.text(name)
	p.w.WriteString("\">\n")
}

func (p *xmlPrinter) record(kind string, v value) {
	p.element(kind, v)
	p.w.WriteByte('\n')
}

func (p *xmlPrinter) end() {
	if p.sections > 0 {
		p.w.WriteString("</section>\n")
	}
	p.w.WriteString("</" + p.kind + ">\n")
}

func (p *xmlPrinter) element(name string, v value) {
	p.w.WriteString("<" + name + ">")
	switch v.kind {
	case literal:
		p.w.WriteString(v.text)
	case quoted:
		p.text(v.text)
	case list:
		for _, x := range v.values {
			p.element("item", x)
		}
	case fields:
		for i, x := range v.values {
			p.element(v.names[i], x)
		}
	}
	p.w.WriteString("</" + name + ">")
}

// text escapes s. XML has no way to write most control characters: they are quoted as
// Go does.
func (p *xmlPrinter) text(s string) {
	for _, r := range s {
		if r < ' ' || r == utf8.RuneError {
			s = strings.Trim(strconv.QuoteToASCII(s), `"`)
			break
		}
	}
	_ = xml.EscapeText(p.w, []byte(s)) // errors stay in w
}
