package command

import (
	"slices"
	"strconv"
	"strings"

	"hermes-s6/lib/cli"
	"hermes-s6/lib/fail"
	"hermes-s6/lib/place"
	"hermes-s6/lib/s6"
	"hermes-s6/lib/svstat"
)

// This file is about -o of hermes-svstat.

// fieldsOf returns the fields of -o, nil if it is not given. Several -o add up, and a trailing
// comma is ignored, as in s6-svstat.
func fieldsOf(c *place.Context) ([]string, error) {
	for _, options := range [][]string{
		{"check", "follow", "metrics", "list"}, {"check", "o", "json", "metrics"}, {"o", "list", "metrics"},
	} {
		if err := alone(c, options...); err != nil {
			return nil, err
		}
	}
	if !c.IsSet("o") {
		return nil, nil
	}
	var fields []string
	for _, some := range c.List("o") {
		for _, f := range strings.Split(strings.TrimSuffix(some, ","), ",") {
			if f != "name" && !slices.Contains(s6.Fields, f) {
				return nil, fail.Errorf(fail.Usage, "invalid field %q: must be name or one of %s", f, strings.Join(s6.Fields, ","))
			}
			fields = append(fields, f)
		}
	}
	return fields, nil
}

// alone returns an error if two of options are given.
func alone(c *place.Context, options ...string) error {
	var both []string
	for _, o := range options {
		if given(c, o) {
			both = append(both, dashed(o))
		}
	}
	if len(both) < 2 {
		return nil
	}
	return fail.Errorf(fail.Usage, "%s: mutually exclusive", strings.Join(both, " and "))
}

// fields implements -o.
func (q *query) fields(states []svstat.State, fields []string) error {
	for i := range states {
		q.line(&states[i], fields)
	}
	return nil
}

// line prints fields of s. A service that is not supervised has none.
func (q *query) line(s *svstat.State, fields []string) {
	if !s.Supervised {
		q.Warn("%s: not supervised", s.Path())
		return
	}
	for i, f := range fields {
		if i > 0 {
			q.Out.WriteByte(' ')
		}
		q.Out.WriteString(q.field(s, f))
	}
	q.Out.WriteByte('\n')
}

// field returns a field of s. All fields of s are from the same moment.
func (q *query) field(s *svstat.State, name string) string {
	if name == "normallyup" && q.Bool("follow") {
		return strconv.FormatBool(s.NormallyUp)
	}
	return cli.Printable(s.Field(q.Programs(), name))
}
