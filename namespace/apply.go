package namespace

import "redoubt/dfs"

// scratch holds one op of each kind for Apply to decode into.
type scratch struct {
	coder        coder
	mkdirs       Mkdirs
	create       Create
	addBlock     AddBlock
	updateBlocks UpdateBlocks
	close        Close
	delete       Delete
	rename       Rename
	setAttr      SetAttr
}

// op gives a zero op of a kind, reused where the kind is frequent.
func (x *scratch) op(kind Kind) Op {
	switch kind {
	case KindMkdirs:
		x.mkdirs = Mkdirs{Names: x.mkdirs.Names[:0]}
		return &x.mkdirs
	case KindCreate:
		x.create = Create{Names: x.create.Names[:0]}
		return &x.create
	case KindAddBlock:
		x.addBlock = AddBlock{}
		return &x.addBlock
	case KindUpdateBlocks:
		x.updateBlocks = UpdateBlocks{}
		return &x.updateBlocks
	case KindClose:
		x.close = Close{}
		return &x.close
	case KindDelete:
		x.delete = Delete{}
		return &x.delete
	case KindRename:
		x.rename = Rename{}
		return &x.rename
	case KindSetAttr:
		x.setAttr = SetAttr{}
		return &x.setAttr
	}
	return newOp(kind)
}

// Apply carries out one record; see the package comment, and the op's own for its
// result. rec may be reused when it returns. A record that can't be understood is
// dfs.Corrupt; every other error is the operation's own and leaves the tree as it was.
func (s *State) Apply(txid dfs.TxID, rec []byte) (any, error) {
	c := &s.ops.coder
	*c = coder{b: rec, read: true}
	kind, err := c.opening()
	if err != nil {
		return nil, err
	}
	op := s.ops.op(kind)
	if err := c.body(op); err != nil {
		return nil, err
	}
	s.applied = txid
	return s.apply(op)
}

func (s *State) apply(op Op) (any, error) {
	h := op.head()
	h.Time = clampTime(h.Time)
	s.expire(h.Time)
	if !h.Call.IsZero() {
		if e := s.retry.find(&h.Call); e != nil && e.kind == op.Kind() {
			return s.answer(e), nil
		}
	}
	result, err := s.carryOut(op)
	if err == nil && !h.Call.IsZero() && s.retry.find(&h.Call) == nil {
		s.remember(entryFor(h, op.Kind(), result))
	}
	return result, err
}

func (s *State) carryOut(op Op) (any, error) {
	switch o := op.(type) {
	case *Mkdirs:
		return s.mkdirs(o)
	case *Create:
		return s.create(o)
	case *AddBlock:
		return s.addBlock(o)
	case *AbandonBlock:
		return s.abandonBlock(o)
	case *UpdateBlocks:
		return s.updateBlocks(o)
	case *Close:
		return s.closeFile(o)
	case *Append:
		return s.append(o)
	case *Delete:
		return s.delete(o)
	case *Rename:
		return s.rename(o)
	case *Concat:
		return s.concat(o)
	case *Truncate:
		return s.truncate(o)
	case *SetAttr:
		return s.setAttr(o)
	case *SetACL:
		return nil, s.setACL(o)
	case *SetXAttr:
		return nil, s.setXAttr(o)
	case *NextStamp:
		if s.nextStamp > maxStamp {
			return nil, dfs.Errorf(dfs.Other, "no generation stamp is left")
		}
		s.nextStamp++
		return dfs.GenStamp(s.nextStamp - 1), nil
	case *ReassignLease:
		return nil, s.reassignLease(o)
	case *CommitSync:
		return s.commitSync(o)
	case *ParityGroup:
		return s.parityGroup(o)
	case *BeginEpoch:
		return nil, s.beginEpoch(o)
	case *Cluster:
		s.setSetting(o.Key, o.Value)
		return nil, nil
	}
	return nil, dfs.Errorf(dfs.Corrupt, "namespace: op %s has no meaning", op.Kind())
}

// Precheck tells the error that op would have if it were applied now, without changing
// anything. A nil answer promises nothing: the state may have moved by then.
func (s *State) Precheck(op Op) (err error) {
	switch o := op.(type) {
	case *Mkdirs:
		_, err = s.checkMkdirs(o)
	case *Create:
		_, err = s.checkCreate(o)
	case *AddBlock:
		_, err = s.checkAddBlock(o)
	case *AbandonBlock:
		_, err = s.writable(o.File, o.Holder, o.Auth)
	case *UpdateBlocks:
		_, _, err = s.checkUpdateBlocks(o)
	case *Close:
		_, _, err = s.checkClose(o)
	case *Append:
		_, err = s.checkAppend(o)
	case *Delete:
		_, err = s.checkDelete(o)
	case *Rename:
		_, err = s.checkRename(o)
	case *Concat:
		_, _, err = s.checkConcat(o)
	case *Truncate:
		_, err = s.checkTruncate(o)
	case *SetAttr:
		_, err = s.checkSetAttr(o)
	case *SetACL:
		_, err = s.checkSetACL(o)
	case *SetXAttr:
		_, err = s.checkSetXAttr(o)
	case *ReassignLease:
		_, err = s.writable(o.File, o.OldHolder, o.Auth)
	case *CommitSync:
		_, _, err = s.checkCommitSync(o)
	case *ParityGroup:
		_, err = s.checkParityGroup(o)
	case *BeginEpoch:
		err = s.checkEpoch(o)
	}
	return err
}
