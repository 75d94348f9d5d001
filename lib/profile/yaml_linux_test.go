package profile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"hermes-s6/lib/must"
)

// oracle prints what both of PyYAML's loaders make of texts: a line with one word for each key
// (true, false or other), or error.
const oracle = `
import struct, sys, yaml
sys.setrecursionlimit(3000)
keys = sys.argv[1:]
def of(config, key):
    for name in key.split("."):
        config = config.get(name) if isinstance(config, dict) else None
    return {True: "true", False: "false", None: "false"}[config] if config is None or isinstance(config, bool) else "other"
def answer(text, loader):
    try:
        config = yaml.load(text.decode("utf-8"), Loader=loader)
        return " ".join(of(config, k) for k in keys)
    except Exception:
        return "error"
while head := sys.stdin.buffer.read(4):
    text = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
    for loader in yaml.SafeLoader, yaml.CSafeLoader:
        print(answer(text, loader), flush=True)
`

// yamlKeys are the keys that the tests look for.
var yamlKeys = []string{"multiplex_profiles", "gateway.multiplex_profiles", "gateway.standalone"}

// A pyYAML is a python3 process that runs oracle.
type pyYAML struct {
	sync.Mutex
	to   io.Writer
	from *bufio.Reader
}

func newPyYAML(t testing.TB) *pyYAML {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-c", oracle}, yamlKeys...)...)
	to, err := cmd.StdinPipe()
	must.Do(t, err)
	from, err := cmd.StdoutPipe()
	must.Do(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; run `make deps`", err)
	}
	t.Cleanup(func() {
		to.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python3-yaml: %v: %s; run `make deps`", err, stderr.Bytes())
		}
	})
	return &pyYAML{to: to, from: bufio.NewReader(from)}
}

// ask returns the answers of both loaders.
func (p *pyYAML) ask(t testing.TB, text []byte) []string {
	t.Helper()
	p.Lock()
	defer p.Unlock()
	_, err := p.to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	must.Do(t, err)
	answers := make([]string, 2)
	for i := range answers {
		line, err := p.from.ReadString('\n')
		must.Do(t, err)
		answers[i] = strings.TrimSpace(line)
	}
	return answers
}

// readByUs returns the answer of yamlBools in the oracle's words.
func readByUs(text string) string {
	is, err := yamlBools([]byte(text), yamlKeys...)
	if err != nil {
		return "undecided"
	}
	var words []string
	for _, key := range yamlKeys {
		words = append(words, fmt.Sprint(is[key]))
	}
	return strings.Join(words, " ")
}

// contradicts reports whether yamlBools answers differently from a loader that answers.
func contradicts(got string, answers []string) bool {
	return got != "undecided" && slices.ContainsFunc(answers, func(a string) bool { return a != "error" && a != got })
}

// yamlCases maps texts to what yamlBools is to return: the values of yamlKeys, by their first
// letters, or ? for undecided.
var yamlCases = map[string]string{
	"": "fff", "\n\n": "fff", "# multiplex_profiles: true\n": "fff", "---\n": "fff", "{}\n": "fff", "a: 1\n": "fff",
	"multiplex_profiles: true":                         "tff",
	"multiplex_profiles: true\n":                       "tff",
	"\ufeffmultiplex_profiles: true\n":                 "tff",
	"---\nmultiplex_profiles: true\n":                  "tff",
	"--- # c\nmultiplex_profiles: true # c\n":          "tff",
	"a: 1\r\nmultiplex_profiles: true\r\nb: 2\r\n":     "tff",
	"multiplex_profiles   :    true   \n":              "tff",
	"  multiplex_profiles: true\n  b: 1\n":             "tff",
	"\"multiplex_profiles\": true\n":                   "tff",
	"'multiplex_profiles' : true\n":                    "tff",
	"multiplex_profiles: true#c\n":                     "?",
	"multiplex_profiles: true\nmultiplex_profiles: no": "fff",
	"multiplex_profiles: no\nmultiplex_profiles: ON":   "tff",
	"multiplex_profiles:\n":                            "fff",
	"multiplex_profiles:\nb: 1\n":                      "fff",
	"multiplex_profiles: ~\n":                          "fff",
	"multiplex_profiles:true\n":                        "?",
	"Multiplex_Profiles: true\n":                       "fff",
	"xmultiplex_profiles: true\n":                      "fff",
	// The value.
	"multiplex_profiles: \"true\"\n":       "?",
	"multiplex_profiles: 'yes'\n":          "?",
	"multiplex_profiles: 1\n":              "?",
	"multiplex_profiles: y\n":              "?",
	"multiplex_profiles: yEs\n":            "?",
	"multiplex_profiles: !!bool true\n":    "?",
	"multiplex_profiles: !!str true\n":     "?",
	"multiplex_profiles: &a true\n":        "?",
	"a: &a true\nmultiplex_profiles: *a\n": "?",
	"multiplex_profiles: [true]\n":         "?",
	"multiplex_profiles: {}\n":             "?",
	"multiplex_profiles: |\n  true\n":      "?",
	"multiplex_profiles:\n  true\n":        "?",
	"multiplex_profiles: true\n  false\n":  "?",
	"multiplex_profiles: true\n\n false\n": "?",
	"multiplex_profiles: true # c\n  c\n":  "?",
	"multiplex_profiles:\n- true\n":        "?",
	"multiplex_profiles:\n  a: true\n":     "?",
	"multiplex_profiles: true: false\n":    "?",
	"multiplex_profiles: - true\n":         "?",
	"multiplex_profiles:\ttrue\n":          "?",
	"multiplex_profiles: true\t\n":         "?",
	// The key's position.
	"gateway:\n  multiplex_profiles: true\n":                                 "ftf",
	"gateway:\n  multiplex_profiles: true\n  standalone: yes\n":              "ftt",
	"gateway:\n        standalone: On\nb: 1\n":                               "fft",
	"gateway:\n # c\n\n  multiplex_profiles: true\n":                         "ftf",
	"multiplex_profiles: off\ngateway:\n  multiplex_profiles: on\n":          "ftf",
	"gateway:\n  multiplex_profiles: true\ngateway:\n  a: 1\n":               "fff",
	"gateway:\n  multiplex_profiles: true\ngateway:\n":                       "fff",
	"gateway:\n  multiplex_profiles: true\ngateway: null\n":                  "fff",
	"gateway:\n  multiplex_profiles: true\ngateway: {}\n":                    "fff",
	"gateway:\n  a:\n    multiplex_profiles: true\n":                         "fff",
	"other:\n  multiplex_profiles: true\n":                                   "fff",
	"other:\n  gateway:\n    multiplex_profiles: true\n":                     "fff",
	"gateway:\n  a: 1\nother:\n  standalone: true\n":                         "fff",
	"- multiplex_profiles: true\n":                                           "?",
	"multiplex_profiles\n":                                                   "?",
	"{multiplex_profiles: true}\n":                                           "?",
	"{\"multiplex_profiles\": true}\n":                                       "?",
	"gateway: {multiplex_profiles: true}\n":                                  "?",
	"gateway: x\nmultiplex_profiles: true\n":                                 "?",
	"gateway:\n- multiplex_profiles: true\n":                                 "?",
	"gateway: &a\n  multiplex_profiles: true\n":                              "?",
	"a: &a\n  multiplex_profiles: true\ngateway: *a\n":                       "?",
	"a: &a\n  multiplex_profiles: true\n<<: *a\n":                            "?",
	"a: &a\n  standalone: true\ngateway:\n  <<: *a\n":                        "?",
	"a: &a\n  standalone: true\nb:\n  <<: *a\nc: &c [1]\nd:\n- *c\n- &d x\n": "fff",
	"? multiplex_profiles\n: true\n":                                         "?",
	"\"multiplex\\x5fprofiles\": true\n":                                     "?",
	"\"multiplex_\\\n  profiles\": true\n":                                   "?",
	"gateway:\n  \"standal\\u006fne\": true\n":                               "?",
	"a: 1\n---\nmultiplex_profiles: true\n":                                  "?",
	"multiplex_profiles: true\n...\n":                                        "?",
	"%YAML 1.1\n---\nmultiplex_profiles: true\n":                             "?",
	// What only looks like the key.
	"a: |\n  multiplex_profiles: true\n":                                    "fff",
	"a: |2-\n   x\n\n  multiplex_profiles: true\nb: 1":                      "fff",
	"a: >+ # c\n\n  x\n  multiplex_profiles: true\n\nb: 1":                  "fff",
	"a:\n  - |\n   multiplex_profiles: true\n  - b\n":                       "fff",
	"a: |\n  x\nmultiplex_profiles: true\n":                                 "tff",
	"a: |\nmultiplex_profiles: true\n":                                      "tff",
	"a: \"x\nmultiplex_profiles: true\n\"\n":                                "fff",
	"a: \"x\\\"\nmultiplex_profiles: true\n\"\nmultiplex_profiles: yes":     "tff",
	"a: 'it''s\nmultiplex_profiles: true\n'\n":                              "fff",
	"a: [x,\nmultiplex_profiles: true\n]\n":                                 "fff",
	"a: [x\", # ]\n\"]\",\nmultiplex_profiles: true\n]\n":                   "fff",
	"a: {b: {c: 'x}'},\nmultiplex_profiles: true\n}\nmultiplex_profiles: 1": "?",
	"a: x\n \"y\nmultiplex_profiles: true\n":                                "tff",
	"a: x\n  - y\n  [z\nmultiplex_profiles: true\n":                         "tff",
	"a: it's\nmultiplex_profiles: true\nb: it's\n":                          "tff",
	"a: http://x/#y\nmultiplex_profiles: true\n":                            "tff",
	"a: x # \"\nmultiplex_profiles: true\n":                                 "tff",
	"a:\n- b: 1\n  c:\n  - d\n- - e\n  - f\nmultiplex_profiles: true\n":     "tff",
	"a:\n  b:\n    c: 1\n d: 1\nmultiplex_profiles: true\n":                 "?",
	"a:\n  b: 1\n   c: 1\nmultiplex_profiles: true\n":                       "?",
	"a: 1\n\tb: 1\nmultiplex_profiles: true\n":                              "?",
	"a: \"x\nmultiplex_profiles: true\n":                                    "?",
	"a: [x\nmultiplex_profiles: true\n":                                     "?",
	"a: !x 1\nmultiplex_profiles: true\n":                                   "?",
	"a: \"\\q\"\nmultiplex_profiles: true\n":                                "?",
	"a: 1\u2028multiplex_profiles: true\n":                                  "?",
	"a: 1\u0085multiplex_profiles: true\n":                                  "?",
	"a: 1\rmultiplex_profiles: true\n":                                      "?",
	"a: \x00\nmultiplex_profiles: true\n":                                   "?",
	"a: \xff\nmultiplex_profiles: true\n":                                   "?",
	"a: é\u00a0😀\nmultiplex_profiles: true\n":                               "tff",
}

// TestYAML compares yamlBools with PyYAML itself.
func TestYAML(t *testing.T) {
	p := newPyYAML(t)
	check := func(text, want string) {
		got := readByUs(text)
		short := strings.NewReplacer("undecided", "?", "true", "t", "false", "f", " ", "").Replace(got)
		answers := p.ask(t, []byte(text))
		if short != want && want != "" || contradicts(got, answers) {
			t.Errorf("%q: %s, want %s; PyYAML %q", text, short, want, answers)
		}
	}
	for text, want := range yamlCases {
		check(text, want)
	}
	// Every spelling of a possible boolean.
	for _, word := range strings.Fields("y n t f yes no true false on off null none ~ 0 1 x = <<") {
		for _, w := range []string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], word[:len(word)-1] + strings.ToUpper(word[len(word)-1:])} {
			check("multiplex_profiles: "+w+"\n", "")
			check("gateway:\n  standalone: "+w+" # c\n  x: 1\n", "")
		}
	}
}

// dumped prints texts that PyYAML has written, in the form that ask reads: a length, then the
// text. In each one the wanted key is true.
const dumped = `
import random, struct, sys, yaml
r = random.Random(1)
pieces = ["a", "multiplex_profiles: true", " ", "  ", "\n", "\n\n", ": ", " #", "'", '"', "- ", "[", "]", "{", "}", ",", "é", "😀", "\t", "|", "> ", "&x", "*x", "!y", "%", "@", "?", "\\", "---", "...", "yes", "1", "~", "=", "word word word word"]
def text(): return "".join(r.choice(pieces) for _ in range(r.randrange(12)))
shared = [{"a": "b"}, ["c", {"d": ""}]]
def value(depth):
    kind = r.randrange(9 if depth else 5)
    if kind < 3: return text()
    if kind == 3: return r.choice([None, True, False, 1, 1.5, -3, float("nan")])
    if kind == 4: return r.choice(shared)
    if kind < 7: return {"k" + text()[:40].replace("\n", ""): value(depth - 1) for _ in range(r.randrange(4))}
    return [value(depth - 1) for _ in range(r.randrange(4))]
for _ in range(500):
    config = {"k%d" % i: value(4) for i in range(r.randrange(6))}
    config["gateway"] = {"a": value(2), "multiplex_profiles": True, "b": value(2)}
    config["z"] = value(3)
    out = yaml.dump(config, default_flow_style=False, allow_unicode=r.random() < .5, width=r.choice([20, 80, 1000]), sort_keys=False, indent=r.choice([2, 4])).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(out)) + out)
`

// TestDumpedYAML: yamlBools understands what PyYAML writes, and so what Hermes writes when it
// changes its configuration. (It does not understand keys over several lines, which PyYAML
// writes with "? "; Hermes has none.)
func TestDumpedYAML(t *testing.T) {
	cmd := exec.Command("python3", "-c", dumped)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v; run `make deps`", err)
	}
	p, n := newPyYAML(t), 0
	for ; len(out) > 0; n++ {
		size := 4 + binary.BigEndian.Uint32(out)
		text := out[4:size]
		out = out[size:]
		_, err := yamlBools(text, yamlKeys...)
		if got := readByUs(string(text)); err != nil || contradicts(got, p.ask(t, text)) {
			t.Errorf("%s\n%s, %v", text, got, err)
		}
	}
	if n != 500 {
		t.Errorf("%d texts", n)
	}
}

// yamlPieces are the pieces from which FuzzYAML builds texts, besides what the fuzzer invents.
var yamlPieces = []string{
	"multiplex_profiles", "gateway", "standalone", ": ", ":", "true", "no", "\n", "\n  ", "\n    ", "\n ", " ", "- ", "-", "\n- ", "\n  - ",
	"a", "b: ", "\"", "'", "[", "]", "{", "}", ", ", ",", "#", " # ", "|", ">", "|2", "|-\n", "&a", "*a", "<<: ", "!", "? ", "?", "%", "@",
	"\t", "\\", "\\x41", "\n---", "\n...", "---\n", "~", "{}", "\r\n", "\r", "é", "\ufeff", "\u2028", "=", "''", "multiplex_profiles: true\n",
	"gateway:\n  multiplex_profiles: true\n", "a: x\n", "a: |\n  x\n", "a: \"x\n", "a: 'x\n", "a: [x\n", "a:\n", "- a: b\n", "  \n", "   \n",
}

// FuzzYAML: yamlBools may answer that it does not know, but never wrongly.
func FuzzYAML(f *testing.F) {
	for text := range yamlCases {
		f.Add(text, []byte{})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		pieces := make([]byte, 1+r.IntN(16))
		for i := range pieces {
			pieces[i] = byte(r.IntN(len(yamlPieces)))
		}
		f.Add("", pieces)
	}
	p := newPyYAML(f)
	f.Fuzz(func(t *testing.T, text string, pieces []byte) {
		for _, b := range pieces {
			text += yamlPieces[int(b)%len(yamlPieces)]
		}
		if len(text) > 4096 {
			return
		}
		got := readByUs(text)
		if got == "undecided" {
			return
		}
		if answers := p.ask(t, []byte(text)); contradicts(got, answers) {
			t.Errorf("%q: %s; PyYAML %q", text, got, answers)
		}
	})
}

// hostileYAML are texts that cost other readers minutes or gigabytes.
func hostileYAML() map[string][]byte {
	var keys bytes.Buffer
	for i := range 80000 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	texts := map[string][]byte{"plain keys": append(keys.Bytes(), "multiplex_profiles: true\n"...)}
	for _, piece := range []string{"[", "{", "- ", "\"", "'\"", "a: [\n", "? ", "&a ", "*a ", "- a:\n", "a: |\n", "a: b\n ", "\\", ": ", "a ", "#", " "} {
		text := strings.Repeat(piece, maxConfig/len(piece))
		texts[piece] = append([]byte(text), "\nmultiplex_profiles: true\n"...)
		texts["value "+piece] = append([]byte("multiplex_profiles: true\na: "+text), '\n')
	}
	return texts
}

// TestHostileYAML: yamlBools returns, and answers only what can be known.
func TestHostileYAML(t *testing.T) {
	for name, text := range hostileYAML() {
		is, err := yamlBools(text, yamlKeys...)
		if name == "plain keys" && (err != nil || !is["multiplex_profiles"]) {
			t.Errorf("%s: %v, %v", name, is, err)
		}
		if name == "[" && err == nil {
			t.Errorf("%s: %v", name, is)
		}
	}
}

// BenchmarkYAML shows that time and memory grow linearly with the text.
func BenchmarkYAML(b *testing.B) {
	for name, text := range hostileYAML() {
		for _, size := range []int{len(text) / 4, len(text)} {
			b.Run(fmt.Sprintf("%q/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_, _ = yamlBools(append([]byte("multiplex_profiles: no\n"), text[len(text)-size:]...), yamlKeys...)
				}
			})
		}
	}
}
