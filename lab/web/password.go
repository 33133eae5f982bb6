package web

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"github.com/assay-lab/assay/internal/cache"
)

// Bounds of passwords, in bytes. bcrypt reads no more than 72.
const (
	leastPassword = 8
	mostPassword  = 72
	mostName      = 64
)

// passwordCost is bcrypt's of what is written; tests make it less.
var passwordCost = 12

// mostCost is the dearest that is taken: a check of it takes some seconds.
const mostCost = 16

const mostPasswords = 1 << 20 // bytes of a file of them

// checkName refuses what cannot be a user's name in a file of passwords.
func checkName(name string) error {
	ok := name != "" && len(name) <= mostName && utf8.ValidString(name) && strings.TrimSpace(name) == name && name[0] != '#' &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) })
	if !ok {
		return fmt.Errorf("name %.80q: must have 1 to %d bytes, none of them a colon or a control character, and no # or blank around it", name, mostName)
	}
	return nil
}

// ParsePasswords reads lines "name:hash" as htpasswd -B writes them, with bcrypt's
// hashes. Empty lines and those that begin with # say nothing.
func ParsePasswords(text []byte) (map[string]string, error) {
	if len(text) > mostPasswords {
		return nil, fmt.Errorf("passwords: %d bytes: at most %d are read", len(text), mostPasswords)
	}
	hashes := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("passwords: line %d has no colon: must be name:hash, as htpasswd -B writes it", i+1)
		}
		if err := cmp.Or(checkName(name), checkHash(hash)); err != nil {
			return nil, fmt.Errorf("passwords: line %d: %w", i+1, err)
		}
		if hashes[name] != "" {
			return nil, fmt.Errorf("passwords: line %d: %q is there already", i+1, name)
		}
		hashes[name] = hash
	}
	return hashes, nil
}

func checkHash(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	if len(hash) != 60 || err != nil || !slices.Contains([]string{"$2a$", "$2b$", "$2y$"}, hash[:4]) || hash[6] != '$' || strings.Trim(hash[7:], base64Letters) != "" {
		return errors.New("the hash is not bcrypt's: htpasswd -B or assay serve password writes one")
	}
	if cost > mostCost {
		return fmt.Errorf("the hash has cost %d: at most %d, or checking it takes too long", cost, mostCost)
	}
	return nil
}

const base64Letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// CheckPassword refuses passwords that are too short, or of which bcrypt would not read
// the end.
func CheckPassword(password string) error {
	if len(password) < leastPassword || len(password) > mostPassword {
		return fmt.Errorf("the password has %d bytes: must have from %d to %d", len(password), leastPassword, mostPassword)
	}
	return nil
}

// SetPassword gives a user of a file of passwords a new one. The user, and the file, are
// made when they are not there. What else is in the file stays as it is.
func SetPassword(file, name, password string) error {
	if err := cmp.Or(checkName(name), CheckPassword(password)); err != nil {
		return err
	}
	text, err := readPasswords(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := ParsePasswords(text); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), passwordCost)
	if err != nil {
		return err
	}
	entry := fmt.Sprintf("%s:%s\n", name, hash)
	var out bytes.Buffer
	found := false
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte(name+":")) {
			line, found = []byte(entry), true
		}
		out.Write(line)
	}
	if !found {
		if n := out.Len(); n > 0 && out.Bytes()[n-1] != '\n' {
			out.WriteByte('\n')
		}
		out.WriteString(entry)
	}
	return cache.WriteSecret(file, out.Bytes())
}

func readPasswords(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(bufio.NewReader(f), mostPasswords+1))
}

// A passwordFile is a file of passwords that is read again when it changes.
type passwordFile struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	tried  string // time and length of the version that was last read
	said   string // of the last try, where it failed
	hashes map[string]string
	dummy  string // a hash of no password, as dear as the dearest of them
}

func openPasswords(path string, log *slog.Logger) (*passwordFile, error) {
	p := &passwordFile{path: path, log: log}
	if err := p.read(); err != nil {
		return nil, err
	}
	if len(p.hashes) == 0 {
		return nil, fmt.Errorf("%s: it has no user: assay serve password %s NAME adds one", path, path)
	}
	return p, nil
}

func (p *passwordFile) read() error {
	info, err := os.Stat(p.path)
	if err != nil {
		return err
	}
	version := fmt.Sprint(info.ModTime().Format(time.RFC3339Nano), info.Size())
	if version == p.tried {
		return nil
	}
	p.tried = version
	text, err := readPasswords(p.path)
	if err != nil {
		return err
	}
	hashes, err := ParsePasswords(text)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	cost := bcrypt.MinCost
	for h := range maps.Values(hashes) {
		c, _ := bcrypt.Cost([]byte(h)) // it was checked
		cost = max(cost, c)
	}
	p.hashes, p.dummy = hashes, fmt.Sprintf("$2b$%02d$%s", cost, strings.Repeat(".", 53))
	return nil
}

// hash is a user's hash as the file now has it; for nobody's name "", and another that
// takes as long to check. A file that cannot be read leaves things as they were.
func (p *passwordFile) hash(name string) (hash, dummy string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := ""
	if err := p.read(); err != nil {
		if said = err.Error(); said != p.said {
			p.log.Error("the passwords stay as they were", "err", err)
		}
	}
	p.said = said
	return p.hashes[name], p.dummy
}

// check reports whether a password is the user's. It takes as long for a name that
// nobody has.
func (p *passwordFile) check(name, password string) bool {
	hash, dummy := p.hash(name)
	compared := cmp.Or(hash, dummy)
	return bcrypt.CompareHashAndPassword([]byte(compared), []byte(password)) == nil && hash != "" && len(password) <= mostPassword
}
