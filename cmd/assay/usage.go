package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groupKey annotates a flag with the heading that it is listed under.
const groupKey = "assay.group"

// group lists the flags of more under a heading of their own.
func group(flags, more *pflag.FlagSet, heading string) {
	more.VisitAll(func(f *pflag.Flag) {
		flags.AddFlag(f)
		flags.SetAnnotation(f.Name, groupKey, []string{heading})
	})
}

// usage prints what can be typed, no wider than 80 columns.
func (c *console) usage(cmd *cobra.Command) error {
	var b strings.Builder
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	} else {
		fmt.Fprintf(&b, "Usage:\n  %s COMMAND\n", cmd.CommandPath())
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, g := range cmd.Groups() {
		fmt.Fprintf(&b, "\n%s:\n", g.Title)
		listCommands(&b, cmd, g.ID)
	}
	if slices.ContainsFunc(cmd.Commands(), func(sub *cobra.Command) bool { return sub.GroupID == "" && sub.IsAvailableCommand() }) {
		b.WriteString("\nOther:\n")
		listCommands(&b, cmd, "")
	}
	for _, set := range flagGroups(cmd.LocalFlags()) {
		fmt.Fprintf(&b, "\n%s:\n%s", set.Name(), set.FlagUsagesWrapped(80))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore: %s COMMAND --help\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

func listCommands(b *strings.Builder, cmd *cobra.Command, id string) {
	for _, sub := range cmd.Commands() {
		if sub.GroupID == id && (sub.IsAvailableCommand() || sub.Name() == "help") {
			fmt.Fprintf(b, "  %-11s %s\n", sub.Name(), sub.Short)
		}
	}
}

// flagGroups sorts flags by their headings.
func flagGroups(flags *pflag.FlagSet) []*pflag.FlagSet {
	var sets []*pflag.FlagSet
	flags.VisitAll(func(f *pflag.Flag) {
		heading := "Flags"
		if g := f.Annotations[groupKey]; len(g) > 0 {
			heading = g[0]
		}
		i := slices.IndexFunc(sets, func(s *pflag.FlagSet) bool { return s.Name() == heading })
		if i < 0 {
			i = len(sets)
			s := pflag.NewFlagSet(heading, pflag.ContinueOnError)
			s.SortFlags = false
			sets = append(sets, s)
		}
		sets[i].AddFlag(f)
	})
	return sets
}
