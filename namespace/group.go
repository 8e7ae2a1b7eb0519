package namespace

import "redoubt/dfs"

func (s *State) checkParityGroup(o *ParityGroup) error {
	return dfs.Errorf(dfs.Unsupported, "not yet")
}

func (s *State) parityGroup(o *ParityGroup) (any, error) {
	return nil, s.checkParityGroup(o)
}
