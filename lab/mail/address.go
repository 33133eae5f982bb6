package mail

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// mostAddress is what an address may be long, in bytes (RFC 5321, 4.5.3.1).
const mostAddress = 254

// local is what may stand before the @: dot-atoms, no quoted strings. Those are legal,
// used by nobody, and the stuff that injections are made of.
var local = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

// ParseAddress reads one plain mail address, such as name@example.org. The domain comes
// out in lower case, and an international one in its ASCII form.
func ParseAddress(s string) (string, error) {
	a, err := parse(s)
	if err != nil {
		return "", err
	}
	if a.Name != "" || strings.ContainsAny(s, ":;") { // which name a group
		return "", fmt.Errorf("address %q: must be the address alone, without a name", cut(s, 80))
	}
	return a.Address, nil
}

// ParseSender reads an address that may have a name: "Daily Papers <papers@example.org>".
func ParseSender(s string) (*mail.Address, error) { return parse(s) }

func parse(s string) (*mail.Address, error) {
	wrong := func(what string, args ...any) error {
		return fmt.Errorf("address %q: %s", cut(s, 80), fmt.Sprintf(what, args...))
	}
	s = strings.Trim(s, " ") // and nothing that breaks a line
	switch {
	case s == "":
		return nil, errors.New("the address is missing: must be such as name@example.org")
	case len(s) > mostAddress+100:
		return nil, wrong("is %d bytes long: at most %d are taken", len(s), mostAddress)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unhelpful(r) }):
		return nil, wrong("has control characters")
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, wrong("must be one such as name@example.org")
	}
	at := strings.LastIndexByte(a.Address, '@')
	user, domain := a.Address[:at], a.Address[at+1:]
	if !local.MatchString(user) || len(user) > 64 {
		return nil, wrong("before the @ must be up to 64 ASCII letters, digits and signs, without spaces or quotes")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return nil, wrong("%q is no domain", domain)
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if !strings.Contains(ascii, ".") || last == "" || strings.Trim(last, "0123456789") == "" {
		return nil, wrong("%q is no domain of the internet, such as example.org", domain)
	}
	a.Address = user + "@" + ascii
	if len(a.Address) > mostAddress {
		return nil, wrong("is %d bytes long: at most %d are taken", len(a.Address), mostAddress)
	}
	return a, nil
}

// line is text of others in one line, without what is invisible or turns the direction
// of writing: it would let a title pose as something else.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unhelpful(r):
			return -1
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

func unhelpful(r rune) bool {
	return unicode.Is(unicode.Bidi_Control, r) || r == '\uFEFF' || r == '\u200B' || r == '\u00AD'
}

// cut is s, or its beginning.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
