package namespace

import (
	"slices"

	"redoubt/dfs"
)

func (s *State) restoreBlocks(src dfs.SectionSource) error {
	return src.Chunks(SectionBlocks, func(chunk []byte) error {
		return DecodeSection(SectionBlocks, chunk, func(r any) error {
			rec := r.(*BlocksRecord)
			file := s.byID.get(rec.File)
			if file == 0 || !s.inodes.at(file).isFile() {
				return corrupt("blocks of inode %d, which is no file", rec.File)
			}
			for k := range rec.Blocks {
				b := &rec.Blocks[k]
				if err := b.check(); err != nil {
					return err
				}
				if b.ID >= s.nextBlock || s.byBlock.get(b.ID) != 0 {
					return corrupt("block %d twice, or never handed out", b.ID)
				}
				s.appendBlock(file, b.ID, b.Stamp, b.Size, BlockState(b.State))
			}
			return nil
		})
	})
}

func (s *State) restoreWriters(src dfs.SectionSource) error {
	return src.Chunks(SectionWriters, func(chunk []byte) error {
		return DecodeSection(SectionWriters, chunk, func(r any) error {
			rec := r.(*WriterRecord)
			file := s.byID.get(rec.File)
			if file == 0 || !s.inodes.at(file).isFile() || s.inodes.at(file).has(flagOpen) || rec.Truncate < -1 {
				return corrupt("writer of inode %d, which is no closed file", rec.File)
			}
			if s.strings.full(rec.Machine) {
				return corrupt("too many strings")
			}
			s.open(file, rec.Holder, rec.Machine, rec.Truncate+1)
			return nil
		})
	})
}

func (s *State) restoreRetry(src dfs.SectionSource) error {
	return src.Chunks(SectionRetry, func(chunk []byte) error {
		return DecodeSection(SectionRetry, chunk, func(r any) error {
			rec := r.(*RetryRecord)
			if rec.Call.IsZero() || s.retry.find(&rec.Call) != nil || s.retry.tail >= retryMax {
				return corrupt("retry cache entry twice, or too many")
			}
			s.remember(retryEntry{client: rec.Call.Client, call: rec.Call.Call, kind: rec.Kind, ok: rec.OK, time: rec.Time, id: rec.ID, extra: rec.Extra})
			return nil
		})
	})
}

func (s *State) restoreFeatures(src dfs.SectionSource) error {
	for _, name := range []string{SectionQuotas, SectionACLs, SectionXAttrs, SectionSettings} {
		err := src.Chunks(name, func(chunk []byte) error {
			return DecodeSection(name, chunk, s.restoreFeature)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *State) restoreFeature(r any) error {
	owner := func(id uint64, flag uint32) (uint32, error) {
		i := s.byID.get(id)
		if i == 0 || s.inodes.at(i).has(flag) {
			return 0, corrupt("feature of inode %d, which is not there or has it already", id)
		}
		return i, nil
	}
	switch r := r.(type) {
	case *QuotaRecord:
		i, err := owner(r.Inode, flagQuota)
		if err != nil || !s.inodes.at(i).isDir() {
			return corrupt("quota of inode %d, which is no directory or has one", r.Inode)
		}
		if ns, ds := s.usage(i); ns != r.Quota.NSUsed || ds != r.Quota.DSUsed {
			return corrupt("quota of inode %d counts %d inodes and %d bytes, there are %d and %d", r.Inode, r.Quota.NSUsed, r.Quota.DSUsed, ns, ds)
		}
		s.inodes.edit(i).setFlag(flagQuota, true)
		s.feature.quotas.Set(r.Inode, r.Quota)
		s.sum.add(quotaSum(r.Inode, r.Quota))
	case *ACLRecord:
		i, err := owner(r.Inode, flagACL)
		if err != nil {
			return err
		}
		s.putACL(i, r.Entries)
	case *XAttrRecord:
		i, err := owner(r.Inode, flagXAttr)
		if err != nil {
			return err
		}
		list := slices.Clone(r.Attrs)
		for k := range list {
			list[k].Name = string(append([]byte(nil), list[k].Name...))
			list[k].Value = append([]byte{}, list[k].Value...)
		}
		s.putXAttrs(i, list)
	case *SettingRecord:
		s.setSetting(r.Key, r.Value)
	}
	return nil
}
