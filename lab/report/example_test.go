package report_test

import (
	"log"
	"os"

	"github.com/assay-lab/assay/lab"
	"github.com/assay-lab/assay/lab/report"
)

func ExampleWriteTable() {
	point := func(n, q float64) lab.Point {
		return lab.Point{Budget: n, Seeds: []uint64{1}, Cost: []float64{n}, Quality: []float64{q}}
	}
	c := lab.Curves{
		Cost: lab.Axis{Name: "NFE"}, Quality: lab.Axis{Name: "error"},
		Curves: []lab.Curve{
			{Method: "DDIM", Points: []lab.Point{point(10, 0.157), point(20, 0.0932)}},
			{Method: "2M", Points: []lab.Point{point(10, 0.068), point(20, 0.017)}},
		},
	}
	if err := report.WriteTable(os.Stdout, c, report.Terminal{}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// error by NFE
	//             10       20
	//   DDIM   0.157   0.0932
	//   2M    0.0680*  0.0170*
}
