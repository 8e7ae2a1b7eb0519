package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// avroSchema is one type of an Avro schema. A type may contain itself.
type avroSchema struct {
	kind  string        // "record", "array", "union", "int", ...
	name  string        // full name of a record, enum or fixed
	names []string      // fields, or symbols
	items []*avroSchema // of the fields, the branches, or the one of an array or map
	size  int64         // of a fixed
}

// full is what stands for the type where a union's value is told.
func (s *avroSchema) full() string {
	if s.name != "" {
		return s.name
	}
	return s.kind
}

var avroPrimitive = map[string]bool{"null": true, "boolean": true, "int": true, "long": true, "float": true, "double": true, "bytes": true, "string": true}

// avroParser knows the named types met so far.
type avroParser struct {
	named map[string]*avroSchema
	depth int
}

func parseAvroSchema(text []byte) (*avroSchema, error) {
	p := &avroParser{named: map[string]*avroSchema{}}
	s, err := p.parse(text, "")
	if err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	return s, nil
}

// avroType is a type that is an object.
type avroType struct {
	Type      json.RawMessage `json:"type"`
	Name      string          `json:"name"`
	Namespace *string         `json:"namespace"`
	Fields    []avroField     `json:"fields"`
	Symbols   []string        `json:"symbols"`
	Items     json.RawMessage `json:"items"`
	Values    json.RawMessage `json:"values"`
	Size      int64           `json:"size"`
}

type avroField struct {
	Name string          `json:"name"`
	Type json.RawMessage `json:"type"`
}

// parse reads a type inside a name space.
func (p *avroParser) parse(text json.RawMessage, space string) (*avroSchema, error) {
	if p.depth++; p.depth > avroMaxDepth {
		return nil, errors.New("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	text = json.RawMessage(strings.TrimSpace(string(text)))
	switch {
	case len(text) == 0:
		return nil, errors.New("a type is missing")
	case text[0] == '"':
		var name string
		if err := json.Unmarshal(text, &name); err != nil {
			return nil, err
		}
		return p.reference(name, space)
	case text[0] == '[':
		return p.union(text, space)
	}
	var t avroType
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	var kind string
	if json.Unmarshal(t.Type, &kind) != nil {
		return p.parse(t.Type, space)
	}
	switch kind {
	case "array", "map":
		inner := t.Items
		if kind == "map" {
			inner = t.Values
		}
		item, err := p.parse(inner, space)
		return &avroSchema{kind: kind, items: []*avroSchema{item}}, err
	case "record", "error", "enum", "fixed":
		return p.define(&t, kind, space)
	}
	return p.reference(kind, space)
}

func (p *avroParser) union(text json.RawMessage, space string) (*avroSchema, error) {
	var branches []json.RawMessage
	if err := json.Unmarshal(text, &branches); err != nil {
		return nil, err
	}
	u := &avroSchema{kind: "union"}
	for _, b := range branches {
		s, err := p.parse(b, space)
		if err != nil {
			return nil, err
		}
		u.items = append(u.items, s)
	}
	return u, nil
}

// reference finds a type by its name.
func (p *avroParser) reference(name, space string) (*avroSchema, error) {
	if avroPrimitive[name] {
		return &avroSchema{kind: name}, nil
	}
	if !strings.Contains(name, ".") && space != "" {
		name = space + "." + name
	}
	if s := p.named[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("there is no type %q", name)
}

// define makes a named type. It is known before its fields are read, which may be of it.
func (p *avroParser) define(t *avroType, kind, space string) (*avroSchema, error) {
	if t.Namespace != nil {
		space = *t.Namespace
	}
	full := t.Name
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		space = full[:i]
	} else if space != "" {
		full = space + "." + full
	}
	if t.Name == "" || t.Size < 0 {
		return nil, fmt.Errorf("%s %q has no name or a wrong size", kind, t.Name)
	}
	s := &avroSchema{kind: kind, name: full, names: t.Symbols, size: t.Size}
	p.named[full] = s
	if kind == "enum" || kind == "fixed" {
		return s, nil
	}
	s.kind, s.names = "record", nil
	for _, f := range t.Fields {
		typ, err := p.parse(f.Type, space)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, full, err)
		}
		s.names, s.items = append(s.names, f.Name), append(s.items, typ)
	}
	return s, nil
}
