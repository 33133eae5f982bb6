package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/assay-lab/assay/diffusion"
)

// timeShiftFlags are what the user asked of the time-shift sampler.
type timeShiftFlags struct {
	window, cutoff int
	dataVar        float64
	coupling       string
}

const timeShiftPrefix = "time-shift-"

func (f *timeShiftFlags) add(flags *pflag.FlagSet) {
	more := pflag.NewFlagSet("", pflag.ContinueOnError)
	more.SortFlags = false
	more.IntVar(&f.window, timeShiftPrefix+"window", 0, "width of the window in training steps, such as `N` = 60; 0: off")
	more.IntVar(&f.cutoff, timeShiftPrefix+"cutoff", 0, "not at and below training step `N`, such as 300")
	more.Float64Var(&f.dataVar, timeShiftPrefix+"data-var", 0, "`VARIANCE` of the data, such as 0.4 for digits")
	more.StringVar(&f.coupling, timeShiftPrefix+"coupling", diffusion.ShiftSource.String(), "`PART` that is shifted: source, target, current, network or state")
	group(flags, more, "Against drift: take the time that fits the noise of a state (ts-dpm)")
}

// check refuses what has no meaning.
func (f *timeShiftFlags) check(flags *pflag.FlagSet) error {
	coupling, err := diffusion.ParseShiftCoupling(f.coupling)
	switch {
	case err != nil:
		return usagef("", "--%scoupling %s: must be source, target, current, network or state", timeShiftPrefix, f.coupling)
	case f.window < 0:
		return usagef("", "--%swindow %d: must not be negative", timeShiftPrefix, f.window)
	case f.cutoff < 0:
		return usagef("", "--%scutoff %d: must not be negative", timeShiftPrefix, f.cutoff)
	case f.window > 0 || coupling == diffusion.ShiftState:
		return nil
	}
	var alone string
	flags.Visit(func(fl *pflag.Flag) {
		if strings.HasPrefix(fl.Name, timeShiftPrefix) && fl.Name != timeShiftPrefix+"window" {
			alone = fl.Name
		}
	})
	if alone != "" {
		return usagef("", "--%s has no effect without --%swindow", alone, timeShiftPrefix)
	}
	return nil
}

// apply corrects the method of a drawing.
func (f *timeShiftFlags) apply(d *drawing) {
	coupling, err := diffusion.ParseShiftCoupling(f.coupling)
	if err != nil || f.window == 0 && coupling != diffusion.ShiftState { // f.check has seen to errors
		return
	}
	d.method = diffusion.TimeShift{Host: d.method, Coupling: coupling, Window: f.window, Cutoff: f.cutoff, DataVar: f.dataVar}
	d.name += " with time shift"
}
