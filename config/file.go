// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"dovesnap/spec"

	"go.yaml.in/yaml/v3"
)

// parseFile reads the YAML of a configuration file. It walks the tree of nodes
// rather than decoding into a struct: only the nodes know their lines, and
// strict decoding names an unknown key but not the one that was meant.
func parseFile(file string, text []byte) ([]given, []error) {
	p := parser{file: file, seen: map[string]int{}}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing but comments
		return nil, nil
	case err != nil:
		return nil, []error{fmt.Errorf("cannot parse file %q: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, []error{fmt.Errorf("cannot parse file %q: more than one document", file)}
	}
	p.mapping("", doc.Content[0])
	return p.out, p.errs
}

type parser struct {
	file string
	seen map[string]int // key: its line
	out  []given
	errs []error
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s line %d: %s", p.file, n.Line, fmt.Sprintf(format, args...)))
}

// mapping reads the keys below a section; the outermost has no name.
func (p *parser) mapping(section string, n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s is not a mapping of keys to values", orFile(section))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := name.Value
		if section != "" {
			key = section + "." + key
		}
		if line, ok := p.seen[key]; ok {
			p.fail(name, "%s is also on line %d", key, line)
			continue
		}
		p.seen[key] = name.Line
		s, isSetting := lookup(key)
		switch {
		case isSetting:
			p.value(s, value)
		case isSection(key):
			p.mapping(key, value)
		default:
			p.fail(name, "unknown key %s%s", key, spec.DidYouMean(spec.Near(key, keys())))
		}
	}
}

func (p *parser) value(s setting, n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	text := n.Value
	switch {
	case n.Kind == yaml.SequenceNode && s.list:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				p.fail(item, "%s: an item is not a plain value", s.key)
				return
			}
			items = append(items, item.Value)
		}
		text = strings.Join(items, ",")
	case n.Kind != yaml.ScalarNode:
		p.fail(n, "%s is not a plain value", s.key)
		return
	}
	p.out = append(p.out, given{s, text, fmt.Sprintf("%s line %d: %s", p.file, n.Line, s.key)})
}

func orFile(section string) string {
	if section == "" {
		return "the file"
	}
	return section
}

func lookup(key string) (setting, bool) {
	for _, s := range settings {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

func isSection(key string) bool {
	for _, s := range settings {
		if strings.HasPrefix(s.key, key+".") {
			return true
		}
	}
	return false
}

func keys() []string {
	var out []string
	for _, s := range settings {
		out = append(out, s.key)
	}
	return out
}
