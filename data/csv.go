package data

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Table is a CSV file of numbers.
type Table struct {
	Names      []string // of the columns; nil for a file without a header
	Rows, Cols int
	Values     []float64 // [Rows, Cols]; NaN where a value is missing
}

// Row returns row i, sharing memory.
func (t *Table) Row(i int) []float64 {
	return t.Values[i*t.Cols : (i+1)*t.Cols : (i+1)*t.Cols]
}

// Col returns a copy of column j.
func (t *Table) Col(j int) []float64 {
	xs := make([]float64, t.Rows)
	for i := range xs {
		xs[i] = t.Values[i*t.Cols+j]
	}
	return xs
}

// ReadCSV reads a table of numbers, plain or gzip. The separator is the comma,
// semicolon or tab that the first line has most of. The first line is a header
// if one of its fields is text. Empty fields, "?", "NA" and "NaN" are missing
// values.
func ReadCSV(r io.Reader) (*Table, error) {
	t, err := readCSV(r)
	if err != nil {
		return nil, fmt.Errorf("data: CSV: %w", err)
	}
	return t, nil
}

func readCSV(r io.Reader) (*Table, error) {
	r, err := gunzip(r)
	if err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(&limited{r, MaxBytes}, 1<<16)
	c := csv.NewReader(b)
	c.Comma = separator(b)
	c.TrimLeadingSpace = c.Comma != '\t'
	c.ReuseRecord = true
	t := &Table{}
	for first := true; ; first = false {
		rec, err := c.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			if errors.Is(err, csv.ErrFieldCount) {
				line, _ := c.FieldPos(0)
				return nil, fmt.Errorf("line %d has %d fields, line 1 has %d", line, len(rec), t.Cols)
			}
			return nil, err
		}
		if first {
			t.Cols = len(rec)
			rec[0] = strings.TrimPrefix(rec[0], "\ufeff")
			if slices.ContainsFunc(rec, isText) {
				t.Names = slices.Clone(rec)
				continue
			}
		}
		for j, s := range rec {
			x, ok := parseNumber(s)
			if !ok {
				line, _ := c.FieldPos(j)
				return nil, fmt.Errorf("line %d, column %d: %.40q is not a number", line, j+1, s)
			}
			t.Values = append(t.Values, x)
		}
		t.Rows++
	}
	if t.Rows == 0 {
		return nil, errors.New("no rows of numbers")
	}
	return t, nil
}

func separator(b *bufio.Reader) rune {
	head, _ := b.Peek(1 << 14)
	line, _, _ := bytes.Cut(head, []byte("\n"))
	best, most := ',', 0
	for _, sep := range ",;\t" {
		if n := bytes.Count(line, []byte(string(sep))); n > most {
			best, most = sep, n
		}
	}
	return best
}

func parseNumber(s string) (float64, bool) {
	switch s = strings.TrimSpace(s); s {
	case "", "?", "NA":
		return math.NaN(), true
	}
	x, err := strconv.ParseFloat(s, 64)
	// A number out of range reads as ±Inf, which is not what the file says.
	return x, err == nil
}

func isText(s string) bool {
	_, ok := parseNumber(s)
	return !ok
}

// WriteCSV writes a table with commas, its numbers in full precision and
// missing values as NaN.
func WriteCSV(w io.Writer, t *Table) error {
	if t.Cols < 1 || t.Rows < 0 || len(t.Values) != t.Rows*t.Cols {
		return fmt.Errorf("data: CSV: %d values for %d rows of %d", len(t.Values), t.Rows, t.Cols)
	}
	if t.Names != nil && len(t.Names) != t.Cols {
		return fmt.Errorf("data: CSV: %d names for %d columns", len(t.Names), t.Cols)
	}
	c := csv.NewWriter(w)
	if t.Names != nil {
		c.Write(t.Names) // errors are kept for Error
	}
	rec := make([]string, t.Cols)
	for i := range t.Rows {
		for j, x := range t.Row(i) {
			rec[j] = strconv.FormatFloat(x, 'g', -1, 64)
		}
		c.Write(rec)
	}
	c.Flush()
	return c.Error()
}
