package nodeconf

import (
	"fmt"
	"log/slog"

	"redoubt/internal/authorize"
	"redoubt/internal/hadoopconf"
	"redoubt/namenode"
)

// Groups is where the groups of users come from: the configured table, then the system.
func Groups(conf *hadoopconf.Conf) (namenode.GroupSource, error) {
	table, err := namenode.ParseStaticGroups(conf.String("hadoop.user.group.static.mapping.overrides"))
	if err != nil {
		return nil, fmt.Errorf("hadoop.user.group.static.mapping.overrides: %w", err)
	}
	return namenode.StaticGroups{Table: table, Next: namenode.OSGroups{}}, nil
}

// Access reads who may connect and who may act for others.
func Access(conf *hadoopconf.Conf, log *slog.Logger) (*authorize.Guard, error) {
	return authorize.New(conf, log)
}

// access is the same with the groups by which it decides.
func access(conf *hadoopconf.Conf) (*authorize.Guard, authorize.Groups, error) {
	groups, err := Groups(conf)
	if err != nil {
		return nil, nil, err
	}
	guard, err := Access(conf, slog.Default())
	return guard, groups.Groups, err
}
