// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// copyright writes Debian's machine-readable copyright file: our own licence,
// and that of every module whose code is linked into the binary, whose licences
// ask that their text goes with it.
func copyright(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOWORK=off")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the linked modules: %w", err)
	}
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(modules)
	modules = slices.DeleteFunc(slices.Compact(modules), func(m string) bool { return m == "" })

	var b bytes.Buffer
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n" +
		"Upstream-Name: dovesnap\n" +
		"Comment: The binary is linked statically. Below the licence of dovesnap itself\n" +
		" are those of the Go modules, and of Go's own library, that are part of it.\n\n" +
		"Files: *\nCopyright: the dovesnap authors\nLicense: Apache-2.0\n")
	goLibrary := ""
	for _, m := range modules {
		path, rest, _ := strings.Cut(m, " ")
		version, dir, _ := strings.Cut(rest, " ")
		stanza, err := moduleStanza(path, version, dir)
		if err != nil {
			return nil, fmt.Errorf("cannot state the licence of module %q: %w", path, err)
		}
		b.WriteString("\n" + stanza)
		if path == "golang.org/x/sys" { // the same people, the same licence
			goLibrary = strings.Replace(stanza, "Files: golang.org/x/sys/*\nComment: "+version, "Files: go/*\nComment: Go's own library and runtime", 1)
		}
	}
	if goLibrary == "" {
		return nil, errors.New("cannot state the licence of Go's library: golang.org/x/sys is not linked")
	}
	b.WriteString("\n" + goLibrary)
	b.WriteString("\nLicense: Apache-2.0\n On Debian systems the text of this licence is in\n /usr/share/common-licenses/Apache-2.0; elsewhere it is in\n" +
		" /usr/share/licenses/dovesnap/LICENSE.\n")
	return b.Bytes(), nil
}

var notice = regexp.MustCompile(`(?mi)^[ \t]*(?:Copyright|\(c\)|©)[ \t].*[0-9]{4}.*$`)

func moduleStanza(path, version, dir string) (string, error) {
	text, err := readFirst(dir, "LICENSE*", "LICENCE*", "COPYING*")
	if err != nil {
		return "", err
	}
	kind, err := licenceOf(text)
	if err != nil {
		return "", err
	}
	holders := notice.FindAllString(text, -1)
	if kind == "Apache-2.0" || len(holders) == 0 { // its text has examples of notices
		holders = []string{"the authors of " + path}
	}
	for i, h := range holders {
		holders[i] = strings.TrimSpace(h)
	}
	comment := version
	if more, err := readFirst(dir, "NOTICE*"); err == nil { // section 4(d)
		comment += "\n" + indent(more)
	}
	stanza := fmt.Sprintf("Files: %s/*\nComment: %s\nCopyright: %s\nLicense: %s\n", path, strings.TrimRight(comment, "\n"), strings.Join(holders, "\n "), kind)
	if kind != "Apache-2.0" {
		stanza += indent(text)
	}
	return stanza, nil
}

// licenceOf names a licence, as SPDX does, by what only that one says. One that
// is not known here must be read by somebody first.
func licenceOf(text string) (string, error) {
	text = strings.Join(strings.Fields(text), " ")
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0", nil
	case has("Mozilla Public License") && has("2.0"):
		return "MPL-2.0", nil
	case has("Redistribution and use in source and binary forms") && (has("Neither the name") || has("may not be used to endorse")):
		return "BSD-3-Clause", nil
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause", nil
	case has("Permission is hereby granted, free of charge"):
		return "MIT", nil
	case has("Permission to use, copy, modify, and/or distribute"):
		return "ISC", nil
	case has("This software is provided 'as-is', without any express or implied warranty"):
		return "Zlib", nil
	}
	return "", errors.New("its licence is not a known one")
}

func readFirst(dir string, patterns ...string) (string, error) {
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			text, err := os.ReadFile(found[0])
			return string(text), err
		}
	}
	return "", fmt.Errorf("no %s", strings.Join(patterns, ", "))
}

// indent makes a continuation of a field: deb822(5).
func indent(text string) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if line = strings.TrimRight(line, " \t\r"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
