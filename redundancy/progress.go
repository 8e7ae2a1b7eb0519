package redundancy

import (
	"fmt"
	"time"

	"redoubt/redundancy/result"
)

// progress tells how far a run is and how long it still takes: each step as long as it took
// the same scheme in an earlier round; before that, as long as it usually takes, times how
// much slower or faster this run has been so far.
type progress struct {
	cfg   *Config
	names []string // of a scheme's steps, in their order
	step  Step
	at    int // the present step of the scheme
	begun time.Time
	took  map[stepKey]time.Duration // the last time
	spent time.Duration             // on all finished steps
	usual time.Duration             // for the same
}

type stepKey struct {
	scheme result.Scheme
	name   string
}

// stepsBefore are the steps of a scheme before its first fault.
var stepsBefore = []string{"start", "write", "fold", "read"}

// usualSeconds are what steps take with the defaults; of a scheme with arrays a third more.
var usualSeconds = map[string]float64{
	"start": 1, "write": 1.5, "fold": 0.5, "read": 1.5, string(result.SlowNode): 6, string(result.Corruption): 3,
	string(result.Disk): 5, string(result.Node): 5, string(result.TwoNodes): 5.5, string(result.Rack): 7,
}

func newProgress(cfg *Config) *progress {
	p := &progress{cfg: cfg, names: stepsBefore, took: map[stepKey]time.Duration{}}
	for _, f := range cfg.Faults {
		p.names = append(p.names[:len(p.names):len(p.names)], string(f))
	}
	p.step.Rounds = cfg.Setup.Repeat
	p.step.Total = p.step.Rounds * len(cfg.Schemes) * len(p.names)
	return p
}

// Expect is about how long a run of a configuration takes.
func Expect(cfg Config) time.Duration {
	cfg.applyDefaults()
	p := newProgress(&cfg)
	p.scheme(cfg.Schemes[0], 0)
	return p.left()
}

// scheme begins a scheme.
func (p *progress) scheme(s result.Scheme, round int) {
	p.step.Scheme, p.step.Round, p.at, p.begun = s, round+1, 0, time.Now()
	p.step.Done = (round*len(p.cfg.Schemes) + p.place(s)) * len(p.names)
}

func (p *progress) place(s result.Scheme) int {
	for i, x := range p.cfg.Schemes {
		if x == s {
			return i
		}
	}
	return 0
}

// next ends a step.
func (p *progress) next() {
	k := stepKey{p.step.Scheme, p.names[p.at]}
	p.took[k] = time.Since(p.begun)
	p.spent += p.took[k]
	p.usual += usually(k)
	p.at, p.begun = p.at+1, time.Now()
	p.step.Done++
}

func usually(k stepKey) time.Duration {
	d := seconds(usualSeconds[k.name])
	if arrays(k.scheme) {
		d = d * 4 / 3
	}
	return d
}

// left is about how long all takes that is not done.
func (p *progress) left() (sum time.Duration) {
	ratio := 1.0
	if p.usual > 0 {
		ratio = float64(p.spent) / float64(p.usual)
	}
	for round := p.step.Round - 1; round < p.step.Rounds; round++ {
		for i, s := range p.cfg.Schemes {
			for j, name := range p.names {
				if (round*len(p.cfg.Schemes)+i)*len(p.names)+j < p.step.Done {
					continue
				}
				k := stepKey{s, name}
				if d, ok := p.took[k]; ok {
					sum += d
				} else {
					sum += time.Duration(ratio * float64(usually(k)))
				}
			}
		}
	}
	return max(0, sum-time.Since(p.begun))
}

func (p *progress) tell(format string, args ...any) {
	p.step.Doing, p.step.Left = fmt.Sprintf(format, args...), p.left()
	p.cfg.Progress(p.step)
}
