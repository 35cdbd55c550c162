// SPDX-License-Identifier: Apache-2.0

package faucet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"dovesnap/whole"
)

const optional = "include-optional"

// Init makes the operator's file include ours, and changes no other byte of it.
// The file is optional, so that Faucet loads without it when dovesnap is gone.
// line is what was added, or where the inclusion is already.
func Init(config, file string) (changed bool, line string, err error) {
	if _, err := readOwn(config, file); err != nil {
		return false, "", err
	}
	r := &reader{config: config, file: file}
	others, _, err := r.read()
	if err != nil {
		return false, "", err
	}
	if chain := others.Chain; chain != nil {
		return false, fmt.Sprintf("%s includes %s already", chain[len(chain)-1], file), nil
	}
	name := file
	if filepath.Dir(realpath(file)) == filepath.Dir(realpath(config)) {
		name = filepath.Base(realpath(file))
	}
	target := realpath(config)
	if err := whole.Sweep(target); err != nil {
		return false, "", err
	}
	info, err := os.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		text, line := addInclude(nil, nil, name)
		return true, line, whole.Write(target, text, 0o644, nil)
	}
	if err != nil {
		return false, "", fmt.Errorf("cannot read Faucet's configuration %q: %w", config, whole.Cause(err))
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return false, "", fmt.Errorf("cannot read Faucet's configuration %q: %w", config, whole.Cause(err))
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return false, "", fmt.Errorf("cannot read Faucet's configuration %q: %s", config, oneLine(err.Error()))
	}
	edited, line := addInclude(text, &doc, name)
	if edited == nil || !includes(edited, name) {
		return false, "", fmt.Errorf("cannot add an include to %q: it is not written in YAML's block style; add %s: [%s] to it yourself", config, optional, name)
	}
	return true, line, whole.Write(target, edited, info.Mode().Perm(), info)
}

// includes makes sure that the edit means what it should.
func includes(text []byte, name string) bool {
	var o operators
	return o.parse(string(text)) == nil && slices.Contains(o.Optional, name)
}

// addInclude returns the text with the file's name in include-optional, and the
// line that is new; nil when the text has no place for it.
func addInclude(text []byte, doc *yaml.Node, name string) ([]byte, string) {
	item := scalar(name)
	if doc != nil && len(doc.Content) > 0 && doc.Content[0].Kind == yaml.MappingNode {
		top := doc.Content[0]
		for i := 0; i+1 < len(top.Content); i += 2 {
			if top.Content[i].Value == optional {
				return addItem(text, top.Content[i], top.Content[i+1], item)
			}
		}
		if top.Style&yaml.FlowStyle != 0 || len(top.Content) > 0 && top.Content[0].Column != 1 {
			return nil, ""
		}
	}
	line := optional + ":\n  - " + item
	// A key that comes after the end of the document would be in another one.
	if end := bytes.LastIndex(text, []byte("\n...")); end >= 0 {
		return insert(text, end+1, line+"\n"), line
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(slices.Clip(text), '\n')
	}
	return append(slices.Clip(text), line+"\n"...), line
}

// addItem adds an item to a list, in the style that the list is in.
func addItem(text []byte, key, list *yaml.Node, item string) ([]byte, string) {
	if list.Kind != yaml.SequenceNode || list.Anchor != "" {
		if list.Tag != "!!null" {
			return nil, ""
		}
		line := "  - " + item
		return insert(text, lineEnd(text, key.Line), line+"\n"), line
	}
	if list.Style&yaml.FlowStyle == 0 {
		last := list.Content[len(list.Content)-1]
		indent := strings.Repeat(" ", list.Column-1)
		line := indent + "- " + item
		if last.Kind != yaml.ScalarNode || strings.Contains(last.Value, "\n") {
			return nil, ""
		}
		return insert(text, lineEnd(text, last.Line), line+"\n"), line
	}
	// [a, b]: the new one comes first, where the position is known.
	at := lineStart(text, list.Line) + list.Column
	if len(list.Content) > 0 {
		item += ", "
	}
	out := insert(text, at, item)
	start := lineStart(out, list.Line)
	return out, strings.TrimRight(string(out[start:lineEnd(out, list.Line)]), "\n")
}

func scalar(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil {
		panic(err) // of a string
	}
	return strings.TrimSpace(string(text))
}

// lineStart returns where line n, counted from 1, begins.
func lineStart(text []byte, n int) int {
	at := 0
	for ; n > 1; n-- {
		i := bytes.IndexByte(text[at:], '\n')
		if i < 0 {
			return len(text)
		}
		at += i + 1
	}
	return at
}

// lineEnd returns where the line after line n begins.
func lineEnd(text []byte, n int) int { return lineStart(text, n+1) }

func insert(text []byte, at int, s string) []byte {
	if at == len(text) && at > 0 && text[at-1] != '\n' {
		s = "\n" + s
	}
	return slices.Insert(slices.Clone(text), at, []byte(s)...)
}
