package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Bean is one object of /jmx, named as HDFS names it:
// "Hadoop:service=NameNode,name=FSNamesystemState".
type Bean struct {
	Name  string
	Type  string // the Java class that scripts see as modelerType
	Attrs []Attr // in the order in which they are written
}

// Attr is one attribute: a number, string, bool, or what encoding/json makes of it.
type Attr struct {
	Name  string
	Value any
}

// MarshalJSON keeps the order of the attributes.
func (b Bean) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	attrs := append([]Attr{{"name", b.Name}, {"modelerType", b.Type}}, b.Attrs...)
	for i, a := range attrs {
		key, err := json.Marshal(a.Name)
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		value, err := json.Marshal(a.Value)
		if err != nil {
			return nil, fmt.Errorf("web: attribute %s of %s: %w", a.Name, b.Name, err)
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// beans answers /jmx, /jmx?qry=PATTERN (a bean's name, with * and ?) and
// /jmx?get=NAME::ATTRIBUTE, as Hadoop's servlet does.
func beans(ask func() []Bean) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all := ask()
		reply := struct {
			Beans []Bean `json:"beans"`
		}{Beans: []Bean{}}
		if get := r.URL.Query().Get("get"); get != "" {
			b, err := attribute(all, get)
			if err != nil {
				w.Header().Set("Content-Type", "application/json; charset=utf8")
				w.WriteHeader(http.StatusNotFound)
				_ = json.NewEncoder(w).Encode(map[string]string{"result": "ERROR", "message": err.Error()}) // the client is gone if that fails
				return
			}
			reply.Beans = append(reply.Beans, b)
		} else {
			pattern := r.URL.Query().Get("qry")
			for _, b := range all {
				if pattern == "" || match(pattern, b.Name) {
					reply.Beans = append(reply.Beans, b)
				}
			}
		}
		text, err := json.MarshalIndent(reply, "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		send(w, "application/json; charset=utf8", string(text)+"\n")
	}
}

func attribute(all []Bean, get string) (Bean, error) {
	name, attr, ok := strings.Cut(get, "::")
	if !ok {
		return Bean{}, fmt.Errorf("query format is not as expected: get=%s", get)
	}
	for _, b := range all {
		if b.Name != name {
			continue
		}
		for _, a := range b.Attrs {
			if a.Name == attr {
				return Bean{Name: b.Name, Type: b.Type, Attrs: []Attr{a}}, nil
			}
		}
		return Bean{}, fmt.Errorf("no attribute with name %s was found", attr)
	}
	return Bean{}, fmt.Errorf("no bean with name %s was found", name)
}

// match tells whether a name fits a pattern, in which * is any text and ? any byte. It
// takes time in the product of the lengths at most.
func match(pattern, name string) bool {
	star, back := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			back++
			p, n = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
