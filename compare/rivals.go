package compare

// A Match is the samplers of a paper, and those that one would take instead.
type Match struct{ Own, Rivals []string }

// matches are the papers whose samplers can be compared, by slug.
var matches = map[string]Match{
	"bdia":          {[]string{"bdia-ddim", "bdia-ddim-half", "bdia-edm"}, []string{"ddim", "edm", "dpmpp-2m"}},
	"deis":          {[]string{"deis-tab3", "deis-rhoab3", "ipndm"}, []string{"ddim", "pndm", "dpmpp-2m", "unipc"}},
	"dpm-solver":    {[]string{"dpm-fast-3", "dpm-fast-2", "dpm-2m"}, []string{"ddim", "pndm", "dpmpp-2m"}},
	"dpm-solver-pp": {[]string{"dpmpp-2m", "dpmpp-2s", "dpmpp-3m-corrected"}, []string{"ddim", "deis-tab3", "dpm-fast-3", "unipc"}},
	"dpm-solver-v3": {[]string{"v3"}, []string{"ddim", "dpmpp-2m", "dpmpp-3m-corrected", "unipc"}},
	"ghvb":          {[]string{"ghvb", "plms-hb", "dpmpp-2m-hb"}, []string{"plms", "dpmpp-2m", "unipc"}},
	"pndm":          {[]string{"pndm", "s-pndm", "plms"}, []string{"ddim", "deis-tab3", "dpmpp-2m"}},
}

// MatchOf is the match of a paper's samplers, if they can be compared.
func MatchOf(slug string) (Match, bool) {
	m, ok := matches[slug]
	return m, ok
}
