// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteOptionsMarkdown writes docs/options.md.
func WriteOptionsMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(optionsHead)
	b.WriteString("## Options\n\n")
	optionRows(&b)
	b.WriteString(keysHead)
	keyRows(&b)
	b.WriteString(exprHelp)
	b.WriteString(examplesHead)
	examples(&b)
	b.WriteString("\n## Not available yet\n\nKnown and refused, so that a network never silently lacks what was asked for.\n\n")
	laterRows(&b)
	b.WriteString(optionsTail)
	_, err := io.WriteString(w, b.String())
	return err
}

func optionRows(b *strings.Builder) {
	b.WriteString("| Option | Value | Default | Faucet | Meaning |\n|---|---|---|---|---|\n")
	for _, o := range Options {
		if !o.Later {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", o.Name, orDash(o.Syntax), orDash(o.Default), orDash(o.Faucet), o.Help)
		}
	}
}

func keyRows(b *strings.Builder) {
	b.WriteString("| Key | Given as | Value | Example | Faucet | Meaning |\n|---|---|---|---|---|---|\n")
	for _, k := range PortKeys {
		if !k.Later {
			fmt.Fprintf(b, "| `%s` | %s | %s | `%s` | %s | %s |\n", k.Name, k.givenAs(), k.Syntax, k.Example, k.Faucet, k.Help)
		}
	}
}

func laterRows(b *strings.Builder) {
	b.WriteString("| Option, label or driver-opt | Value | Default | Meaning |\n|---|---|---|---|\n")
	for _, o := range Options {
		if o.Later {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Name, o.Syntax, orDash(o.Default), o.Help)
		}
	}
	for _, k := range PortKeys {
		if k.Later {
			fmt.Fprintf(b, "| `%s` | %s | – | %s |\n", k.Name, k.Syntax, k.Help)
		}
	}
}

// examples writes them as code, under comments that a shell passes over.
func examples(b *strings.Builder) {
	made := false
	for _, e := range Examples() {
		if e.Kind != "option" && !made {
			fmt.Fprintf(b, "    # the network of those that follow\n    %s\n", ExampleNetwork)
			made = true
		}
		fmt.Fprintf(b, "    # %s %s\n    %s\n", e.Kind, e.Name, e.Command)
	}
}

func (k PortKey) givenAs() string {
	if k.Label {
		return "label, driver-opt"
	}
	return "driver-opt"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// WriteOptions writes both tables as plain text for a terminal, a line each.
func WriteOptions(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OPTION\tDEFAULT\tVALUE")
	for _, o := range Options {
		fmt.Fprintf(t, "%s\t%s\t%s\n", o.Name, plain(orDash(o.Default)), value(o.Syntax, o.Later))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(t, "\nCONTAINER\tGIVEN AS\tVALUE")
	for _, k := range PortKeys {
		fmt.Fprintf(t, "%s\t%s\t%s\n", k.Name, k.givenAs(), value(k.Syntax, k.Later))
	}
	return t.Flush()
}

// value is what a terminal shows of a syntax.
func value(syntax string, later bool) string {
	switch {
	case later:
		return "not available yet"
	case syntax == "":
		return "refused"
	}
	return plain(syntax)
}

// plain takes Markdown's code quotes off.
func plain(s string) string { return strings.ReplaceAll(s, "`", "") }
