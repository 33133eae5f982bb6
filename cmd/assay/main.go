// Command assay finds out by trial what the methods of papers are worth: it
// runs them against their rivals, draws quality over cost, and says whether the
// paper's claim holds.
//
// Results go to standard output, progress and errors to standard error. The
// exit status is 0 when the work was done, whatever the verdict; 1 when it
// failed; 2 when the command was not understood; 130 when it was stopped by
// Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func main() {
	c := newConsole(os.Stdout, os.Stderr)
	os.Exit(c.main(context.Background(), os.Args))
}

// Exit statuses.
const (
	statusDone    = 0
	statusFailed  = 1
	statusUsage   = 2
	statusStopped = 130 // as shells give it for a command ended by Ctrl-C
)

// main runs the command line argv and gives the exit status.
func (c *console) main(ctx context.Context, argv []string) int {
	c.program, c.commandLine = shellQuote(argv[0]), shellLine(argv)
	ctx, stop := c.watchInterrupt(ctx)
	defer stop()
	root := c.rootCommand()
	root.SetArgs(argv[1:])
	root.SetOut(c.out)
	root.SetErr(c.err)
	return c.report(ctx, root.ExecuteContext(ctx))
}

// report prints an error as a user should see it, and gives the exit status.
func (c *console) report(ctx context.Context, err error) int {
	c.clearBar()
	var usage *usageError
	switch {
	case err == nil:
		return statusDone
	case errors.Is(context.Cause(ctx), errInterrupted):
		c.sayStopped()
		return statusStopped
	case errors.As(err, &usage):
		fmt.Fprintln(c.err, "assay:", usage.message)
		if usage.hint != "" {
			fmt.Fprintln(c.err, usage.hint)
		}
		return statusUsage
	case errors.Is(err, errReported):
		return statusFailed
	}
	fmt.Fprintln(c.err, "assay:", err)
	return statusFailed
}

// A usageError is a command line that means nothing.
type usageError struct {
	message string
	hint    string // what to type instead; "" for none
}

func (e *usageError) Error() string { return e.message }

func usagef(hint, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), hint}
}

// errReported is a failure that has been printed where the results are.
var errReported = errors.New("failed")

func (c *console) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "assay",
		Short: "Find out by trial what the methods of papers are worth",
		Long: `assay runs the methods of papers against their rivals on one problem, draws
quality over cost, and says whether the paper's claim holds.`,
		Example: `  assay papers diffusion            which papers are about diffusion?
  assay show dpm-solver-pp          what does one claim, and how?
  assay run dpm-solver-pp           does the claim hold?
  assay sample --out digits.png     draw pictures from a diffusion model`,
		Args:          rootArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(seeHelp(cmd), "%v", err)
	})
	cobra.EnableCommandSorting = false
	root.SetUsageFunc(c.usage)
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Papers", []*cobra.Command{c.papersCommand(), c.showCommand(), c.verifyCommand()}},
		{"Experiments", []*cobra.Command{c.runCommand(), c.serveCommand(), c.runsCommand(), c.exportCommand(), c.workerCommand()}},
		{"Models", []*cobra.Command{c.sampleCommand(), c.restoreCommand(), c.editCommand(), c.compareCommand(), c.guideCommand(), c.stabilityCommand(), c.searchCommand(), c.statisticsCommand(), c.trainCommand(), c.quantizeCommand()}},
		{"Data", []*cobra.Command{c.fitCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(c.doctorCommand(), c.versionCommand(), c.jobCommand())
	root.InitDefaultCompletionCmd()
	return root
}

// rootArgs refuses an unknown verb and names the nearest ones.
func rootArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := "See: assay --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "Did you mean: " + strings.Join(near, ", ") + "?"
	}
	return usagef(hint, "unknown command %q", args[0])
}

func seeHelp(cmd *cobra.Command) string { return "See: " + cmd.CommandPath() + " --help" }

// takes checks the number of arguments; what names them in the error.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef(seeHelp(cmd), "%s needs %s", cmd.CommandPath(), what)
		case most >= 0 && len(args) > most:
			if most == 0 {
				return usagef(seeHelp(cmd), "%s takes no arguments: got %q", cmd.CommandPath(), args[0])
			}
			return usagef(seeHelp(cmd), "%s takes only %s: got %q too", cmd.CommandPath(), what, args[most])
		}
		return nil
	}
}
