package papers

import (
	"strings"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/conform"
	adjointdpm "github.com/assay-lab/assay/papers/adjoint-dpm"
	"github.com/assay-lab/assay/papers/bdia"
	dcsolver "github.com/assay-lab/assay/papers/dc-solver"
	"github.com/assay-lab/assay/papers/deis"
	"github.com/assay-lab/assay/papers/dmcmc"
	dpmsolver "github.com/assay-lab/assay/papers/dpm-solver"
	dpmsolverpp "github.com/assay-lab/assay/papers/dpm-solver-pp"
	dpmsolverv3 "github.com/assay-lab/assay/papers/dpm-solver-v3"
	mixture "github.com/assay-lab/assay/papers/fixture-gaussian-mixture"
	"github.com/assay-lab/assay/papers/ghvb"
	logbessel "github.com/assay-lab/assay/papers/log-bessel"
	"github.com/assay-lab/assay/papers/mixllm"
	"github.com/assay-lab/assay/papers/mrs"
	"github.com/assay-lab/assay/papers/pndm"
	"github.com/assay-lab/assay/papers/ptq4dm"
	tsdpm "github.com/assay-lab/assay/papers/ts-dpm"
	twopasssoftmax "github.com/assay-lab/assay/papers/two-pass-softmax"
	usfs3 "github.com/assay-lab/assay/papers/usf-s3"
)

// An entry holds what of a paper is built. Its code is in papers/<slug>, in a
// package named like the slug without hyphens.
type entry struct {
	Experiments func() []*lab.Experiment // nil for a name that has only cases
	Cases       conform.Handler
}

// registry maps slugs, and the names of the shared case folders that are no
// papers (fixture-gaussian-mixture, ...), to what is built of them. Whether a
// paper can be run is read from here and nowhere else.
var registry = map[string]entry{
	"bdia":                     {bdia.Experiments, bdia.Case},
	"adjoint-dpm":              {adjointdpm.Experiments, adjointdpm.Case},
	"dc-solver":                {dcsolver.Experiments, dcsolver.Case},
	"deis":                     {deis.Experiments, deis.Case},
	"dmcmc":                    {dmcmc.Experiments, dmcmc.Case},
	"dpm-solver-pp":            {dpmsolverpp.Experiments, dpmsolverpp.Case},
	"dpm-solver":               {dpmsolver.Experiments, dpmsolver.Case},
	"dpm-solver-v3":            {dpmsolverv3.Experiments, dpmsolverv3.Case},
	"fixture-gaussian-mixture": {nil, mixture.Case},
	"ghvb":                     {ghvb.Experiments, ghvb.Case},
	"log-bessel":               {logbessel.Experiments, logbessel.Case},
	"mixllm":                   {mixllm.Experiments, mixllm.Case},
	"mrs":                      {mrs.Experiments, mrs.Case},
	"pndm":                     {pndm.Experiments, pndm.Case},
	"ptq4dm":                   {ptq4dm.Experiments, ptq4dm.Case},
	"ts-dpm":                   {tsdpm.Experiments, tsdpm.Case},
	"two-pass-softmax":         {twopasssoftmax.Experiments, twopasssoftmax.Case},
	"usf-s3":                   {usfs3.Experiments, usfs3.Case},
}

// Experiments lists the experiments of a paper, the main one first; none when it
// is not built or not known.
func Experiments(slug string) []*lab.Experiment {
	if e := registry[slug]; e.Experiments != nil {
		return e.Experiments()
	}
	return nil
}

// Experiment returns the experiment of that full name, "<slug>/<short name>".
func Experiment(name string) (*lab.Experiment, bool) {
	slug, _, ok := strings.Cut(name, "/")
	if !ok {
		return nil, false
	}
	for _, e := range Experiments(slug) {
		if e.Name == name {
			return e, true
		}
	}
	return nil, false
}

// Handler returns what runs the conformance cases of a paper or shared fixture.
func Handler(paper string) (conform.Handler, bool) {
	e, ok := registry[paper]
	return e.Cases, ok && e.Cases != nil
}
