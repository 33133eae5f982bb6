package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-lab/assay/compare"
	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/papers"
)

func (c *console) papersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "papers [WORDS...]",
		Short: "List the papers, or search them",
		Long: `papers lists the catalogue. With words it lists the papers in which every word
occurs: in title, methods, topics, authors or summary, the best match first.`,
		Example: `  assay papers                     all of them, field by field
  assay papers diffusion sampler   those about diffusion samplers
  assay papers dpm-solver++ 2m     where is that method?`,
		RunE: func(_ *cobra.Command, words []string) error {
			if len(words) == 0 {
				return papers.List(c.out, papers.All(), c.width, c.color)
			}
			hits := papers.Search(words)
			if len(hits) == 0 {
				c.note("No paper has all of: %s. Fewer words find more; assay papers lists all.", strings.Join(words, " "))
				return nil
			}
			return papers.ListHits(c.out, hits, c.width, c.color)
		},
	}
	cmd.AddCommand(c.syncCommand())
	return cmd
}

func (c *console) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show SLUG",
		Short: "Show a paper: what for, how it works, what it claims, how to run it",
		Example: `  assay show dpm-solver-pp
  assay show dpm-solver-pp | less -R`,
		Args:              takes(1, 1, "a paper: SLUG"),
		ValidArgsFunction: completeSlugs(func(papers.Paper) bool { return true }),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := papers.Find(args[0])
			if err != nil {
				return &usageError{message: err.Error()}
			}
			return papers.Render(c.out, p, c.width, c.color)
		},
	}
}

// findExperiments gives the experiments of "SLUG", or the one of
// "SLUG/EXPERIMENT".
func findExperiments(arg string) ([]*lab.Experiment, error) {
	slug, short, one := strings.Cut(arg, "/")
	all := experimentsOf(slug)
	if len(all) == 0 {
		p, err := papers.Find(slug)
		if err != nil {
			return nil, &usageError{message: err.Error()}
		}
		return nil, usagef("See: assay papers, where what runs is marked; assay show "+slug, "%q is not built yet: %s", slug, p.Title)
	}
	if !one {
		return all, nil
	}
	names := make([]string, len(all))
	for i, e := range all {
		if shortOf(e) == short {
			return []*lab.Experiment{e}, nil
		}
		names[i] = e.Name
	}
	return nil, usagef("There is "+strings.Join(names, ", ")+".", "%s has no experiment %q", slug, short)
}

func experimentsOf(slug string) []*lab.Experiment {
	var own []*lab.Experiment
	for _, e := range append(trials(), compare.Experiments()...) { // of no paper
		if slugOf(e) == slug {
			own = append(own, e)
		}
	}
	return append(own, papers.Experiments(slug)...)
}

// errNotFound is given for an experiment that a stored run names and this
// version no longer has.
var errNotFound = errors.New("this version of assay does not have it")

func experimentNamed(name string) (*lab.Experiment, error) {
	slug, _, _ := strings.Cut(name, "/")
	for _, e := range experimentsOf(slug) {
		if e.Name == name {
			return e, nil
		}
	}
	return nil, errNotFound
}

// completeSlugs completes the slugs of the papers that keep accepts.
func completeSlugs(keep func(papers.Paper) bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var cs []cobra.Completion
		for _, p := range papers.All() {
			if keep(p) {
				cs = append(cs, cobra.CompletionWithDesc(p.Slug, p.Title))
			}
		}
		return cs, cobra.ShellCompDirectiveNoFileComp
	}
}
